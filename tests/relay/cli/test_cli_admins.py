"""``admins``: named and removed on the relay's host, while protection is off or with a reason."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.cli.past import during
from tests.relay.cli.prompt import NO_SUCH_ID
from tests.relay.simulator import ACME, UMBRELLA

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator
    from tests.relay.simulator import Simulator

OF_ACME = ("--integrator", ACME.id)


@pytest.fixture
def folder(operator: Operator) -> Operator:
    """A folder of two integrators; alice, bob and carol have a device paired with Acme."""

    async def scene(sim: Simulator) -> None:
        await sim.devices("alice", "bob", "carol")

    during(operator.data_dir, scene)
    return operator


@pytest.fixture
def protected(folder: Operator) -> Operator:
    """The folder with alice and bob as administrators and protection on."""
    for approver in ("alice", "bob"):
        folder.json("admins", "add", approver, *OF_ACME)
    folder.json("protection", "enable", *OF_ACME)
    return folder


def names(operator: Operator) -> list[str]:
    """Who is an administrator of Acme."""
    return [one["approver_id"] for one in operator.json("admins", "list", *OF_ACME)]


def told(operator: Operator) -> list[dict[str, Any]]:
    """What the audit log has, newest first, without ids and times."""
    found: list[dict[str, Any]] = operator.json("protection", "log", *OF_ACME)
    return [
        {name: value for name, value in one.items() if name not in {"id", "timestamp"}}
        for one in found
    ]


def test_naming_an_administrator(folder: Operator) -> None:
    """An approver who is added is listed with name and devices; adding twice changes nothing."""
    first, second = (folder.json("admins", "add", "alice", *OF_ACME) for _ in range(2))

    expected = {"integrator_id": ACME.id, "approver_id": "alice", "devices": 1, "name": "Alice"}
    assert expected == first == second
    assert [expected] == folder.json("admins", "list", *OF_ACME)
    assert 1 == len(told(folder))


def test_the_list_for_people(folder: Operator) -> None:
    """The table has id, name and number of devices; an empty one says so."""
    empty = folder("admins", "list", *OF_ACME).text
    folder("admins", "add", "alice", *OF_ACME)

    assert "No administrator yet.\n" == empty
    assert ["alice", "Alice", "1"] == folder("admins", "list", *OF_ACME).text.split()[3:]


def test_somebody_without_a_device(folder: Operator) -> None:
    """They become an administrator, and the command that pairs a device is told."""
    said = folder("admins", "add", "dave", *OF_ACME).text

    assert f"  quorumkey-relay pairings create --integrator {ACME.id} --approver dave" in said
    assert [0] == [one["devices"] for one in folder.json("admins", "list", *OF_ACME)]


def test_removing_an_administrator(folder: Operator) -> None:
    """Who is removed is gone; removing somebody who is none is refused."""
    folder.json("admins", "add", "alice", *OF_ACME)
    left = folder.json("admins", "remove", "alice", *OF_ACME)

    assert {"integrator_id": ACME.id, "administrators": []} == left
    assert "alice is not an administrator." == folder(
        "admins", "remove", "alice", *OF_ACME
    ).refused(1)


def test_each_change_is_told(folder: Operator) -> None:
    """The audit log says that the operator of the host did it."""
    folder.json("admins", "add", "alice", *OF_ACME)
    folder.json("admins", "remove", "alice", *OF_ACME)

    by = {"kind": "operator", "id": "host"}
    approver = {"kind": "person", "id": "alice"}
    assert [
        {"type": "protection.administrator_removed", "by": by, "approver": approver},
        {"type": "protection.administrator_added", "by": by, "approver": approver},
    ] == told(folder)


@pytest.mark.parametrize("command", [("add", "carol"), ("remove", "alice")], ids=" ".join)
def test_while_protection_is_on(protected: Operator, command: tuple[str, str]) -> None:
    """Without a reason to break the glass nothing changes, and the way is told."""
    said = protected("admins", *command, *OF_ACME).refused(1)

    assert "--break-glass" in said
    assert ["alice", "bob"] == names(protected)


def test_no_device_is_paired_for_an_administrator(protected: Operator) -> None:
    """While protection is on its link would be of no use, so none is made; others get one."""
    said = protected("pairings", "create", "--approver", "alice", *OF_ACME).refused(1)
    made = protected.json("pairings", "create", "--approver", "carol", *OF_ACME)

    assert "no device is paired for an administrator" in said
    assert made["pairing_code"]


def test_breaking_the_glass(protected: Operator) -> None:
    """With a reason it is done, warned of on standard error, and told with the reason."""
    printed = protected("admins", "add", "carol", "--break-glass", "Both phones are lost", *OF_ACME)

    assert 0 == printed.status
    assert "without approval" in printed.err
    assert ["alice", "bob", "carol"] == names(protected)
    added, broken = told(protected)[:2]
    assert "protection.administrator_added" == added["type"]
    assert ("protection.break_glass", "Both phones are lost", "operator") == (
        broken["type"],
        broken["reason"],
        broken["by"]["kind"],
    )


def test_breaking_the_glass_may_leave_too_few(protected: Operator) -> None:
    """An account that was taken over can be removed although two are required."""
    printed = protected("admins", "remove", "bob", "--break-glass", "Taken over", *OF_ACME)

    assert 0 == printed.status
    assert ["alice"] == names(protected)


def test_a_reason_says_something(protected: Operator) -> None:
    """An empty reason is a mistake in the command."""
    assert protected("admins", "add", "carol", "--break-glass", "", *OF_ACME).refused(2)
    assert ["alice", "bob"] == names(protected)


def test_no_variable_breaks_the_glass(protected: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that was left behind does not go round the approval of every later command."""
    monkeypatch.setenv("QUORUMKEY_RELAY_BREAK_GLASS", "Both phones are lost")

    assert "QUORUMKEY_RELAY_BREAK_GLASS" in protected("admins", "add", "carol", *OF_ACME).refused(2)


def test_an_api_key_is_not_made_while_protection_is_on(protected: Operator) -> None:
    """Keys are protected too: without a reason none is made; with one it is, and that is told."""
    said = protected("keys", "create", *OF_ACME).refused(1)
    kept = protected.json("keys", "list", *OF_ACME)
    printed = protected(
        *("keys", "create", "--name", "spare", "--scope", "admin", *OF_ACME),
        *("--break-glass", "Both phones are lost", "--json"),
    )
    made = json.loads(printed.out)

    assert "--break-glass" in said
    assert "without approval" in printed.err
    assert len(kept) + 1 == len(protected.json("keys", "list", *OF_ACME))
    by = {"kind": "operator", "id": "host"}
    assert [
        {
            "type": "protection.api_key_created",
            "by": by,
            "key_id": made["key_id"],
            "name": "spare",
            "scope": "admin",
        },
        {"type": "protection.break_glass", "by": by, "reason": "Both phones are lost"},
    ] == told(protected)[:2]


def test_a_reason_that_is_not_needed_is_not_told(folder: Operator) -> None:
    """While protection is off there is no glass to break."""
    folder.json("admins", "add", "alice", "--break-glass", "Just in case", *OF_ACME)

    assert ["protection.administrator_added"] == [one["type"] for one in told(folder)]


def test_an_integrator_has_to_be_named_among_several(folder: Operator) -> None:
    """With two integrators the command asks which; administrators of one are none of the other."""
    folder.json("admins", "add", "alice", *OF_ACME)

    assert "there are several integrators" in folder("admins", "list").refused(1)
    assert [] == folder.json("admins", "list", "--integrator", UMBRELLA.id)


def test_an_unknown_integrator(folder: Operator) -> None:
    """An id that there is not is refused with where to look."""
    said = folder("admins", "list", "--integrator", NO_SUCH_ID).refused(1)

    assert "there is no integrator with this id; see: quorumkey-relay integrators list." == said


def test_an_approver_that_cannot_be(folder: Operator) -> None:
    """What no approver can be called is refused."""
    assert folder("admins", "add", "", *OF_ACME).refused(1)
