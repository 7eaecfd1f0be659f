"""What happens when the store refuses, holds back or fails between a look and a write."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.relay.protection.workshop import ACME, KILL
from tests.relay.simulator import granted

from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import (
    OpenRequest,
    PutProtection,
    SettleClaim,
    TakeClaim,
    WithdrawTransaction,
)
from quorumkey_relay.usecases.protection import evidence
from quorumkey_relay.usecases.protection.commands import CatalogueBody, MethodBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.relay.protection.workshop import Workshop

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

HOUR = 3_600


def refusing(
    shop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[object],
    error: Exception,
    times: int,
) -> None:
    """Have the store refuse the next commits that hold a write of this kind."""
    commit = shop.sim.store.commit
    left = iter(range(times))

    def contested(writes: Commit) -> Awaitable[None]:
        if any(isinstance(write, kind) for write in writes) and next(left, None) is not None:
            raise error
        return commit(writes)

    monkeypatch.setattr(shop.sim.store, "commit", contested)


async def ordinary_claim(shop: Workshop) -> object:
    """Claim an ordinary approval."""
    bob = shop.devices["bob"]
    asked = await shop.sim.ask([bob])
    await shop.sim.approve(asked, bob)
    return await granted(
        shop.sim.use.protection.claim_request(
            integrator_id=ACME.id, request_id=asked.id, claim_key="k" * 16
        )
    )


async def claimed_call(shop: Workshop) -> object:
    """Claim an approved call."""
    await shop.approved("bob")
    return await shop.runs()


async def settled_call(shop: Workshop) -> object:
    """Settle a claimed call."""
    await shop.approved("bob")
    return await granted(shop.settle((await shop.runs()).claim))


async def first_call(shop: Workshop) -> object:
    """Open a transaction."""
    return await shop.waits()


async def registration(shop: Workshop) -> object:
    """Register a service."""
    body = CatalogueBody("other", [MethodBody("Stop")])
    return await granted(shop.sim.use.protection.register_catalogue(integrator=ACME, body=body))


RACES: list[tuple[type[object], Callable[[Workshop], Awaitable[object]]]] = [
    (TakeClaim, ordinary_claim),
    (TakeClaim, claimed_call),
    (SettleClaim, settled_call),
    (OpenRequest, first_call),
    (PutProtection, registration),
]
NAMES = [race[1].__name__ for race in RACES]


@pytest.mark.parametrize(("kind", "act"), RACES, ids=NAMES)
async def test_conflict_is_decided_again(
    shop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[object],
    act: Callable[[Workshop], Awaitable[object]],
) -> None:
    """A commit that rested on something older is decided anew, and then made."""
    refusing(shop, monkeypatch, kind, Conflict("changed"), times=3)

    assert await act(shop)


@pytest.mark.parametrize(("kind", "act"), RACES, ids=NAMES)
async def test_conflict_without_end_is_given_up(
    shop: Workshop,
    monkeypatch: pytest.MonkeyPatch,
    kind: type[object],
    act: Callable[[Workshop], Awaitable[object]],
) -> None:
    """What keeps changing is not tried for ever: the store is called unavailable."""
    refusing(shop, monkeypatch, kind, Conflict("changed"), times=1_000)

    with pytest.raises(StoreUnavailable):
        await act(shop)


async def test_no_call_rests_on_a_change_behind_one_that_became_durable(shop: Workshop) -> None:
    """Who waited for one change is not told of the next one, which is still on its way."""
    before = shop.protection
    more = replace(
        before, revision=before.revision + 1, settings=replace(before.settings, required=3)
    )
    off = replace(more, revision=more.revision + 1, settings=replace(more.settings, enabled=False))
    watch = shop.sim.use.protection.snapshot.watch
    told = asyncio.ensure_future(watch.current(ACME.id))
    first = shop.sim.store.commit((PutProtection(before, more),))
    await asyncio.sleep(0)
    second = shop.sim.store.commit((PutProtection(more, off),))

    assert more == await told

    await asyncio.gather(first, second)


async def test_no_call_rests_on_settings_that_are_not_durable(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While disabling is on its way to the disk a call waits for it, and only then proceeds."""
    settled = asyncio.Event()
    wait = shop.sim.store.settled

    async def held() -> None:
        await settled.wait()
        await wait()

    current = shop.protection
    off = replace(
        current, revision=current.revision + 1, settings=replace(current.settings, enabled=False)
    )
    monkeypatch.setattr(shop.sim.store, "settled", held)
    writing = asyncio.ensure_future(_done(shop.sim.store.commit((PutProtection(current, off),))))
    proceeding = asyncio.ensure_future(shop.proceeds())
    await asyncio.sleep(0)
    assert not proceeding.done()
    settled.set()
    await writing

    assert await proceeding == "disabled"


async def _done(work: Awaitable[None]) -> None:
    await work


async def test_sweeper_that_fails_tries_again(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lapse that could not be written is written in a later round."""
    txid = await shop.approved("bob")
    shop.sim.clock.advance(24 * HOUR)
    refusing(shop, monkeypatch, WithdrawTransaction, StoreUnavailable("disk full"), times=1)
    sweep = shop.sim.relay.protection.sweeper.sweep
    with pytest.raises(StoreUnavailable):
        await sweep()

    assert await sweep() == 1
    assert (await shop.audit(txid))[-1] == "lapsed"


async def test_sweeper_leaves_what_was_claimed_meanwhile(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An approval that somebody ended in between, and a claim that was settled, are left alone."""
    await shop.approved("bob")
    await shop.runs()
    await shop.approved("bob", body=shop.body(request={"tag": "other"}))
    shop.sim.clock.advance(24 * HOUR)
    refusing(shop, monkeypatch, WithdrawTransaction, Conflict("claimed"), times=1)
    refusing(shop, monkeypatch, SettleClaim, Conflict("settled"), times=1)

    assert await shop.sim.relay.protection.sweeper.sweep() == 0


async def test_votes_are_read_where_they_were_not_heard(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Votes that are no longer at hand are read: the receipt is the same."""
    monkeypatch.setattr(evidence, "RECENT_REQUESTS", 1)
    first = await shop.approved("bob")
    await shop.approved("bob", body=shop.body(request={"tag": "other"}))
    run = await shop.runs()

    assert bytes(run.receipt) == await shop.sim.receipt(await shop.asked(first))
    assert [vote.approver_id for vote in run.transaction.votes] == ["bob"]


async def test_answer_that_was_lost_and_settled_meanwhile(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A result that comes while a lost answer is looked for: the call waits anew."""
    txid = await shop.approved("bob")
    body = shop.body()
    run = await shop.runs(body)
    load = shop.sim.store.load

    async def late(request_id: str) -> object:
        found = await load(request_id)
        monkeypatch.setattr(shop.sim.store, "load", load)
        await granted(shop.settle(run.claim))
        return found

    monkeypatch.setattr(shop.sim.store, "load", late)

    assert (await shop.waits(body)).txid != txid


async def test_a_call_that_was_claimed_while_it_was_looked_at(
    shop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another call claims while this one's request is loaded: this one waits anew."""
    txid = await shop.approved("bob")
    load = shop.sim.store.load

    async def late(request_id: str) -> object:
        found = await load(request_id)
        monkeypatch.setattr(shop.sim.store, "load", load)
        await shop.runs()
        return found

    monkeypatch.setattr(shop.sim.store, "load", late)

    assert (await shop.waits(shop.body(KILL))).txid != txid
