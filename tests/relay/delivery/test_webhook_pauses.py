"""How long an endpoint that asks to be left alone is: ``Retry-After`` of 429 and 503."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.receiver import OK, answer, receiving
from tests.relay.delivery.webhook_sending import sending
from tests.relay.simulator import START

from quorumkey_relay.store.writes import QueueWebhookDelivery

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

DAY = 86_400
HOUR = 3_600


@pytest.mark.parametrize(
    ("status", "header", "expected"),
    [(429, "60", 60), (503, "60", 60), (503, "1", 5), (429, "86400", 3_600), (500, "60", 5)],
)
async def test_an_endpoint_may_ask_to_wait(
    backend: SqliteBackend, store: SqliteStore, status: int, header: str, expected: int
) -> None:
    """``Retry-After`` of 429 and 503 is a floor, up to an hour."""
    async with receiving() as receiver:
        receiver.answers = [answer(status, f"retry-after: {header}")]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()

    ((delivery, _),) = await post.log(webhook)
    assert START + expected == delivery.next_at


async def test_who_asks_to_wait_is_left_alone(backend: SqliteBackend, store: SqliteStore) -> None:
    """Until then the endpoint gets no other event either."""
    async with receiving() as receiver:
        receiver.answers = [answer(429, "retry-after: 60"), OK]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        await post.happen("r2")
        backend.clock.advance(59)
        await post.settle()
        early = len(receiver.received)
        backend.clock.advance(1)
        await post.settle()

        assert (1, ["delivered"] * 2) == (early, await post.states(webhook))


async def test_it_is_left_alone_no_longer_than_it_asked(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """However late the next try of the event that it refused, other events wait a second only."""
    async with receiving() as receiver:
        receiver.answers = [answer(500)] * 9 + [answer(503, "retry-after: 1"), OK]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        for _ in range(9):
            ((delivery, _attempts),) = await post.log(webhook)
            backend.clock.advance(delivery.next_at - backend.clock.now())
            await post.settle()
        ((delivery, _attempts),) = await post.log(webhook)
        wait = delivery.next_at - backend.clock.now()
        await post.happen("r2")
        backend.clock.advance(1)
        await post.settle()

        assert (HOUR // 2, ["queued", "delivered"]) == (wait, await post.states(webhook))


async def test_a_clock_that_is_set_back_makes_no_wait_longer(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an endpoint asked for is measured by the clock that never goes back."""
    ticks = 0.0
    monkeypatch.setattr(backend.clock, "monotonic", lambda: ticks)
    async with receiving() as receiver:
        receiver.answers = [answer(429, "retry-after: 30"), OK]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        backend.clock.advance(-DAY)
        await post.happen("r2")
        await post.settle()
        early = len(receiver.received)
        ticks += 30
        await post.settle()

        assert (1, ["queued", "delivered"]) == (early, await post.states(webhook))


async def test_who_asks_for_a_call_gets_it_at_once(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A re-send goes out though the endpoint has asked for an hour."""
    async with receiving() as receiver:
        receiver.answers = [answer(429, "retry-after: 3600"), OK]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        (event_id,) = await post.happen("r1")
        await post.sender.idle()
        until = START + DAY
        await store.commit((QueueWebhookDelivery(webhook.webhook_id, event_id, START, until),))
        await post.sender.idle()

        assert ["delivered"] == await post.states(webhook)
