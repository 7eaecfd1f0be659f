"""Things that happen between two steps of a call: what counts is what holds at the commit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    SimDevice,
    SimPasskey,
    Simulator,
    granted,
    refused,
)

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.sqlite import AdminStore
from quorumkey_relay.store.writes import PutDevice, PutPairing
from quorumkey_relay.usecases.attest import Verdict

if TYPE_CHECKING:
    from quorumkey.protocol import Enrollment
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.usecases.attest import Attestor
    from quorumkey_relay.usecases.commands import AttestationBody

pytestmark = pytest.mark.anyio


def stored(sim: Simulator, device: SimDevice) -> Device:
    """A device as the relay knows it."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known


def revoke_unfollowed(sim: Simulator, device: SimDevice) -> None:
    """The command line revokes a device; the relay knows, and has not followed up yet."""
    with AdminStore(sim.relay.settings.data_dir, vault=sim.vault) as admin:
        admin.commit(PutDevice(replace(stored(sim, device), revoked_at=sim.clock.now())))
    sim.store.take_changes()


async def test_a_revocation_that_was_not_followed_yet_counts(sim: Simulator) -> None:
    """An approval of a revoked device does not approve, whoever is faster."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    request = await sim.ask([alice], [bob], [carol], required=2)
    await sim.approve(request, alice)
    revoke_unfollowed(sim, alice)

    second = await granted(sim.decide(bob, request))
    third = await granted(sim.decide(carol, request))

    assert [("pending", 1), ("approved", 2)] == [
        (view.status, view.groups_satisfied_count) for view in (second, third)
    ]
    assert ["Group 2", "Group 3"] == (await sim.read(request)).groups_satisfied


async def test_a_revocation_can_make_the_approval_come_too_late(sim: Simulator) -> None:
    """Where the lost device made the quorum impossible, the decision finds a finished request."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2, reject_policy="quorum_impossible")
    await sim.approve(request, alice)
    revoke_unfollowed(sim, alice)

    refusal = await refused(sim.decide(bob, request))

    assert ("request_completed", {"status": "rejected"}) == (refusal.code, refusal.details)
    assert ["mpa.rejected"] == await sim.outcomes()


async def test_an_unpairing_during_a_sessions_commit(sim: Simulator) -> None:
    """A session whose device leaves before it is open is not opened."""
    alice = SimPasskey("alice")  # its counter has to be stored, so the call waits for the disk
    await sim.admit(alice)
    session, leaving = await sim.session(alice), await sim.unpairing(alice)
    opening = asyncio.ensure_future(sim.use.open_session(envelope=session))
    await asyncio.sleep(0)

    assert None is await sim.use.unpair(envelope=leaving)

    answer = await opening
    token = None if isinstance(answer, Refusal) else sim.use.device_of_token(answer.token)
    assert None is token


async def test_a_revocation_during_a_sessions_commit(sim: Simulator) -> None:
    """A session whose device is revoked before it is open is refused."""
    alice = SimPasskey("alice")
    await sim.admit(alice)
    opening = asyncio.ensure_future(sim.use.open_session(envelope=await sim.session(alice)))
    await asyncio.sleep(0)
    revoke_unfollowed(sim, alice)

    refusal = await refused(opening)

    assert "device_revoked" == refusal.code


class SlowAttestor:
    """An attestor that lets something happen before it answers."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.answer = asyncio.Event()

    async def __call__(
        self, enrollment: Enrollment, attestation: AttestationBody | None, *, now: int
    ) -> Verdict | Refusal:
        """Wait until it is told to answer."""
        del enrollment, attestation, now
        self.asked.set()
        await self.answer.wait()
        return Verdict(None)


def slow(sim: Simulator) -> SlowAttestor:
    """Give the relay a slow attestor."""
    attestor = SlowAttestor()
    checked: Attestor = attestor
    object.__setattr__(sim.use.enroll, "attestor", checked)
    return attestor


async def test_a_revocation_while_evidence_is_looked_at(sim: Simulator) -> None:
    """A key that is revoked meanwhile does not enrol."""
    alice = await sim.device("alice")
    attestor, code = slow(sim), await sim.code("alice")
    enrolling = asyncio.ensure_future(sim.enroll(await sim.enrollment(alice, code)))
    await attestor.asked.wait()
    revoke_unfollowed(sim, alice)
    attestor.answer.set()

    assert "device_revoked" == (await refused(enrolling)).code


async def test_two_enrolments_while_evidence_is_looked_at(sim: Simulator) -> None:
    """Of two devices that wait with one code, the first to be through wins."""
    attestor, code = slow(sim), await sim.code("alice")
    enrolling = [
        asyncio.ensure_future(sim.enroll(await sim.enrollment(SimDevice("alice"), code)))
        for _ in range(2)
    ]
    await attestor.asked.wait()
    attestor.answer.set()

    answers = await asyncio.gather(*enrolling)

    assert ["pairing_expired"] == [one.code for one in answers if isinstance(one, Refusal)]


async def test_a_tie_that_was_ended_elsewhere_loses_its_approval(sim: Simulator) -> None:
    """A tie that another process ended is no standing at the commit that would approve."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    (tie,) = stored(sim, alice).pairings.values()
    with AdminStore(sim.relay.settings.data_dir, vault=sim.vault) as admin:
        admin.commit(PutPairing(replace(tie, ended_at=sim.clock.now())))
    sim.store.take_changes()

    view = await granted(sim.decide(bob, request))

    assert ("pending", 1) == (view.status, view.groups_satisfied_count)
