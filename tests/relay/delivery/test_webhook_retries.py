"""When the sender of webhooks tries again, gives up, and disables a webhook."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.receiver import OK, answer, receiving
from tests.relay.delivery.webhook_sending import sending
from tests.relay.simulator import ACME, START

from quorumkey_relay.store.writes import (
    AppendEvent,
    DeleteWebhook,
    PutWebhook,
    QueueWebhookDelivery,
    SettleWebhookDelivery,
)

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio

DAY = 86_400
HOUR = 3_600


async def test_a_failed_attempt_is_repeated_by_the_schedule(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Not before its time; with the same id, the time of the new attempt, and a new signature."""
    async with receiving() as receiver:
        receiver.answers = [answer(500), answer(404), OK]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        for seconds in (4, 1, 9, 1):  # after 5 s, and 10 s more: a jitter of one half
            backend.clock.advance(seconds)
            await post.settle()

    ((delivery, attempts),) = await post.log(webhook)
    assert ("delivered", 3) == (delivery.state, delivery.attempts)
    assert [(START, 500), (START + 5, 404), (START + 15, 200)] == [
        (one.at, one.status) for one in attempts
    ]
    assert 1 == len({one.headers["webhook-id"] for one in receiver.received})
    assert [str(one.at) for one in attempts] == [
        one.headers["webhook-timestamp"] for one in receiver.received
    ]
    assert 3 == len({one.headers["webhook-signature"] for one in receiver.received})


async def test_after_a_day_it_has_failed_and_can_be_sent_again(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """For 24 hours it is tried; then only if somebody asks for it, with the same id."""
    async with receiving() as receiver:
        receiver.answers = [answer(500)]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        (event_id,) = await post.happen("r1")
        await post.sender.idle()
        for _ in range(30):
            backend.clock.advance(3_600)
            await post.settle()
        states, tries = await post.states(webhook), len(receiver.received)
        receiver.answers = [OK]
        now = backend.clock.now()
        await store.commit((QueueWebhookDelivery(webhook.webhook_id, event_id, now, now + DAY),))
        await post.sender.idle()

    assert (["failed"], ["delivered"]) == (states, await post.states(webhook))
    assert tries == 24
    assert [event_id] * (tries + 1) == [one.headers["webhook-id"] for one in receiver.received]


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 404, 408, 422, 500, 502, 504])
async def test_any_other_status_is_a_failure(
    backend: SqliteBackend, store: SqliteStore, status: int
) -> None:
    """Only 2xx is success; a redirect is not followed and fails."""
    async with receiving() as receiver:
        receiver.answers = [answer(status, f"location: {receiver.url}")]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()

    ((delivery, attempts),) = await post.log(webhook)
    assert ("queued", START + 5, status, 1) == (
        delivery.state,
        delivery.next_at,
        attempts[0].status,
        len(receiver.received),
    )


@pytest.mark.parametrize("status", [200, 201, 202, 204, 299])
async def test_any_2xx_is_success(backend: SqliteBackend, store: SqliteStore, status: int) -> None:
    """Whatever the endpoint says beside it."""
    async with receiving() as receiver:
        receiver.answers = [answer(status)]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()

        assert ["delivered"] == await post.states(webhook)


async def test_an_endpoint_that_is_not_there_is_tried_again(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The attempt says that nobody answered, and how."""
    async with receiving() as receiver:
        url = receiver.url
    post = sending(backend, store)
    webhook = await post.webhook(url)
    await post.happen("r1")
    await post.sender.idle()

    ((delivery, attempts),) = await post.log(webhook)
    assert ("queued", None, "unreachable") == (
        delivery.state,
        attempts[0].status,
        attempts[0].reason,
    )


async def test_a_private_address_is_not_called(backend: SqliteBackend, store: SqliteStore) -> None:
    """A webhook whose host has turned private gets nothing, and the attempt says why."""
    async with receiving() as receiver:
        post = sending(backend, store)
        webhook = await post.webhook(f"https://127.0.0.1:{receiver.port}/")
        await post.happen("r1")
        await post.sender.idle()

        ((_, attempts),) = await post.log(webhook)
        assert ("loopback_address", 0) == (attempts[0].reason, receiver.connections)


async def test_a_secret_of_another_key_sends_nothing(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What cannot be signed is not sent."""
    async with receiving() as receiver:
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url, secret=b"sealed with a key that is lost")
        await post.happen("r1")
        await post.sender.idle()

        ((_, attempts),) = await post.log(webhook)
        assert ("secret_unreadable", 0) == (attempts[0].reason, receiver.connections)


# Failing, recovering, being disabled


async def test_the_first_failure_is_remembered_until_a_success(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """``failing_since`` is when it began, however often it fails, and goes with a success."""
    async with receiving() as receiver:
        receiver.answers = [answer(500), answer(500), OK]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        since: list[int | None] = []
        for seconds in (5, 10):
            since.append(post.now(webhook).failing_since)
            backend.clock.advance(seconds)
            await post.settle()

    assert [START, START] == since
    assert post.now(webhook).failing_since is None


async def test_success_writes_nothing_of_the_webhook(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Where nothing changed of it, a delivery is settled alone."""
    heard: list[type] = []
    async with receiving() as receiver:
        post = sending(backend, store)
        await post.webhook(receiver.url)
        store.subscribe(lambda commit: heard.extend(type(write) for write in commit))
        await post.happen("r1")
        await post.sender.idle()

    assert [AppendEvent, SettleWebhookDelivery] == heard


async def test_five_days_of_failure_disable_it(backend: SqliteBackend, store: SqliteStore) -> None:
    """Nothing is sent any more, it is counted, and the integrator's other webhooks are told."""
    async with receiving() as receiver, receiving() as other:
        receiver.answers = [answer(500)]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.webhook(other.url, events=("webhook.disabled",))
        await post.happen("r1")
        await post.sender.idle()
        backend.clock.advance(5 * DAY - HOUR - 1)
        await post.happen("r2")
        await post.sender.idle()
        backend.clock.advance(HOUR)
        await post.settle()
        before = post.now(webhook).status
        backend.clock.advance(10)
        await post.settle()
        tries = len(receiver.received)
        await post.happen("r3")
        await post.settle()

    assert ("active", "disabled", "failing") == (
        before,
        post.now(webhook).status,
        post.now(webhook).disabled_reason,
    )
    assert (["failing"], tries) == (post.counts.disabled, len(receiver.received))
    (told,) = other.received
    said = json.loads(told.body)
    assert ("webhook.disabled", webhook.webhook_id, "failing") == (
        said["type"],
        said["webhook_id"],
        said["reason"],
    )


async def test_a_failure_after_days_without_events_does_not_disable_it(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Between two failures with nothing to answer it was not failing; it has an hour to recover."""
    async with receiving() as receiver:
        receiver.answers = [answer(500)]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        backend.clock.advance(9 * DAY)
        await post.happen("r2")
        await post.sender.idle()
        backend.clock.advance(HOUR - 1)
        await post.settle()
        at_first = post.now(webhook).status
        backend.clock.advance(HOUR)
        await post.settle()

    assert ("active", "disabled") == (at_first, post.now(webhook).status)


async def test_gone_disables_it_at_once(backend: SqliteBackend, store: SqliteStore) -> None:
    """410 says that the endpoint wants nothing any more; what is queued waits."""
    async with receiving() as receiver:
        receiver.answers = [answer(410)]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        await post.settle()

    assert ("disabled", "gone", ["gone"], 1) == (
        post.now(webhook).status,
        post.now(webhook).disabled_reason,
        post.counts.disabled,
        len(receiver.received),
    )
    assert ["queued"] == await post.states(webhook)


async def test_it_is_disabled_once(backend: SqliteBackend, store: SqliteStore) -> None:
    """Of many that are told so at the same time, one disables it and tells of it."""
    async with receiving() as receiver, receiving() as other:
        release = receiver.held(answer(410))
        post = sending(backend, store)
        await post.webhook(receiver.url)
        await post.webhook(other.url, events=("webhook.disabled",))
        await post.happen(*(f"r{number}" for number in range(10)))
        await receiver.got(10)
        release.set()
        await post.sender.idle()

    assert (["gone"], 1) == (post.counts.disabled, len(other.received))


async def test_enabled_again_it_gets_what_has_waited(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The commit that enables it is enough to send what is due."""
    async with receiving() as receiver:
        receiver.answers = [answer(410), OK]
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await post.sender.idle()
        backend.clock.advance(60)
        now = post.now(webhook)
        await store.commit((PutWebhook(replace(now, status="active", disabled_reason=None)),))
        await receiver.got(2)
        await post.sender.idle()

        assert ["delivered"] == await post.states(webhook)


async def test_a_webhook_that_is_deleted_meanwhile(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What was in flight ends, and brings nothing back."""
    async with receiving() as receiver:
        release = receiver.held(answer(500))
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await receiver.got(1)
        await store.commit((DeleteWebhook(webhook.webhook_id),))
        release.set()
        await post.sender.idle()

    assert store.directory.webhook(webhook.webhook_id) is None
    assert not store.directory.webhooks(ACME.id)
