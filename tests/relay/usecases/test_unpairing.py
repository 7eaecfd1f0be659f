"""Devices lose their standing: by themselves, by their integrator, by the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    ACME,
    UMBRELLA,
    SimDevice,
    SimPasskey,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey.protocol import FcmAddress, PrivateKey
from quorumkey_relay.domain.refusal import NOT_FOUND
from quorumkey_relay.store.sqlite import AdminStore
from quorumkey_relay.store.writes import AppendEvent, PutDevice
from quorumkey_relay.usecases.advance import device_event
from quorumkey_relay.usecases.commands import PairingBody, PartyBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from quorumkey_relay.identity.principals import Device

pytestmark = pytest.mark.anyio


def stored(sim: Simulator, device: SimDevice) -> Device:
    """A device as the relay knows it."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known


async def remove(sim: Simulator, device: SimDevice) -> object:
    """The integrator ends a pairing."""
    return await sim.use.remove_device(integrator_id=ACME.id, fingerprint=device.fingerprint)


async def revoke(sim: Simulator, device: SimDevice) -> None:
    """The command line revokes a device, and the relay follows."""
    known = replace(stored(sim, device), revoked_at=sim.clock.now())
    with AdminStore(sim.relay.settings.data_dir, vault=sim.vault) as admin:
        events = [
            AppendEvent(
                device_event(
                    "device.revoked",
                    known,
                    tie,
                    now=sim.clock.now(),
                    mint=sim.relay.mint,
                    reason="revoked",
                )
            )
            for tie in known.pairings.values()
        ]
        admin.commit(PutDevice(known), *events)
    await sim.relay.follow_changes()


async def leave(sim: Simulator, device: SimDevice) -> None:
    """The device unpairs itself."""
    await sim.unpair(device)


WAYS: dict[str, Callable[[Simulator, SimDevice], Awaitable[object]]] = {
    "unpair": leave,
    "remove": remove,
    "revoke": revoke,
}


# What is answered


async def test_a_device_leaves_one_integrator(sim: Simulator) -> None:
    """With an ``integrator_id`` only that tie ends."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)

    await sim.unpair(alice, ACME.id)

    assert [UMBRELLA.id] == list(stored(sim, alice).pairings)


async def test_a_device_leaves_everybody(sim: Simulator) -> None:
    """Without an ``integrator_id`` every tie ends, and each integrator hears of it."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)

    await sim.unpair(alice)

    assert {} == dict(stored(sim, alice).pairings)
    for integrator in (ACME, UMBRELLA):
        assert {
            "type": "device.revoked",
            "fingerprint": alice.fingerprint,
            "approver": {"id": "alice", "name": "Alice"},
            "assurance": "none",
            "reason": "unpaired",
            "timestamp": "2027-01-15T08:00:00Z",
        } == (await sim.events(integrator))[-1]


async def test_a_device_cannot_leave_who_it_is_not_paired_with(sim: Simulator) -> None:
    """An integrator that it has no tie with is not found, and nothing ends."""
    alice = await sim.device("alice")

    refusal = await refused(sim.use.unpair(envelope=await sim.unpairing(alice, UMBRELLA.id)))

    assert ("not_found", [ACME.id]) == (refusal.code, list(stored(sim, alice).pairings))


async def test_a_device_that_left_cannot_leave_again(sim: Simulator) -> None:
    """Who is paired with nobody has no standing."""
    alice = await sim.device("alice")
    await sim.unpair(alice)

    refusal = await refused(sim.use.unpair(envelope=await sim.unpairing(alice)))

    assert "device_revoked" == refusal.code


async def test_only_the_device_key_leaves(sim: Simulator) -> None:
    """A session key cannot unpair."""
    alice, session_key = SimDevice("alice"), PrivateKey.generate()
    await sim.admit(alice, session_public_key=session_key.public_key.base64)

    refusal = await refused(sim.use.unpair(envelope=await sim.unpairing(alice, key=session_key)))

    assert "invalid_signature" == refusal.code


async def test_an_integrator_removes_its_device(sim: Simulator) -> None:
    """The tie ends, and the device cannot be named any more."""
    alice = await sim.device("alice")

    answer = await remove(sim, alice)

    assert None is answer
    assert "unknown_device" == (await sim.ask_refused([alice])).code


async def test_an_integrator_removes_only_its_own(sim: Simulator) -> None:
    """Unknown devices, another integrator's and removed ones are not found."""
    alice, stranger = await sim.device("alice"), await sim.device("bob", UMBRELLA)
    await remove(sim, alice)

    answers = [await remove(sim, device) for device in (alice, stranger, SimDevice("mallory"))]

    assert [NOT_FOUND] * 3 == answers


# What follows from it


@pytest.mark.parametrize("way", list(WAYS))
async def test_an_approval_goes_with_its_device(sim: Simulator, way: str) -> None:
    """However a device loses its standing, its approval satisfies nothing any more."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)

    await WAYS[way](sim, alice)
    await sim.approve(request, bob)

    view = await sim.read(request)
    assert ("pending", ["Group 2"]) == (view.status, view.groups_satisfied)


async def test_a_denial_stands_without_its_device(sim: Simulator) -> None:
    """A device that denied and left keeps its voter out."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], reject_policy="quorum_impossible")
    await sim.deny(request, alice)
    await sim.unpair(alice)

    await sim.deny(request, bob)

    assert "rejected" == (await sim.read(request)).status


async def test_leaving_can_make_a_quorum_impossible(sim: Simulator) -> None:
    """With ``quorum_impossible`` the request ends in the commit of the unpairing."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2, reject_policy="quorum_impossible")

    await sim.unpair(alice)

    assert ("rejected", ["mpa.rejected"]) == (
        (await sim.read(request)).status,
        await sim.outcomes(),
    )


async def test_leaving_after_the_expiry_changes_nothing(sim: Simulator) -> None:
    """A request that has timed out, swept or not, keeps what it was approved by."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    sim.clock.advance(300)

    await sim.unpair(alice)

    view = await sim.read(request)
    assert ("timeout", ["Group 1"]) == (view.status, view.groups_satisfied)


async def test_an_approver_without_a_name_leaves(sim: Simulator) -> None:
    """Where no name was given, the event has none."""
    body = PairingBody(approver=PartyBody(id="employee-17"))
    made = await granted(sim.use.create_pairing(integrator=ACME, body=body, idempotency=None))
    device = SimDevice("employee-17")
    code = str(json.loads(made)["pairing_code"])
    await granted(sim.enroll(await sim.enrollment(device, code)))

    await sim.unpair(device)

    assert [{"id": "employee-17"}] * 2 == [event["approver"] for event in await sim.events()]


async def test_leaving_one_integrator_leaves_the_others_requests_alone(sim: Simulator) -> None:
    """An approval in another integrator's request still counts."""
    alice, bob = await sim.devices("alice", "bob")
    for device in (alice, bob):
        await sim.admit(device, UMBRELLA)
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    await sim.unpair(alice, UMBRELLA.id)

    await sim.approve(request, bob)

    assert "approved" == (await sim.read(request)).status


async def test_finished_requests_and_receipts_stay(sim: Simulator) -> None:
    """What a device approved before it left remains approved."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    await sim.approve(request, alice)
    before = await sim.receipt(request)

    await sim.unpair(alice)

    assert before == await sim.receipt(request)


async def test_who_comes_back_is_out_of_what_was_open(sim: Simulator) -> None:
    """A device that left and is paired again does not approve the requests of before."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice, bob])
    await sim.unpair(alice)
    await sim.admit(alice)

    refusal = await refused(sim.decide(alice, request))
    await sim.approve(await sim.ask([alice]), alice)

    assert ("device_revoked", "pending") == (refusal.code, (await sim.read(request)).status)


@pytest.mark.parametrize("way", list(WAYS))
async def test_sessions_and_sockets_end(sim: Simulator, way: str) -> None:
    """Once it was answered, the device's tokens are void and its socket closed with 4403."""
    alice, bob = await sim.devices("alice", "bob")
    tokens = [await sim.token(alice) for _ in range(2)]
    kept = await sim.token(bob)
    streams = [sim.listen(alice), sim.listen(bob)]

    await WAYS[way](sim, alice)

    assert [None, None, bob.fingerprint] == [
        sim.use.device_of_token(token) for token in (*tokens, kept)
    ]
    assert [4403, None] == [stream.closed_with for stream in streams]


async def test_leaving_one_integrator_ends_sessions_too(sim: Simulator) -> None:
    """The device opens a new session for those that it stays with."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)
    token = await sim.token(alice)

    await sim.unpair(alice, ACME.id)

    assert None is sim.use.device_of_token(token)
    assert alice.fingerprint == sim.use.device_of_token(await sim.token(alice))


async def test_push_address_and_session_key_go_with_the_last_tie(sim: Simulator) -> None:
    """A device that is paired with nobody leaves nothing that could reach it."""
    alice, session_key = SimDevice("alice"), PrivateKey.generate()
    await sim.admit(alice, session_public_key=session_key.public_key.base64)
    await sim.admit(alice, UMBRELLA)
    await sim.use.set_push(envelope=await sim.push(alice, FcmAddress("token")))
    await sim.unpair(alice, ACME.id)
    between = stored(sim, alice)
    await sim.unpair(alice)

    after = stored(sim, alice)

    assert ("fcm", True) == (between.push_channel, between.session_key is not None)
    assert ("none", None, None) == (after.push_channel, after.push, after.session_key)


async def test_an_old_session_key_is_not_good_for_a_new_pairing(sim: Simulator) -> None:
    """The session key is dropped with the device."""
    alice, session_key = SimDevice("alice"), PrivateKey.generate()
    await sim.admit(alice, session_public_key=session_key.public_key.base64)
    await sim.unpair(alice)
    await sim.admit(alice)

    refusal = await refused(
        sim.use.open_session(envelope=await sim.session(alice, key=session_key))
    )

    assert "invalid_signature" == refusal.code


async def test_a_passkeys_counter_is_kept_when_it_leaves(sim: Simulator) -> None:
    """The signature that unpairs counts like any other."""
    alice = SimPasskey("alice")
    await sim.admit(alice)
    await sim.admit(alice, UMBRELLA)

    await sim.unpair(alice, UMBRELLA.id)

    assert alice.counter == stored(sim, alice).sign_count == 3


# The command line


async def test_a_revoked_device_is_refused_everywhere(sim: Simulator) -> None:
    """No session, no decision, no unpairing, no new request."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice, bob])
    await revoke(sim, alice)

    refusals = [
        await refused(sim.use.open_session(envelope=await sim.session(alice))),
        await refused(sim.decide(alice, request)),
        await refused(sim.use.unpair(envelope=await sim.unpairing(alice))),
        await sim.ask_refused([alice]),
    ]

    assert ["device_revoked"] * 3 + ["unknown_device"] == [one.code for one in refusals]


async def test_a_revocation_while_the_relay_was_down_is_followed(tmp_path: Path) -> None:
    """At start, what lost its standing meanwhile is taken out of open requests."""
    async with simulator(tmp_path) as sim:
        alice, bob = await sim.devices("alice", "bob")
        request = await sim.ask([alice], [bob], required=2)
        await sim.approve(request, alice)
        known, vault = stored(sim, alice), sim.vault
    with AdminStore(tmp_path, vault=vault) as admin:
        admin.commit(PutDevice(replace(known, revoked_at=1)))
    async with simulator(tmp_path) as sim:
        await sim.approve(request, bob)
        view = await sim.read(request)

    assert ("pending", ["Group 2"]) == (view.status, view.groups_satisfied)


async def test_starting_again_changes_nothing_more(tmp_path: Path) -> None:
    """What was taken out at one start is not taken out again at the next."""
    async with simulator(tmp_path) as sim:
        alice, bob = await sim.devices("alice", "bob")
        request = await sim.ask([alice], [bob], required=2)
        await sim.unpair(alice)
    versions: list[int] = []
    for _ in range(2):
        async with simulator(tmp_path) as sim:
            found = await sim.store.load(request.id)
            assert found is not None
            versions.append(found.state.version)

    assert [1, 1] == versions


async def test_a_change_that_takes_no_standing_away(sim: Simulator) -> None:
    """A device that another process touched without revoking it goes on as before."""
    alice = await sim.device("alice")
    token, stream = await sim.token(alice), sim.listen(alice)

    await sim.relay.standing.revoked_elsewhere(alice.fingerprint)
    await sim.relay.standing.revoked_elsewhere("00" * 32)

    assert (alice.fingerprint, None) == (sim.use.device_of_token(token), stream.closed_with)


async def test_the_integrator_sees_a_revoked_device(sim: Simulator) -> None:
    """A device that was revoked or removed is still shown, with the time of its end."""
    alice, bob = await sim.devices("alice", "bob")
    sim.clock.advance(5)
    await revoke(sim, alice)
    await remove(sim, bob)

    ends = [
        (
            await granted(
                sim.use.read_device(integrator_id=ACME.id, fingerprint=device.fingerprint)
            )
        ).revoked_at
        for device in (alice, bob)
    ]

    assert ["2027-01-15T08:00:05Z"] * 2 == ends
