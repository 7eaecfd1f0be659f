"""A key that is known already enrols: with its code, another code, or after its end."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    ACME,
    UMBRELLA,
    ManualClock,
    SimDevice,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey.protocol import FcmAddress, PrivateKey
from quorumkey_relay.store.writes import PutDevice

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.identity.principals import Device

pytestmark = pytest.mark.anyio


def stored(sim: Simulator, device: SimDevice) -> Device:
    """A device as the relay knows it."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known


async def test_a_lost_answer_is_given_again(sim: Simulator) -> None:
    """The same key with the same code and a new nonce gets the first answer, as no first one."""
    alice, code = SimDevice("alice"), await sim.code("alice")
    first = await granted(sim.enroll(await sim.enrollment(alice, code)))
    sim.clock.advance(599)

    again = await granted(sim.enroll(await sim.enrollment(alice, code)))

    assert (True, False, first.view) == (first.first, again.first, again.view)
    assert 1 == len(await sim.events())


async def test_a_lost_answer_is_given_again_after_a_restart(tmp_path: Path) -> None:
    """A used code is remembered over a restart, as long as it lives."""
    async with simulator(tmp_path) as sim:
        alice, code = SimDevice("alice"), await sim.code("alice")
        first = await granted(sim.enroll(await sim.enrollment(alice, code)))
    async with simulator(tmp_path) as sim:
        again = await granted(sim.enroll(await sim.enrollment(alice, code)))

    assert (first.view, False) == (again.view, again.first)


async def test_a_lost_answer_needs_a_new_nonce(sim: Simulator) -> None:
    """The very same envelope is refused: its nonce is spent."""
    alice = SimDevice("alice")
    envelope = await sim.enrollment(alice, await sim.code("alice"))
    await granted(sim.enroll(envelope))

    assert "nonce_expired" == (await refused(sim.enroll(envelope))).code


async def test_the_answer_ends_with_the_code(sim: Simulator) -> None:
    """After the code's life it is expired for its own device too."""
    alice, code = SimDevice("alice"), await sim.code("alice")
    await granted(sim.enroll(await sim.enrollment(alice, code)))
    sim.clock.advance(600)

    refusal = await refused(sim.enroll(await sim.enrollment(alice, code)))

    assert "pairing_expired" == refusal.code


async def test_the_answer_ends_with_the_tie(sim: Simulator) -> None:
    """A device that left does not come back with the code that it came with."""
    alice, code = SimDevice("alice"), await sim.code("alice")
    await granted(sim.enroll(await sim.enrollment(alice, code)))
    await sim.unpair(alice)

    refusal = await refused(sim.enroll(await sim.enrollment(alice, code)))

    assert "pairing_expired" == refusal.code


async def test_a_revoked_device_does_not_get_the_answer_again(sim: Simulator) -> None:
    """Its code is its own, but its key is revoked."""
    alice, code = SimDevice("alice"), await sim.code("alice")
    await granted(sim.enroll(await sim.enrollment(alice, code)))
    await sim.store.commit((PutDevice(replace(stored(sim, alice), revoked_at=1)),))

    refusal = await refused(sim.enroll(await sim.enrollment(alice, code)))

    assert "device_revoked" == refusal.code


async def test_a_revoked_key_never_enrols_again(tmp_path: Path) -> None:
    """Neither with a new code, nor with another integrator, nor after a restart."""
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        await sim.store.commit((PutDevice(replace(stored(sim, alice), revoked_at=1)),))
        codes = [await sim.code("alice"), await sim.code("alice", UMBRELLA)]
        codes_now = [
            (await refused(sim.enroll(await sim.enrollment(alice, code)))).code for code in codes
        ]
    async with simulator(tmp_path) as sim:
        later = await refused(sim.enroll(await sim.enrollment(alice, await sim.code("alice"))))

    assert ["device_revoked"] * 3 == [*codes_now, later.code]


async def test_a_key_is_one_approvers_of_an_integrator(sim: Simulator) -> None:
    """A key that is paired for one approver cannot be paired for another one."""
    alice = await sim.device("alice")
    envelope = await sim.enrollment(alice, await sim.code("bob"))

    assert "device_conflict" == (await refused(sim.enroll(envelope))).code


async def test_a_conflict_does_not_spend_the_code(sim: Simulator) -> None:
    """The code that a wrong device tried still pairs the right one."""
    alice, code = await sim.device("alice"), await sim.code("bob")
    await refused(sim.enroll(await sim.enrollment(alice, code)))

    enrolled = await granted(sim.enroll(await sim.enrollment(SimDevice("bob"), code)))

    assert enrolled.first


async def test_a_key_may_be_other_people_for_other_integrators(sim: Simulator) -> None:
    """Approver ids are an integrator's own: the same key may be paired with each."""
    alice = await sim.device("alice")
    enrolled = await granted(
        sim.enroll(await sim.enrollment(alice, await sim.code("employee-17", UMBRELLA)))
    )

    assert (True, UMBRELLA.id) == (enrolled.first, enrolled.view.integrator.id)
    assert {ACME.id: "alice", UMBRELLA.id: "employee-17"} == {
        integrator: tie.approver_id for integrator, tie in stored(sim, alice).pairings.items()
    }


async def test_an_unpaired_key_may_enrol_again(sim: Simulator) -> None:
    """With a new code, and then for anybody."""
    alice = await sim.device("alice")
    await sim.unpair(alice)
    enrolled = await granted(sim.enroll(await sim.enrollment(alice, await sim.code("bob"))))

    request = await sim.ask([alice])
    await sim.approve(request, alice)

    assert enrolled.first
    assert "approved" == (await sim.read(request)).status


async def test_a_second_code_moves_the_tie(tmp_path: Path) -> None:
    """A paired device that enrols with a new code has one tie, and unpairing ends it for good."""
    clock = ManualClock()
    async with simulator(tmp_path, clock) as sim:
        alice = await sim.device("alice")
        second = await sim.admit(alice)
        await sim.unpair(alice)
        clock.advance(3_600)  # both codes are forgotten by now
    async with simulator(tmp_path, clock) as sim:
        refusal = await sim.ask_refused([alice])
        ties = dict(stored(sim, alice).pairings)

    assert (True, "unknown_device", {}) == (second.first, refusal.code, ties)


async def test_a_second_code_keeps_open_requests(sim: Simulator) -> None:
    """Enrolling again takes nothing away: what was approved stays, and others can be."""
    alice, bob = await sim.devices("alice", "bob")
    before = await sim.ask([alice], [bob], required=2)
    open_one = await sim.ask([alice])
    await sim.approve(before, alice)
    await sim.admit(alice)

    await sim.approve(open_one, alice)
    await sim.approve(before, bob)

    assert ["approved"] * 2 == [(await sim.read(one)).status for one in (before, open_one)]


async def test_enrolling_again_changes_what_the_device_says(sim: Simulator) -> None:
    """Platform and session key are the last ones; without a session key the earlier one stays."""
    alice = await sim.device("alice")
    session_key = PrivateKey.generate().public_key
    await sim.admit(alice, platform="android", session_public_key=session_key.base64)
    with_key = stored(sim, alice)
    await sim.admit(alice, platform="web")

    found = stored(sim, alice)

    assert ("android", session_key.compressed) == (with_key.platform, with_key.session_key)
    assert ("web", session_key.compressed) == (found.platform, found.session_key)


async def test_enrolling_again_keeps_the_proved_level(sim: Simulator) -> None:
    """An enrolment that proves nothing leaves the stored level as it is."""
    alice = await sim.device("alice")
    await sim.store.commit((PutDevice(replace(stored(sim, alice), assurance="tee")),))

    enrolled = await sim.admit(alice)

    assert "tee" == enrolled.view.assurance


async def test_enrolling_elsewhere_keeps_the_push_address(sim: Simulator) -> None:
    """The address is the device's, whichever integrator it is paired with."""
    alice = await sim.device("alice")
    await sim.use.set_push(envelope=await sim.push(alice, FcmAddress("token")))

    await sim.admit(alice, UMBRELLA)

    assert "fcm" == stored(sim, alice).push_channel
