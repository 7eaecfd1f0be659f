"""The sender of webhooks: what reaches an endpoint, when, in which order, and how often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from standardwebhooks import Webhook as Reference
from standardwebhooks import WebhookVerificationError
from tests.contract.material import event
from tests.relay.delivery.receiver import OK, answer, receiving
from tests.relay.delivery.webhook_sending import OLD_SECRET, SECRET, sending
from tests.relay.simulator import START

from quorumkey.protocol.webhook import verify
from quorumkey_relay.store.writes import (
    AppendEvent,
)

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend
    from tests.relay.delivery.receiver import Received

    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


# What reaches an endpoint


async def test_an_event_goes_out_once_it_is_durable(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The hot path: a commit that holds an event is enough, and its bytes arrive as they are."""
    body = '{"type":"mpa.approved","what":"é"}'.encode()
    async with receiving() as receiver:
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)

        (event_id,) = await post.happen("r1", body=body)
        (received,) = await receiver.got(1)
        await post.sender.idle()

    assert ("/hooks?key=c4n4ry", body) == (received.target, received.body)
    assert (event_id, str(START), "application/json") == (
        received.headers["webhook-id"],
        received.headers["webhook-timestamp"],
        received.headers["content-type"],
    )
    assert received.headers["user-agent"].startswith("quorumkey-relay/")
    ((delivery, attempts),) = await post.log(webhook)
    assert ("delivered", 1, [(START, 0, 200, None)]) == (
        delivery.state,
        delivery.attempts,
        [(one.at, one.milliseconds, one.status, one.reason) for one in attempts],
    )
    assert ["delivered"] == post.counts.tried


def _signed_by(received: Received, secret: str) -> bool:
    """Whether the reference implementation takes a signature."""
    try:
        Reference(secret).verify(received.body, received.headers)
    except WebhookVerificationError:
        return False
    return True


async def test_while_a_rotation_overlaps_both_secrets_sign(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The new secret's signature stands first; after the overlap the old one signs no more."""
    # The reference reads the machine's clock, and takes what is up to five minutes from it.
    start = backend.clock.seconds = int(datetime.now(tz=UTC).timestamp())
    async with receiving() as receiver:
        post = sending(backend, store)
        await post.webhook(
            receiver.url,
            old_secret=backend.vault.seal(OLD_SECRET.encode()),
            old_secret_until=start + 60,
        )
        await post.happen("r1")
        await post.sender.idle()
        backend.clock.advance(60)
        await post.happen("r2")
        await post.sender.idle()

    during, after = receiver.received
    assert during.headers["webhook-id"] == verify(
        SECRET,
        {**during.headers, "webhook-signature": during.headers["webhook-signature"].split(" ")[0]},
        during.body,
        now=start,
    )
    assert [2, 1] == [len(one.headers["webhook-signature"].split(" ")) for one in (during, after)]
    assert verify(OLD_SECRET, during.headers, during.body, now=start)
    assert [(True, True), (True, False)] == [
        (_signed_by(one, SECRET), _signed_by(one, OLD_SECRET)) for one in (during, after)
    ]


async def test_who_wants_a_type_gets_it(backend: SqliteBackend, store: SqliteStore) -> None:
    """An event goes to each active webhook that wants its type, and to nobody else."""
    async with receiving() as all_of_them, receiving() as others, receiving() as off:
        post = sending(backend, store)
        await post.webhook(all_of_them.url)
        await post.webhook(others.url, events=("device.enrolled",))
        await post.webhook(off.url, status="disabled")

        await post.append(event())
        await post.append(replace(event(), type="device.enrolled"))
        await post.sender.idle()

    assert (2, 1, 0) == (len(all_of_them.received), len(others.received), len(off.received))


async def test_a_test_event_goes_to_one(backend: SqliteBackend, store: SqliteStore) -> None:
    """What is for one webhook reaches it whatever types it wants."""
    async with receiving() as one, receiving() as other:
        post = sending(backend, store)
        webhook = await post.webhook(one.url, events=("device.enrolled",))
        await post.webhook(other.url)
        tested = replace(event(), type="webhook.test")

        await store.commit((AppendEvent(tested, only_for=webhook.webhook_id),))
        await one.got(1)
        await post.sender.idle()

    assert (1, 0) == (len(one.received), len(other.received))


async def test_what_the_command_line_appends_goes_out_too(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """An event that another process wrote is sent once this one has seen it."""
    async with receiving() as receiver:
        post = sending(backend, store)
        await post.webhook(receiver.url)
        revoked = event()

        backend.administer(AppendEvent(revoked))
        backend.follow(store)
        (received,) = await receiver.got(1)
        await post.sender.idle()

    assert (revoked.id, revoked.body) == (received.headers["webhook-id"], received.body)


async def test_commits_of_one_turn_are_claimed_together(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A burst of events is looked for once and once more, not once each."""
    claims = 0
    claim = store.claim_webhook_deliveries

    async def counted(**what: object) -> object:
        nonlocal claims
        claims += 1
        return await claim(**what)  # type: ignore[arg-type]  # handed on as it is

    store.claim_webhook_deliveries = counted  # type: ignore[method-assign,assignment]  # counts
    async with receiving() as receiver:
        post = sending(backend, store)
        await post.webhook(receiver.url)
        await post.sender.idle()
        claims = 0
        events = [event() for _ in range(20)]
        await asyncio.gather(*(post.append(one) for one in events))
        await receiver.got(20)
        await post.sender.idle()

    assert claims < 20


async def test_without_webhooks_nothing_is_claimed(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Who has no webhook that wants an event pays nothing for it."""
    post = sending(backend, store)
    await post.webhook("https://example.com/", events=("device.enrolled",))
    await post.sender.idle()

    async def claimed(**_: object) -> object:
        raise AssertionError

    store.claim_webhook_deliveries = claimed  # type: ignore[method-assign,assignment]  # must not be
    await post.append(event())

    assert 0 == post.sender.in_flight


# In which order


async def test_events_of_one_subject_arrive_in_order(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The second event of a request waits for the first, those of others do not."""
    release = asyncio.Event()

    async def hold_first(received: Received, writer: asyncio.StreamWriter) -> None:
        if received.body == b"1":
            await release.wait()
        writer.write(OK)

    async with receiving() as receiver:
        receiver.by_hand = hold_first
        post = sending(backend, store)
        await post.webhook(receiver.url)
        await post.happen("r1", body=b"1")
        await post.happen("r1", body=b"2")
        await post.happen("r2", body=b"3")
        before = [one.body for one in await receiver.got(2)]
        release.set()
        after = [one.body for one in await receiver.got(3)]
        await post.sender.idle()

    assert {b"1", b"3"} == set(before)
    assert b"2" == after[2]


async def test_a_failed_event_holds_up_its_subject_only(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """While the first event of a request waits for another try, its second one waits behind it."""
    async with receiving() as receiver:
        receiver.answers = [answer(500), OK]
        post = sending(backend, store)
        await post.webhook(receiver.url)
        await post.happen("r1", body=b"1")
        await post.sender.idle()
        await post.happen("r1", body=b"2")
        await post.happen("r2", body=b"3")
        await post.settle()
        early = [one.body for one in receiver.received]
        backend.clock.advance(5)
        await post.settle()

    assert [b"1", b"3"] == early
    assert [b"1", b"2"] == [one.body for one in receiver.received[2:]]
