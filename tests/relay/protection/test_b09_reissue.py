"""B9, B12: what is approved does not run by itself; the same call issued again does, once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ALICE, KEY, workshop
from tests.relay.simulator import ManualClock, granted

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.usecases.protection.commands import CallerBody

pytestmark = pytest.mark.anyio


async def test_b09_approved_is_not_executed(shop: Workshop) -> None:
    """When the threshold is met the transaction is approved, and nothing has been claimed."""
    txid = await shop.approved("bob")
    view = await shop.read(txid)

    assert view.state == "approved"
    assert "claim" not in await shop.audit(txid)
    assert [vote.approver_id for vote in view.votes] == ["bob"]


async def test_b09_reissue_runs_with_a_receipt(shop: Workshop) -> None:
    """The same call issued again runs, with the receipt that proves its approval."""
    txid = await shop.approved("bob")
    run = await shop.runs()

    assert (run.transaction.txid, run.transaction.state, run.claim.txid) == (txid, "claimed", txid)
    assert bytes(run.receipt) == await shop.sim.receipt(await shop.asked(txid))
    assert await shop.audit(txid) == ["requested", "approved", "claimed"]


async def test_b09_third_identical_call_waits_anew(shop: Workshop) -> None:
    """An approval is good for one execution: the next identical call opens a new request."""
    txid = await shop.approved("bob")
    await shop.settle((await shop.runs()).claim)
    again = await shop.waits()

    assert again.txid != txid
    assert (await shop.read(txid)).state == "executed"


async def test_b12_pending_call_gets_the_same_txid(shop: Workshop) -> None:
    """A call issued again while its request is pending opens no second one."""
    first = await shop.waits()

    assert [(await shop.waits()).txid for _ in range(3)] == [first.txid] * 3
    assert await shop.audit() == ["requested"]


async def test_b12_after_reject_or_expiry_a_fresh_request(shop: Workshop) -> None:
    """A call issued again after its request was denied or timed out opens a new one."""
    denied = await shop.waits()
    await granted(shop.vote("bob", denied.txid, "deny"))
    expired = await shop.waits()
    shop.sim.clock.advance(86_400)
    fresh = await shop.waits()

    assert len({denied.txid, expired.txid, fresh.txid}) == 3
    assert (await shop.read(denied.txid)).state == "rejected"
    assert (await shop.read(expired.txid)).state == "expired"


async def test_b12_cancelled_by_the_requester_a_fresh_request(shop: Workshop) -> None:
    """A call that its caller took back waits anew when it is issued again."""
    first = await shop.waits()
    await granted(shop.vote("alice", first.txid, "deny"))

    assert (await shop.read(first.txid)).state == "cancelled"
    assert (await shop.waits()).txid != first.txid


@pytest.mark.parametrize("caller", [ALICE, KEY], ids=["person", "api_key"])
async def test_b09_votes_needed_of_others(shop: Workshop, caller: CallerBody) -> None:
    """Of three approvers an administrator who calls is one; an API key counts for nothing."""
    await shop.administrators("dave")
    await shop.set(required=3)
    body = shop.body(caller=caller)
    others = ("bob", "carol") if caller is ALICE else ("bob", "carol", "dave")
    txid = await shop.approved(*others[:-1], body=body)

    assert (await shop.waits(body)).txid == txid
    await granted(shop.vote(others[-1], txid))
    assert (await shop.runs(body)).claim.txid == txid


async def test_b09_approval_survives_a_restart(tmp_path: Path) -> None:
    """An approval waits for its call across a restart of the relay, and then runs once."""
    clock = ManualClock()
    async with workshop(tmp_path, clock) as shop:
        txid = await shop.approved("bob")
    async with workshop(tmp_path, clock) as shop:
        assert (await shop.runs()).claim.txid == txid
    async with workshop(tmp_path, clock) as shop:
        assert (await shop.waits()).txid != txid
