"""Events, deliveries, first answers and successions: in order, and found by their keys."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    MINT,
    answer,
    envelope_bytes,
    event,
    fingerprint,
    happened,
)
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.store.writes import KeepAnswer, PutSuccession

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
