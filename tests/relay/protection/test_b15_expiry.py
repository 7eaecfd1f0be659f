"""B15: what waits too long is over, before its approval and after it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import granted, refused

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

pytestmark = pytest.mark.anyio

DAY = 86_400


async def test_b15_pending_expires_after_a_day_by_default(shop: Workshop) -> None:
    """A request that nobody answers is expired after 24 hours, and votes are refused then."""
    view = await shop.waits()
    shop.sim.clock.advance(DAY - 1)
    before = (await shop.read(view.txid)).state
    shop.sim.clock.advance(1)
    late = await refused(shop.vote("bob", view.txid))

    assert (before, (await shop.read(view.txid)).state) == ("requested", "expired")
    assert late.code == "request_completed"


async def test_b15_expiry_is_audited(shop: Workshop) -> None:
    """The sweeper that ends a request writes the event ``expired`` with its txid."""
    view = await shop.waits()
    shop.sim.clock.advance(DAY)
    await shop.sim.relay.sweeper.sweep()

    assert await shop.audit(view.txid) == ["requested", "expired"]


async def test_b15_maximum_duration_is_a_setting(shop: Workshop) -> None:
    """A shorter maximum duration ends requests sooner; those that wait keep what they had."""
    old = await shop.waits()
    await shop.set(max_duration_seconds=60)
    new = await shop.waits(shop.body(request={"tag": "other"}))
    shop.sim.clock.advance(60)

    assert (await shop.read(old.txid)).state == "requested"
    assert (await shop.read(new.txid)).state == "expired"


async def test_b15_approval_lapses_when_it_is_not_executed(shop: Workshop) -> None:
    """An approval that nobody claims within the execution expiry lapses; the call waits anew."""
    await shop.set(execution_expiry_seconds=120)
    txid = await shop.approved("bob")
    shop.sim.clock.advance(119)
    view = await shop.read(txid)
    shop.sim.clock.advance(1)
    lapsed = await shop.read(txid)

    assert (view.state, view.lapses_at) == ("approved", "2027-01-15T08:02:00Z")
    assert (lapsed.state, lapsed.ended_reason) == ("lapsed", "not_claimed_in_time")
    assert (await shop.waits()).txid != txid


async def test_b15_lapse_is_audited_once(shop: Workshop) -> None:
    """The sweeper writes a lapse down when it comes, and not before."""
    await shop.set(execution_expiry_seconds=120)
    txid = await shop.approved("bob")
    sweep = shop.sim.relay.protection.sweeper.sweep
    early = await sweep()
    shop.sim.clock.advance(120)

    assert [early, await sweep(), await sweep()] == [0, 1, 0]
    assert await shop.audit(txid) == ["requested", "approved", "lapsed"]


async def test_b15_claimed_approval_does_not_lapse(shop: Workshop) -> None:
    """What was claimed in time is not written down as lapsed, and its result counts."""
    await shop.set(execution_expiry_seconds=120)
    txid = await shop.approved("bob")
    run = await shop.runs()
    shop.sim.clock.advance(121)
    await shop.sim.relay.protection.sweeper.sweep()
    await granted(shop.settle(run.claim))

    assert await shop.audit(txid) == ["requested", "approved", "claimed", "executed"]


async def test_b15_lapsed_in_the_eyes_of_the_gate_and_the_sweeper(shop: Workshop) -> None:
    """The sweeper writes a lapse down also when the call has long been issued anew."""
    await shop.set(execution_expiry_seconds=120)
    first = await shop.approved("bob")
    shop.sim.clock.advance(120)
    second = await shop.approved("carol")
    await shop.sim.relay.protection.sweeper.sweep()

    assert (await shop.audit(first))[-1] == "lapsed"
    assert (await shop.runs()).claim.txid == second
