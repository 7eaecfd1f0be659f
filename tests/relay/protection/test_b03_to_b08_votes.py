"""Who may approve, reject and cancel a call, and when (B3 to B8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.council import Council
from tests.relay.sim_devices import START
from tests.relay.simulator import ACME, ManualClock, refused, simulator

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Envelope
from quorumkey_relay.domain import protection_rules as rules
from quorumkey_relay.domain.protection import Protection
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.protection.votes import able_administrators

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import DecisionValue

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("required", "others"), [(2, 1), (3, 2)])
async def test_b03_the_requester_counts_as_the_first_approver(
    tmp_path: Path, required: int, others: int
) -> None:
    """Two approvers are one other, three are two others; the requester cannot cast a vote."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", "dora", required=required)
        txid = await council.wait()
        told = [await council.approve(txid, person) for person in ("bob", "carol")[:others]]
        needed = (await council.transaction(txid))["approvals_required"]

    assert (["pending"] * (others - 1) + ["approved"], others) == (told, needed)


@pytest.mark.parametrize("required", [0, 1])
def test_b03_fewer_than_two_approvers_are_refused(required: int) -> None:
    """One person alone is no multi-party approval."""
    before = Protection(integrator_id=ACME.id, administrators=("alice", "bob"))
    answer = rules.set_settings(before, able=2, required=required)

    assert isinstance(answer, Refusal)
    assert "invalid_request" == answer.code


async def test_b04_enabling_needs_as_many_administrators(tmp_path: Path) -> None:
    """Those count who can approve: an administrator without a device cannot."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", enabled=False)
        ghost = rules.add_administrator(council.protection, "ghost")
        assert isinstance(ghost, Protection)
        able = able_administrators(sim.store.directory, ghost)
        enabled = rules.set_settings(ghost, able=able, enabled=True)
        raised = rules.set_settings(ghost, able=able, required=3)

    assert isinstance(enabled, Protection)
    assert isinstance(raised, Refusal)
    assert (2, "failed_precondition") == (able, raised.code)


async def test_b04_administrators_without_a_device_do_not_count(tmp_path: Path) -> None:
    """Nor do those whose only device was unpaired."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", enabled=False)
        before = able_administrators(sim.store.directory, council.protection)
        await sim.unpair(council.devices["bob"])
        able = able_administrators(sim.store.directory, council.protection)
        answer = rules.set_settings(council.protection, able=able, enabled=True)

    assert isinstance(answer, Refusal)
    assert (2, 1, "failed_precondition") == (before, able, answer.code)


async def test_b05_the_requester_cannot_approve(tmp_path: Path) -> None:
    """Their own device is named, but its approval is refused."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait()

        assert "requester_cannot_approve" == await council.refusal_code(txid, "alice")


async def test_b05_the_requester_cancels_while_pending(tmp_path: Path) -> None:
    """Their denial takes the call back; it is nobody's rejection."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait()
        status = await council.deny(txid, "alice")

        assert ("cancelled", "cancelled", ["requested by alice", "cancelled by alice"]) == (
            status,
            await council.state(txid),
            await council.story(txid),
        )


async def test_b05_the_requester_cancels_after_the_threshold(tmp_path: Path) -> None:
    """The approval can no longer be claimed: the same call asks anew."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait()
        await council.approve(txid, "bob")
        status = await council.deny(txid, "alice")
        read = await council.transaction(txid)
        again = await council.wait()

    assert ("cancelled", "cancelled", "denied", "alice", True) == (
        status,
        read["state"],
        read["ended_reason"],
        read["ended_by"],
        again != txid,
    )


async def test_b05_a_cancellation_is_answered_again(tmp_path: Path) -> None:
    """Its answer may have been lost; it is recorded once."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait()
        await council.approve(txid, "bob")
        told = [await council.deny(txid, "alice") for _ in range(2)]

        assert (["cancelled", "cancelled"], 1) == (
            told,
            (await council.story(txid)).count("cancelled by alice"),
        )


@pytest.mark.parametrize("person", ["alice", "carol"])
async def test_b05_nobody_takes_back_what_was_claimed(tmp_path: Path, person: str) -> None:
    """The call may be running."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.run()
        answer = await council.refusal(txid, person, "deny")

        assert ("request_completed", {"status": "approved", "state": "claimed"}, "claimed") == (
            answer.code,
            answer.details,
            await council.state(txid),
        )


async def test_b05_nobody_takes_back_what_has_lapsed(tmp_path: Path) -> None:
    """It is over already."""
    clock = ManualClock()
    async with simulator(tmp_path, clock) as sim:
        council = await Council.of(sim, "alice", "bob", execution_expiry_seconds=60)
        txid = await council.wait()
        await council.approve(txid, "bob")
        clock.advance(60)
        answer = await council.refusal(txid, "alice", "deny")

        assert ("request_completed", "lapsed") == (answer.code, await council.state(txid))


@pytest.mark.parametrize("late", [-301, 301])
async def test_b05_taking_back_is_checked_like_any_decision(tmp_path: Path, late: int) -> None:
    """A signature of another time is refused, and so is a forged one; the approval stands."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.approve(txid, "bob")
        stored = await sim.store.load(txid)
        assert stored is not None
        device = council.devices["carol"]
        skewed = device.decision(stored.terms.digest, "deny", at=START + late)
        forged = council.devices["alice"].decision(stored.terms.digest, "deny", at=START)
        forged = Envelope(forged.payload_type, forged.payload, device.fingerprint, forged.signature)
        answer = await refused(sim.use.decide(request_id=txid, envelope=skewed))
        with pytest.raises(ProtocolError) as raised:
            await sim.use.decide(request_id=txid, envelope=forged)

        assert ("clock_skew", "invalid_signature", "approved") == (
            answer.code,
            raised.value.code,
            await council.state(txid),
        )


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_b06_each_administrator_acts_once(tmp_path: Path, decision: DecisionValue) -> None:
    """The same vote again is the same vote; another one is refused."""
    other: DecisionValue = "deny" if decision == "approve" else "approve"
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", required=3)
        txid = await council.wait()
        first = await council.vote("bob", txid, decision)
        again = await council.vote("bob", txid, decision)
        votes = (await council.transaction(txid))["votes"]

        assert (first, "already_decided", 1) == (
            again,
            await council.refusal_code(txid, "bob", other),
            len(votes),
        )


async def test_b06_a_second_device_is_the_same_administrator(tmp_path: Path) -> None:
    """What one of their devices said, they said."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", required=3)
        tablet = await council.another_device("bob")
        txid = await council.wait()
        await council.approve(txid, "bob")
        council.devices["bob"] = tablet
        again = await council.approve(txid, "bob")

        assert ("pending", "already_decided") == (
            again,
            await council.refusal_code(txid, "bob", "deny"),
        )


async def test_b06_who_approved_cannot_reject_after_the_threshold(tmp_path: Path) -> None:
    """Nor by another of their devices; the approval stands."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait()
        await council.approve(txid, "bob")

        assert ("already_decided", "approved") == (
            await council.refusal_code(txid, "bob", "deny"),
            await council.state(txid),
        )


async def test_b07_an_api_key_takes_no_call_back(tmp_path: Path) -> None:
    """The endpoint that cancels an integrator's own requests refuses; the call still waits."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob")
        txid = await council.wait("key:0190a000")
        answer = await refused(sim.use.cancel_request(integrator_id=ACME.id, request_id=txid))

        assert ("forbidden", "requested") == (answer.code, await council.state(txid))


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_b07_who_is_no_administrator_has_no_vote(
    tmp_path: Path, decision: DecisionValue
) -> None:
    """Their device is not named in the request."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", others=("mallory",))
        txid = await council.wait()

        assert "not_found" == await council.refusal_code(txid, "mallory", decision)


@pytest.mark.parametrize("decision", ["approve", "deny"])
async def test_b07_the_role_is_looked_at_when_the_vote_comes(
    tmp_path: Path, decision: DecisionValue
) -> None:
    """Who was named in the request and is no administrator any more decides nothing."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.appoint("alice", "carol")

        assert ("forbidden", "requested") == (
            await council.refusal_code(txid, "bob", decision),
            await council.state(txid),
        )


async def test_b07_the_role_is_looked_at_after_the_threshold(tmp_path: Path) -> None:
    """Who lost it cannot take an approval back."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol")
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.appoint("alice", "bob")

        assert ("forbidden", "approved") == (
            await council.refusal_code(txid, "carol", "deny"),
            await council.state(txid),
        )


async def test_b08_a_rejection_is_the_end(tmp_path: Path) -> None:
    """Another administrator's denial is terminal; the same call asks anew."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", required=3)
        txid = await council.wait()
        await council.approve(txid, "bob")
        status = await council.deny(txid, "carol")
        again = await council.wait()

        assert ("rejected", "rejected", True) == (
            status,
            await council.state(txid),
            again != txid,
        )


async def test_b08_another_rejects_after_the_threshold(tmp_path: Path) -> None:
    """Until the call is claimed, an administrator who has not voted can; it is kept as evidence."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, "alice", "bob", "carol", "dora")
        txid = await council.wait()
        await council.approve(txid, "bob")
        status = await council.deny(txid, "carol")
        late = await council.refusal_code(txid, "dora", "deny")
        read = await council.transaction(txid)
        kept = await sim.store.transaction(txid)

        assert kept is not None
        assert kept.withdrawal is not None
        assert ("rejected", "request_completed", "rejected", "carol", True) == (
            status,
            late,
            read["state"],
            kept.withdrawal.by,
            council.devices["carol"].fingerprint.encode() in (kept.withdrawal.envelope or b""),
        )
