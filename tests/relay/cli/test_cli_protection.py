"""``protection``: settings, methods and the preset, on the relay's host."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx2
import pytest
from tests.relay.cli.past import during
from tests.relay.cli.person import enrolled
from tests.relay.cli.prompt import eventually, running
from tests.relay.simulator import ACME

from quorumkey_relay.domain import protection_rules
from quorumkey_relay.domain.protection import GOVERNING_METHODS
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.sqlite.admin import AdminStore
from quorumkey_relay.store.writes import PutProtection

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from tests.relay.cli.prompt import Operator, RunningRelay
    from tests.relay.simulator import Simulator

    from quorumkey_relay.store.sqlite.admin import AdminWrite

OF_ACME = ("--integrator", ACME.id)
GLOBAL = 'request.rule.tag == "global"'


@pytest.fixture
def folder(operator: Operator) -> Operator:
    """A folder; alice, bob and carol are administrators of Acme with a device each."""

    async def scene(sim: Simulator) -> None:
        await sim.devices("alice", "bob", "carol")

    during(operator.data_dir, scene)
    for approver in ("alice", "bob", "carol"):
        operator.json("admins", "add", approver, *OF_ACME)
    return operator


@pytest.fixture
def loaded(folder: Operator) -> Operator:
    """The folder with the preset."""
    folder.json("protection", "load", "workshop", *OF_ACME)
    return folder


def settings(operator: Operator) -> dict[str, Any]:
    """The settings of Acme."""
    shown: dict[str, Any] = operator.json("protection", "show", *OF_ACME)
    return shown


def method(operator: Operator, name: str) -> dict[str, Any]:
    """One method of Acme."""
    found: list[dict[str, Any]] = operator.json("protection", "list", *OF_ACME)
    return next(one for one in found if one["name"] == name)


def kinds(operator: Operator) -> list[str]:
    """The types of the events in the audit log, oldest first."""
    found: list[dict[str, Any]] = operator.json("protection", "log", *OF_ACME)
    return [one["type"] for one in reversed(found)]


def test_a_new_folder(operator: Operator) -> None:
    """Protection is off, the relay's own methods are all there is, and nothing happened."""
    operator.init()
    shown = operator.json("protection", "show")
    listed = operator.json("protection", "list")

    assert shown.pop("integrator_id")
    assert {
        "enabled": False,
        "required": 2,
        "max_duration_seconds": 86_400,
        "execution_expiry_seconds": 86_400,
        "exclude_api_keys": False,
        "count_requestor": True,
        "administrators": 0,
        "revision": 0,
        "methods": len(GOVERNING_METHODS),
        "protected": len(GOVERNING_METHODS),
    } == shown
    assert {"always"} == {one["mark"] for one in listed}
    assert [] == operator.json("protection", "log")
    assert "Nothing happened yet.\n" == operator("protection", "log").text


def test_turning_protection_on(folder: Operator) -> None:
    """It is on with as many approvers as were asked for; doing it again changes nothing."""
    first, second = (
        folder.json("protection", "enable", "--required", "3", *OF_ACME) for _ in range(2)
    )

    assert first == second == settings(folder)
    assert (True, 3, 3) == (first["enabled"], first["required"], first["administrators"])
    assert 1 == kinds(folder).count("protection.settings_changed")


def test_too_few_administrators(folder: Operator) -> None:
    """More approvers than administrators who can approve are refused, and nothing changes."""
    said = folder("protection", "enable", "--required", "4", *OF_ACME).refused(1)

    assert "This needs 4 administrators who can approve on a paired device; there are 3." == said
    assert not settings(folder)["enabled"]


def test_a_revoked_device_approves_nothing(folder: Operator) -> None:
    """An administrator whose only device was revoked does not count."""
    shown = folder.json("devices", "list")[0]
    folder.json("devices", "revoke", shown["fingerprint"], "--yes")

    assert 2 == settings(folder)["administrators"]


def test_changing_settings(folder: Operator) -> None:
    """What is given changes, the rest stays, and the event has what changed."""
    after = folder.json(
        *("protection", "set", "--max-duration", "3600", "--execution-expiry", "900"),
        *("--exclude-api-keys", "yes", "--count-requestor", "no", *OF_ACME),
    )
    told = folder.json("protection", "log", "--limit", "1", *OF_ACME)[0]

    assert (3_600, 900, True, False, 2) == (
        after["max_duration_seconds"],
        after["execution_expiry_seconds"],
        after["exclude_api_keys"],
        after["count_requestor"],
        after["required"],
    )
    assert {
        "max_duration_seconds": 3_600,
        "execution_expiry_seconds": 900,
        "exclude_api_keys": True,
        "count_requestor": False,
    } == told["settings"]


def test_settings_for_people(folder: Operator) -> None:
    """The page says in words what is set."""
    folder("protection", "set", "--exclude-api-keys", "yes", *OF_ACME)
    before = folder("protection", "show", *OF_ACME).text
    folder("protection", "set", "--count-requestor", "no", "--exclude-api-keys", "no", *OF_ACME)
    after = folder("protection", "show", *OF_ACME).text

    assert "protection  off\n" in before
    assert "API keys    excluded\n" in before
    assert "who asks    is the first approver\n" in before
    assert "API keys    wait like people\n" in after
    assert "who asks    is not an approver\n" in after


@pytest.mark.parametrize(
    "command",
    [
        ("enable", "--required", "3"),
        ("disable",),
        ("set", "--exclude-api-keys", "yes"),
        ("add", "CreateRule"),
        ("remove", "CreateRule"),
        ("reset",),
    ],
    ids=lambda command: command[0],
)
def test_while_protection_is_on(loaded: Operator, command: tuple[str, ...]) -> None:
    """A command that would change something is refused without a reason, and done with one."""
    loaded.json("protection", "add", "CreateRule", "--condition", "request.a == 1", *OF_ACME)
    loaded.json("protection", "enable", *OF_ACME)
    before = settings(loaded)

    said = loaded("protection", *command, *OF_ACME).refused(1)
    kept = settings(loaded)
    printed = loaded("protection", *command, "--break-glass", "A drill", *OF_ACME)

    assert "--break-glass" in said
    assert before == kept
    assert 0 == printed.status
    assert before["revision"] + 1 == settings(loaded)["revision"]
    assert "protection.break_glass" == kinds(loaded)[-2]


def test_turning_protection_off(folder: Operator) -> None:
    """With a reason it is off, and every other setting stays; off it stays when asked again."""
    folder.json("protection", "set", "--max-duration", "3600", *OF_ACME)
    folder.json("protection", "enable", "--required", "3", *OF_ACME)
    folder("protection", "disable", "--break-glass", "A drill", *OF_ACME)
    again = folder.json("protection", "disable", *OF_ACME)

    assert (False, 3, 3_600) == (again["enabled"], again["required"], again["max_duration_seconds"])


def test_loading_the_preset(loaded: Operator) -> None:
    """Its defaults are protected at once, with their conditions; loading again changes nothing."""
    again = loaded.json("protection", "load", "workshop", *OF_ACME)

    assert (28, 20) == (again["methods"], again["protected"])
    assert (True, GLOBAL, "default", False) == tuple(
        method(loaded, "CreateRule")[name] for name in ("protected", "condition", "mark", "drifted")
    )
    assert (False, "ineligible") == tuple(
        method(loaded, "PingAgent")[name] for name in ("protected", "kind")
    )
    assert 1 == kinds(loaded).count("protection.catalogue_registered")


def test_a_preset_that_there_is_not(folder: Operator) -> None:
    """Another name is refused with those that there are."""
    said = folder("protection", "load", "nonsense", *OF_ACME).refused(1)

    assert "there is no preset with this name; there is: workshop." == said


def test_protecting_a_method(loaded: Operator) -> None:
    """A default with another condition has drifted, and one that is removed is eligible again."""
    changed = loaded.json("protection", "add", "CreateRule", *OF_ACME)
    removed = loaded.json("protection", "remove", "CreateRule", *OF_ACME)

    assert (True, "", True) == (changed["protected"], changed["condition"], changed["drifted"])
    assert (False, "eligible") == (removed["protected"], removed["kind"])
    assert "mark" not in removed


def test_methods_for_people(loaded: Operator) -> None:
    """What was done is said in one sentence each."""
    said = [
        loaded("protection", *command, *OF_ACME).text
        for command in (
            ("add", "CreateRule"),
            ("add", "CreateRule", "--condition", GLOBAL),
            ("remove", "CreateRule"),
            ("reset",),
        )
    ]

    assert [
        "CreateRule is protected, every call.\n",
        f"CreateRule is protected where: {GLOBAL}\n",
        "CreateRule is not protected any more.\n",
        "20 of 28 methods are protected.\n",
    ] == said


def test_the_table_of_methods(loaded: Operator) -> None:
    """It has each method in a row; with ``--protected`` only those that are."""
    loaded("protection", "add", "CreateRule", "--condition", "request.a == 1", *OF_ACME)
    rows = loaded("protection", "list", *OF_ACME).text.splitlines()
    protected = loaded.json("protection", "list", "--protected", *OF_ACME)

    assert 1 + 28 == len(rows)
    assert any(row.split()[:1] == ["CreateRule"] and row.split()[-1] == "yes" for row in rows)
    assert 20 == len(protected)


def test_resetting(loaded: Operator) -> None:
    """The defaults are back under their conditions."""
    loaded.json("protection", "add", "CreateRule", *OF_ACME)
    loaded.json("protection", "remove", "DeleteRule", *OF_ACME)
    loaded.json("protection", "reset", *OF_ACME)

    assert GLOBAL == method(loaded, "CreateRule")["condition"]
    assert method(loaded, "DeleteRule")["protected"]
    assert "protection.methods_reset" == kinds(loaded)[-1]


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("add", "PingAgent"), "PingAgent is ineligible and cannot be protected."),
        (("add", "Nonsense"), "No service has registered a method 'Nonsense'."),
        (("remove", "CreateAPIKey"), "CreateAPIKey is always protected."),
        (("remove", "PingAgent"), "PingAgent is not protected."),
        (
            ("add", "CreateRule", "--condition", "request.a"),
            (
                "condition: it has the type DYN, and has to be true or false (BOOL): compare it,"
                " as in request.flag == true."
            ),
        ),
    ],
    ids=["ineligible", "unknown", "always", "unprotected", "condition"],
)
def test_what_cannot_be(loaded: Operator, command: tuple[str, ...], reason: str) -> None:
    """A rule that forbids it is told in its words."""
    assert reason == loaded("protection", *command, *OF_ACME).refused(1)


def test_the_audit_log(loaded: Operator) -> None:
    """People read when, what, on which method, by whom, and the rest."""
    loaded("protection", "add", "CreateRule", "--condition", "request.a == 1", *OF_ACME)
    head, newest, *_ = loaded("protection", "log", *OF_ACME).text.splitlines()
    (told,) = loaded.json("protection", "log", "--limit", "1", *OF_ACME)

    assert ["AT", "WHAT", "METHOD", "BY", "TXID", "MORE"] == head.split()
    assert told.pop("id")
    assert {
        "type": "protection.method_added",
        "by": {"kind": "operator", "id": "host"},
        "method": "CreateRule",
        "condition": "request.a == 1",
        "timestamp": newest.split()[0],
    } == told
    assert 'condition="request.a == 1"' in newest


def test_another_who_is_faster(folder: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change of somebody else in between is kept, and ours is made on top of it."""
    commits: list[int] = []
    commit = AdminStore.commit

    def late(store: AdminStore, *writes: AdminWrite) -> None:
        if not commits:
            known = store.read.protection.protection(ACME.id)
            assert known is not None
            other = protection_rules.set_settings(known, able=3, max_duration_seconds=600)
            assert not isinstance(other, Refusal)
            commit(store, PutProtection(known, other))
        commits.append(1)
        commit(store, *writes)

    monkeypatch.setattr(AdminStore, "commit", late)
    after = folder.json("protection", "enable", *OF_ACME)

    assert (True, 600, 2) == (after["enabled"], after["max_duration_seconds"], len(commits))


def test_others_who_are_always_faster(folder: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few attempts the command gives up in a sentence."""

    def refuse(_store: AdminStore, *_writes: AdminWrite) -> None:
        raise Conflict

    monkeypatch.setattr(AdminStore, "commit", refuse)

    said = folder("protection", "enable", *OF_ACME).refused(1)

    assert "others are changing the protection at the same time; try again." == said


# Beside a serving relay


@pytest.fixture
def relay(operator: Operator) -> Generator[tuple[RunningRelay, str]]:
    """A folder with one integrator, served by a process of its own, and its API key."""
    api_key = str(operator.init()["api_key"])
    with running(operator.data_dir) as started:
        yield started, api_key


def snapshot(relay: RunningRelay, api_key: str) -> dict[str, Any]:
    """What a service learns of protected methods from the relay."""
    answer = httpx2.get(
        f"{relay.url}/v1/protection/snapshot",
        headers={"Authorization": f"Bearer {api_key}"},
        trust_env=False,
    )
    assert 200 == answer.status_code
    members: dict[str, Any] = answer.json()
    return members


def test_a_serving_relay_follows(
    operator: Operator, relay: tuple[RunningRelay, str], tmp_path: Path
) -> None:
    """Services learn of what the command loads, turns on, and turns off without approval."""
    served, api_key = relay
    with served.client(api_key) as client:
        for name in ("alice", "bob"):
            enrolled(client, name, tmp_path)
            operator.json("admins", "add", name)
    operator.json("protection", "load", "workshop")
    operator.json("protection", "enable")
    assert eventually(lambda: snapshot(*relay)["enabled"])
    known = {one["name"]: one for one in snapshot(*relay)["methods"]}

    assert operator("protection", "disable", "--break-glass", "A drill").status == 0

    assert (True, True) == tuple(known["CreateRule"][one] for one in ("protected", "conditional"))
    assert eventually(lambda: not snapshot(*relay)["enabled"])
