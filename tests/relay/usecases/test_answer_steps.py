"""How a decision is received: the steps of section 5 that need the store and the signature."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TypedDict

import pytest
from tests.relay.simulator import (
    ACME,
    START,
    UMBRELLA,
    Asked,
    SimDevice,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey.protocol import Decision, Envelope, Kind, sign
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.writes import PutDevice
from quorumkey_relay.usecases.commands import PartyBody
from quorumkey_relay.usecases.views import DecisionView

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Unpack

    from quorumkey.protocol import DecisionValue
    from quorumkey_relay.domain.refusal import Refusal

pytestmark = pytest.mark.anyio

DECISIONS: list[DecisionValue] = ["approve", "deny"]


class DecisionMembers(TypedDict, total=False):
    """What a decision says besides."""

    device: str
    code: str


def signed(
    device: SimDevice,
    request: Asked,
    decision: DecisionValue = "approve",
    /,
    *,
    at: int = START,
    **members: Unpack[DecisionMembers],
) -> Envelope:
    """A decision whose payload says what it is told to."""
    statement = Decision(
        request_digest=request.digest,
        decision=decision,
        device=members.get("device", device.fingerprint),
        decided_at=at,
        code=members.get("code"),
    )
    return device.sign(Kind.DECISION, statement.encode())


async def send(sim: Simulator, request: Asked, envelope: Envelope) -> Refusal:
    """Why an envelope is refused as a decision."""
    return await refused(sim.use.decide(request_id=request.id, envelope=envelope))


async def test_a_decision_is_answered_with_how_the_request_stands(sim: Simulator) -> None:
    """Each device is told what its decision led to."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)

    answers = [await sim.decide(alice, request), await sim.decide(bob, request)]

    assert [
        DecisionView("pending", 1, 2, "approve"),
        DecisionView("approved", 2, 2, "approve"),
    ] == answers


async def test_only_a_decision_decides(sim: Simulator) -> None:
    """(1) An envelope of another type is refused before anything is looked up."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    other = await sim.session(alice)

    assert "invalid_request" == (await send(sim, request, other)).code


async def test_an_unknown_request_is_not_found(sim: Simulator) -> None:
    """(2) A request that never was, under an id that could be one."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])

    for unknown in (SystemMint().uuid7(), "not an id"):
        refusal = await refused(sim.use.decide(request_id=unknown, envelope=signed(alice, request)))

        assert "not_found" == refusal.code


async def test_a_device_that_was_not_named_finds_nothing(sim: Simulator) -> None:
    """(2) Who is no approver is told the same as if there were no request."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice])

    refusals = [
        await send(sim, request, signed(device, request)) for device in (bob, SimDevice("mallory"))
    ]

    assert ["not_found"] * 2 == [refusal.code for refusal in refusals]


async def test_a_signature_of_another_key_is_refused(sim: Simulator) -> None:
    """(3) The signature has to verify under the key that ``keyid`` names."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice, bob])
    forged = replace(
        sign(Kind.DECISION, signed(alice, request).payload, bob.key), keyid=alice.fingerprint
    )

    assert "invalid_signature" == (await send(sim, request, forged)).code


async def test_a_signature_over_another_payload_is_refused(sim: Simulator) -> None:
    """(3) An approval does not become a denial."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    turned = replace(signed(alice, request), payload=signed(alice, request, "deny").payload)

    assert "invalid_signature" == (await send(sim, request, turned)).code


async def test_a_payload_with_an_unknown_member_is_refused(sim: Simulator) -> None:
    """(4) A signed payload is read strictly, once its signature holds."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    payload = signed(alice, request).payload.replace(b"{", b'{"also":1,', 1)

    refusal = await send(sim, request, alice.sign(Kind.DECISION, payload))

    assert "invalid_request" == refusal.code


async def test_a_device_speaks_for_itself(sim: Simulator) -> None:
    """(4) ``device`` is the key that signed."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice, bob])

    refusal = await send(sim, request, signed(alice, request, device=bob.fingerprint))

    assert "invalid_request" == refusal.code


async def test_a_decision_is_for_one_request(sim: Simulator) -> None:
    """(4) A decision that was signed for another request is refused."""
    alice = await sim.device("alice")
    first, second = await sim.ask([alice]), await sim.ask([alice])

    refusal = await send(sim, first, signed(alice, second))

    assert "invalid_request" == refusal.code


async def test_an_unpaired_device_cannot_decide(sim: Simulator) -> None:
    """(5) A device that left is refused, whatever it decides."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice, bob])
    await sim.unpair(alice)

    refusals = [
        await send(sim, request, signed(alice, request, decision)) for decision in DECISIONS
    ]

    assert ["device_revoked"] * 2 == [refusal.code for refusal in refusals]


async def test_a_device_paired_elsewhere_only_cannot_decide(sim: Simulator) -> None:
    """(5) Standing is with the request's integrator."""
    alice, bob = await sim.devices("alice", "bob")
    await sim.admit(alice, UMBRELLA)
    request = await sim.ask([alice, bob])
    await sim.unpair(alice, ACME.id)

    refusal = await send(sim, request, signed(alice, request))

    assert "device_revoked" == refusal.code


async def test_deciding_again_is_answered_with_how_it_stands_now(sim: Simulator) -> None:
    """(6) The same decision once more gets 200 with the state of the request."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice, bob)

    again = await granted(sim.decide(alice, request))

    assert DecisionView("approved", 2, 2, "approve") == again


async def test_the_first_envelope_stays_the_evidence(sim: Simulator) -> None:
    """(6) A second signature for the same decision is not kept."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    first, second = signed(alice, request), signed(alice, request, at=START + 1)
    for envelope in (first, second):
        await granted(sim.use.decide(request_id=request.id, envelope=envelope))

    found = await sim.store.evidence(request.id)

    assert [first] == [one.envelope for one in found]


async def test_a_mind_is_not_changed(sim: Simulator) -> None:
    """(6) The other decision is refused, and the first one stands."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)

    refusal = await send(sim, request, signed(alice, request, "deny"))

    assert "already_decided" == refusal.code
    assert ["Group 1"] == (await sim.read(request)).groups_satisfied


async def test_a_finished_request_is_not_decided(sim: Simulator) -> None:
    """(7) What has ended says how."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    await sim.cancel(request)

    refusal = await send(sim, request, signed(alice, request))

    assert ("request_completed", {"status": "cancelled"}) == (refusal.code, refusal.details)


async def test_a_request_is_decided_until_it_expires(sim: Simulator) -> None:
    """(7) One second before ``expires_at`` a decision counts; in that second it is late."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    sim.clock.advance(299)
    await sim.approve(request, alice)
    sim.clock.advance(1)

    refusal = await send(sim, request, signed(bob, request))

    assert ("request_completed", {"status": "timeout"}) == (refusal.code, refusal.details)


async def test_a_wrong_clock_is_told_the_time(sim: Simulator) -> None:
    """(8) A decision dated more than five minutes from now can be signed anew."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])

    refusal = await send(sim, request, signed(alice, request, at=START + 301))

    assert ("clock_skew", {"time": "2027-01-15T08:00:00Z"}) == (refusal.code, refusal.details)
    await granted(sim.use.decide(request_id=request.id, envelope=signed(alice, request)))


async def test_the_requester_may_only_deny(sim: Simulator) -> None:
    """(9) The requester's approval is refused, the denial counts."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice, bob], requester=PartyBody(id="alice"))

    refusal = await send(sim, request, signed(alice, request))
    await sim.deny(request, alice)

    assert ("requester_cannot_approve", "rejected") == (
        refusal.code,
        (await sim.read(request)).status,
    )


async def test_a_device_that_fell_below_the_floor_cannot_decide(sim: Simulator) -> None:
    """(9) The floor is looked at when the decision comes, not only when the request was made."""
    alice = await sim.device("alice")
    known = sim.store.directory.device(alice.fingerprint)
    assert known is not None
    await sim.store.commit((PutDevice(replace(known, assurance="tee")),))
    request = await sim.ask([alice], min_assurance="tee")
    await sim.store.commit((PutDevice(replace(known, assurance="software")),))

    refusal = await send(sim, request, signed(alice, request))

    assert ("insufficient_assurance", {"fingerprints": [alice.fingerprint]}) == (
        refusal.code,
        refusal.details,
    )


async def test_a_match_code_is_asked_of_an_approval(sim: Simulator) -> None:
    """(9) A missing and a wrong code are refused, the right one counts."""
    alice = await sim.device("alice")
    request = await sim.ask([alice], match_code="4711")

    refusals = [
        await send(sim, request, signed(alice, request)),
        await send(sim, request, signed(alice, request, code="4712")),
    ]
    await granted(sim.decide(alice, request, code="4711"))

    assert [("wrong_code", {"attempts_left": 2}), ("wrong_code", {"attempts_left": 1})] == [
        (refusal.code, refusal.details) for refusal in refusals
    ]
    assert "approved" == (await sim.read(request)).status


async def test_wrong_codes_are_remembered_by_the_store(tmp_path: Path) -> None:
    """(9) Three wrong codes are three, also over a restart."""
    async with simulator(tmp_path) as sim:
        alice = await sim.device("alice")
        request = await sim.ask([alice], match_code="4711")
        for _ in range(2):
            await refused(sim.decide(alice, request, code="0000"))
    async with simulator(tmp_path) as sim:
        third = await refused(sim.decide(alice, request, code="0000"))
        right = await refused(sim.decide(alice, request, code="4711"))

    assert [{"attempts_left": 0}] * 2 == [third.details, right.details]
    assert "wrong_code" == right.code


async def test_a_code_that_nobody_asked_for_is_refused(sim: Simulator) -> None:
    """(9) Without a match code, a decision carries none."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])

    assert "invalid_request" == (await send(sim, request, signed(alice, request, code="42"))).code


async def test_a_devices_limit_is_charged_after_its_signature(tmp_path: Path) -> None:
    """Who cannot sign as a device cannot use up its calls."""
    async with simulator(tmp_path, rate_device=2) as sim:
        alice = await sim.device("alice")
        request = await sim.ask([alice])
        forged = replace(signed(alice, request), signature=alice.key.sign(b"something else"))
        for _ in range(10):
            assert "invalid_signature" == (await send(sim, request, forged)).code

        await sim.approve(request, alice, alice)
        refusal = await refused(sim.decide(alice, request))

    assert ("rate_limited", 30) == (refusal.code, refusal.retry_after)


async def test_every_decision_is_observed(sim: Simulator) -> None:
    """Operators see how many decisions were accepted, and why others were not."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    await refused(sim.decide(alice, request, "deny"))
    broken = replace(signed(bob, request), signature=bytes(8))
    await send(sim, request, broken)

    text = sim.relay.metrics.render().decode()

    for outcome in ("accepted", "already_decided", "invalid_signature"):
        assert f'quorumkey_decisions_total{{outcome="{outcome}"}} 1.0' in text


@pytest.mark.parametrize("payload", [b"", b"no JSON", b"\xff", b'{"v":1,"v":1}', b"[]", b"{}"])
async def test_a_payload_that_is_no_decision(sim: Simulator, payload: bytes) -> None:
    """Step 4: whatever is wrong with signed bytes, the request is what is invalid."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])

    refusal = await send(sim, request, alice.sign(Kind.DECISION, payload))

    assert "invalid_request" == refusal.code
