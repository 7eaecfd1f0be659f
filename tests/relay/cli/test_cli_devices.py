"""``devices``: listed for all integrators, revoked for all of them."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.cli.past import Past, during, make_past
from tests.relay.cli.prompt import COMMAND, NO_SUCH_DEVICE, NO_SUCH_ID, environment
from tests.relay.simulator import ACME, START, UMBRELLA, SimDevice, granted

from quorumkey.protocol import format_time
from quorumkey_relay.store.writes import PutDevice

if TYPE_CHECKING:
    from tests.relay.cli.prompt import Operator
    from tests.relay.simulator import Simulator

    from quorumkey_relay.identity.principals import Integrator


@pytest.fixture
def past(operator: Operator) -> Past:
    """A folder with two devices and three requests."""
    return make_past(operator.data_dir)


def told(operator: Operator, integrator: Integrator) -> list[dict[str, Any]]:
    """The ``device.revoked`` events of an integrator, as a relay tells them."""
    found: list[dict[str, Any]] = []

    async def read(sim: Simulator) -> None:
        events = await sim.events(integrator)
        found.extend(event for event in events if event["type"] == "device.revoked")

    during(operator.data_dir, read)
    return found


def test_a_device_is_listed_with_its_ties(operator: Operator, past: Past) -> None:
    """The list has each device's platform, assurance and whom it stands for."""
    alice, bob = operator.json("devices", "list")

    assert [past.alice.fingerprint, past.bob.fingerprint] == [
        alice["fingerprint"],
        bob["fingerprint"],
    ]
    assert {"fingerprint", "platform", "assurance", "enrolled_at", "pairings"} == alice.keys()
    assert ["cli", "none"] == [alice["platform"], alice["assurance"]]
    assert alice["pairings"] == [
        {"integrator_id": ACME.id, "approver": {"id": "alice", "name": "Alice"}}
    ]


@pytest.mark.usefixtures("past")
def test_one_integrators_devices(operator: Operator) -> None:
    """With ``--integrator`` only devices paired with that one are listed."""
    assert [2, 0] == [
        len(operator.json("devices", "list", "--integrator", one.id)) for one in (ACME, UMBRELLA)
    ]


def test_the_table_has_whole_fingerprints(operator: Operator, past: Past) -> None:
    """People see who a device stands for, and a fingerprint that can be copied."""
    _, line, _ = operator("devices", "list").text.splitlines()

    assert line.startswith(past.alice.fingerprint)
    assert "Alice of Acme Corp" in line


def test_a_person_without_a_name(operator: Operator) -> None:
    """Somebody who was invited by id alone is listed by that id."""
    acme = operator.init()["integrator"]["id"]
    invited = operator.json("pairings", "create", "--integrator", acme, "--approver", "emp-17")

    async def enroll(sim: Simulator) -> None:
        envelope = await sim.enrollment(SimDevice("?"), invited["pairing_code"])
        await granted(sim.enroll(envelope))

    during(operator.data_dir, enroll)

    (device,) = operator.json("devices", "list")
    assert device["pairings"] == [{"integrator_id": acme, "approver": {"id": "emp-17"}}]
    assert "emp-17 of Acme Corp" in operator("devices", "list").text


def test_how_a_device_is_woken(operator: Operator) -> None:
    """The channel and since when, for each device that has one; never the token."""
    woken: list[str] = []

    async def address(sim: Simulator) -> None:
        alice, bob = await sim.devices("alice", "bob")
        device = sim.store.directory.device(alice.fingerprint)
        assert device is not None
        sealed = sim.vault.seal(b"a token")
        await sim.store.commit(
            (PutDevice(replace(device, push_channel="fcm", push=sealed, push_set_at=START)),)
        )
        woken.extend((alice.fingerprint, bob.fingerprint))

    during(operator.data_dir, address)

    push = {one["fingerprint"]: one.get("push") for one in operator.json("devices", "list")}
    texts = [operator("devices", "show", one).text for one in woken]
    assert [{"channel": "fcm", "since": format_time(START), "faults": 0}, None] == [
        push[one] for one in woken
    ]
    assert f"fcm, since {format_time(START)}" in texts[0]
    assert not any("a token" in text for text in (*texts, operator("devices", "list").text))


def test_a_revoked_device_stays_in_the_list(operator: Operator, past: Past) -> None:
    """A revoked device is listed with the time of its revocation."""
    done = operator.json("devices", "revoke", past.alice.fingerprint, "--yes")

    alice, bob = operator.json("devices", "list")
    assert {"fingerprint": past.alice.fingerprint, "revoked_at": alice["revoked_at"]} == done
    assert "revoked_at" not in bob


def test_revoking_again_changes_nothing(operator: Operator, past: Past) -> None:
    """The first revocation stands, asks nobody the second time, and is told once."""
    first = operator.json("devices", "revoke", past.alice.fingerprint, "--yes")

    assert first == operator.json("devices", "revoke", past.alice.fingerprint)
    assert len(told(operator, ACME)) == 1


def test_every_integrator_is_told(operator: Operator, past: Past) -> None:
    """Each integrator that the device is paired with gets an event with the reason."""

    async def pair_elsewhere(sim: Simulator) -> None:
        await sim.admit(past.alice, UMBRELLA)

    during(operator.data_dir, pair_elsewhere)

    operator.json("devices", "revoke", past.alice.fingerprint, "--reason", "Lost", "--yes")

    for integrator in (ACME, UMBRELLA):
        (event,) = told(operator, integrator)
        assert event["fingerprint"] == past.alice.fingerprint
        assert event["approver"] == {"id": "alice", "name": "Alice"}
        assert event["reason"] == "Lost"


def test_approvals_of_a_revoked_device_no_longer_count(operator: Operator, past: Past) -> None:
    """After a revocation while nobody served, the next start takes the approval out."""
    operator.json("devices", "revoke", past.alice.fingerprint, "--yes")

    async def look(sim: Simulator) -> None:
        view = await sim.read(past.requests["pending"])
        assert [] == view.groups_satisfied

    during(operator.data_dir, look)


def test_a_finished_request_stays_as_it_is(operator: Operator, past: Past) -> None:
    """Revoking a device changes nothing about a request that it helped to approve."""
    operator.json("devices", "revoke", past.alice.fingerprint, "--yes")

    shown = operator.json("requests", "show", past.requests["approved"].id)
    assert shown["status"] == "approved"
    assert len(shown["decisions"]) == 2


@pytest.mark.parametrize(("answer", "revoked"), [("y\n", True), ("n\n", False), ("", False)])
def test_people_are_asked_first(
    operator: Operator, past: Past, answer: str, *, revoked: bool
) -> None:
    """Without ``--yes`` only a yes revokes; no answer is a no."""
    done = subprocess.run(
        [
            *(*COMMAND, "devices", "revoke", past.alice.fingerprint),
            *("--data-dir", str(operator.data_dir)),
        ],
        env=environment(),
        input=answer,
        capture_output=True,
        text=True,
        check=False,
    )

    question = f"Revoke {past.alice.fingerprint} (Alice of Acme Corp) for good? [y/N]:"
    assert done.stderr.startswith(question)
    assert (done.returncode == 0) is revoked
    assert ("revoked_at" in operator.json("devices", "list")[0]) is revoked
    if not revoked:
        assert "nothing was changed" in done.stderr


@pytest.mark.usefixtures("past")
def test_an_unknown_device_cannot_be_revoked(operator: Operator) -> None:
    """A fingerprint of nobody is refused."""
    sentence = operator("devices", "revoke", NO_SUCH_DEVICE, "--yes").refused(1)

    assert sentence == (
        "there is no device with this fingerprint; see: quorumkey-relay devices list."
    )


@pytest.mark.parametrize("reason", ["", "A" * 501, "a\u0007b"])
def test_a_reason_is_text_that_people_can_see(operator: Operator, past: Past, reason: str) -> None:
    """A reason that integrators could not read is refused, and nothing is revoked."""
    operator("devices", "revoke", past.alice.fingerprint, "--reason", reason, "--yes").refused(2)

    assert "revoked_at" not in operator.json("devices", "list")[0]


@pytest.mark.usefixtures("past")
def test_an_unknown_integrator_has_no_devices(operator: Operator) -> None:
    """Devices are listed only for an integrator that exists."""
    assert (
        operator("devices", "list", "--integrator", NO_SUCH_ID)
        .refused(1)
        .startswith("there is no integrator with this id")
    )


def test_a_device_that_left_everybody(operator: Operator, past: Past) -> None:
    """A device without any pairing is listed as nobody's, and can be revoked."""

    async def leave(sim: Simulator) -> None:
        await sim.unpair(past.bob)

    during(operator.data_dir, leave)

    assert [] == operator.json("devices", "list")[1]["pairings"]
    assert "nobody" in operator("devices", "list").text
    assert operator.json("devices", "revoke", past.bob.fingerprint, "--yes")
