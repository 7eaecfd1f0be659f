"""Events, deliveries, first answers and successions: in order, and found by their keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    MINT,
    answer,
    delivery,
    envelope_bytes,
    event,
    fingerprint,
    furnish,
    happened,
)
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.store.writes import KeepAnswer, PutDelivery, PutSuccession

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.store.protocol import Store

pytestmark = pytest.mark.anyio


# Events


async def test_events_come_in_order_after_a_cursor(store: Store) -> None:
    """An integrator's events, oldest first, from the beginning or after one of them."""
    mine = [event() for _ in range(3)]
    other = event(UMBRELLA)
    await store.commit(happened(mine[0], other, mine[1]))
    await store.commit(happened(mine[2]))

    async def page(cursor: str | None, limit: int = 10) -> Sequence[object] | None:
        return await store.events(integrator_id=ACME.id, after=cursor, limit=limit)

    assert (mine, mine[:2], mine[1:], []) == (
        await page(None),
        await page(None, 2),
        await page(mine[0].id),
        await page(mine[2].id),
    )


async def test_events_after_an_event_that_is_not_kept_are_none(store: Store) -> None:
    """A cursor that never was, or is another integrator's, is told from an empty page."""
    other = event(UMBRELLA)
    await store.commit(happened(event(), other))

    found = [
        await store.events(integrator_id=ACME.id, after=cursor, limit=10)
        for cursor in (MINT.uuid7(), other.id, "no id at all")
    ]

    assert [None, None, None] == found


async def test_an_event_is_read_by_id(store: Store) -> None:
    """One event, or None."""
    record = event()
    await store.commit(happened(record))

    assert (record, None) == (await store.event(record.id), await store.event(MINT.uuid7()))


# Deliveries


async def test_a_delivery_is_updated_in_place(store: Store) -> None:
    """Putting a delivery again changes its state, not its number."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    queued = delivery(stored, "alice")
    sent = replace(queued, state="sent", attempts=1, next_at=START + 1, reason="temporary")

    await store.commit((PutDelivery(queued),))
    await store.commit((PutDelivery(sent),))

    assert [sent] == list(await store.deliveries(stored.terms.request_id))


async def test_an_acknowledged_delivery_stays_acknowledged(store: Store) -> None:
    """What comes late from a channel does not undo that the person saw it."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    shown = replace(delivery(stored, "alice"), state="acknowledged")
    await store.commit((PutDelivery(shown),))

    await store.commit((PutDelivery(replace(shown, state="sent", attempts=2)),))

    assert [shown] == list(await store.deliveries(stored.terms.request_id))


async def test_due_deliveries_are_queued_and_come(store: Store) -> None:
    """What is queued and whose time has come, the earliest deadline first."""
    house = await furnish(store, "alice", "bob", "carol")
    stored = await house.open("alice", "bob", "carol")
    alice, bob, carol = (delivery(stored, name) for name in ("alice", "bob", "carol"))
    bob = replace(bob, not_after=START + 10)
    later = replace(carol, next_at=START + 1)
    done = replace(delivery(stored, "alice", channel="fcm"), state="accepted")
    await store.commit(tuple(PutDelivery(one) for one in (alice, bob, later, done)))

    async def due(now: int, limit: int = 10) -> list[object]:
        return list(await store.due_deliveries(now=now, limit=limit))

    assert ([bob, alice], [bob], 3) == (
        await due(START),
        await due(START, 1),
        len(await due(START + 1)),
    )


# Answers and keys


async def test_the_first_answer_is_found_by_its_whole_key(store: Store) -> None:
    """Integrator, path and key together name an answer."""
    kept = answer(text=b'{"request_id":"1"}')
    await store.commit((KeepAnswer(kept),))

    async def found(integrator: Integrator, path: str, key: str) -> object:
        return await store.answer(integrator_id=integrator.id, path=path, key=key)

    assert [kept, None, None, None] == [
        await found(ACME, "/v1/requests", "key"),
        await found(UMBRELLA, "/v1/requests", "key"),
        await found(ACME, "/v1/pairings", "key"),
        await found(ACME, "/v1/requests", "other"),
    ]


async def test_a_key_that_is_free_again_takes_a_new_answer(store: Store) -> None:
    """A later answer under a key replaces the one whose time is over."""
    await store.commit((KeepAnswer(answer(text=b"1")),))
    second = replace(answer(text=b"2"), created_at=START + 86_400)

    await store.commit((KeepAnswer(second),))

    assert second == await store.answer(integrator_id=ACME.id, path="/v1/requests", key="key")


async def test_successions_come_oldest_first(store: Store) -> None:
    """Keys follow each other in the order in which they were named."""
    rows = [(envelope_bytes(name), fingerprint(name), START) for name in ("one", "two")]
    for row in rows:
        await store.commit((PutSuccession(*row),))

    assert rows == list(await store.successions())


async def test_the_check_says_how_the_store_is(store: Store) -> None:
    """A store that can be written says which backend it is."""
    assert "backend" in await store.check()
