"""Webhooks are kept, and an event is queued for those that want it, in its own commit."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.hooks import (
    DAY_SECONDS,
    about,
    claim,
    claim_one,
    happen,
    hook,
    hooked,
    log,
    settle,
)
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.store.records import MAX_WEBHOOK_ATTEMPTS_KEPT
from quorumkey_relay.store.writes import AppendEvent, DeleteWebhook, PutWebhook

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.store.protocol import Store

pytestmark = pytest.mark.anyio


# What is kept of a webhook


async def test_a_webhook_is_read_as_it_was_written(backend: Backend) -> None:
    """Every member of a webhook survives a restart."""
    webhook = replace(
        hook("mpa.approved", "device.revoked"),
        status="disabled",
        old_secret=b"older",
        old_secret_until=START + 1,
        failing_since=START + 2,
        disabled_reason="failing",
    )
    async with backend.open() as store:
        await store.commit((PutWebhook(webhook),))
    async with backend.open() as store:
        found = store.directory.webhook(webhook.webhook_id)

    assert webhook == found


async def test_an_integrator_has_its_own_webhooks(store: Store) -> None:
    """Webhooks are listed by integrator, oldest first."""
    ours = [await hooked(store), await hooked(store)]
    await hooked(store, integrator=UMBRELLA)

    assert ours == list(store.directory.webhooks(ACME.id))


async def test_a_changed_webhook_takes_the_place_of_the_old_one(backend: Backend) -> None:
    """What changed is written; the same webhook once more changes nothing."""
    async with backend.open() as store:
        webhook = await hooked(store)
        changed = replace(webhook, secret=b"new", old_secret=b"sealed", old_secret_until=START)
        await store.commit((PutWebhook(changed), PutWebhook(changed)))
    async with backend.open() as store:
        found = store.directory.webhook(webhook.webhook_id)

    assert changed == found


async def test_a_deleted_webhook_is_gone(backend: Backend) -> None:
    """It is in no list, also after a restart."""
    async with backend.open() as store:
        webhook = await hooked(store)
        await store.commit((DeleteWebhook(webhook.webhook_id),))
        at_once = store.directory.webhook(webhook.webhook_id)
    async with backend.open() as store:
        later = store.directory.webhooks(ACME.id)

    assert (None, []) == (at_once, list(later))


async def test_deleting_twice_is_no_error(store: Store) -> None:
    """A webhook that is gone may go again."""
    webhook = await hooked(store)

    await store.commit((DeleteWebhook(webhook.webhook_id),))
    await store.commit((DeleteWebhook(webhook.webhook_id),))

    assert [] == list(store.directory.webhooks(ACME.id))


async def test_a_refused_commit_leaves_no_webhook(backend: Backend, store: Store) -> None:
    """After a failed write memory holds what the disk does."""
    with backend.unwritable(), pytest.raises(Exception, match="refused"):
        await hooked(store)

    assert [] == list(store.directory.webhooks(ACME.id))


# Who gets an event


async def test_an_event_is_queued_for_each_webhook_that_wants_it(store: Store) -> None:
    """A webhook without a list wants all; one with a list only these; nobody else's gets it."""
    all_of_them = await hooked(store)
    approvals = await hooked(store, "mpa.approved", "mpa.rejected")
    revocations = await hooked(store, "device.revoked")
    elsewhere = await hooked(store, integrator=UMBRELLA)

    (event_id,) = await happen(store, about("r1"))

    queued = [(event_id, "queued")]
    assert [queued, queued, [], []] == [
        await log(store, one) for one in (all_of_them, approvals, revocations, elsewhere)
    ]


async def test_a_queued_delivery_holds_what_is_to_be_sent(backend: Backend, store: Store) -> None:
    """Event, subject and body are the event's; it is due at once, and for a day."""
    webhook = await hooked(store)
    event = about("r1", at=START - 10)
    await happen(store, event)

    found = await store.webhook_delivery(webhook_id=webhook.webhook_id, event_id=event.id)

    assert found is not None
    delivery, attempts = found
    now = backend.clock.now()
    assert (webhook.webhook_id, event.id) == (delivery.webhook_id, delivery.event_id)
    assert (event.type, "r1", event.body) == (
        delivery.event_type,
        delivery.subject,
        delivery.body,
    )
    assert (now, now, now + DAY_SECONDS) == (
        delivery.created_at,
        delivery.next_at,
        delivery.not_after,
    )
    assert ("queued", 0, 0, []) == (
        delivery.state,
        delivery.attempts,
        delivery.leased_until,
        list(attempts),
    )


async def test_an_event_that_is_told_late_has_its_day_all_the_same(
    backend: Backend, store: Store
) -> None:
    """The day begins when the event is queued: a timeout may be written down days after it."""
    await hooked(store)
    backend.clock.advance(3 * DAY_SECONDS)

    await happen(store, about("r1", "mpa.timeout", at=START))

    assert (
        backend.clock.now() + DAY_SECONDS
        == (await claim_one(store, now=backend.clock.now())).not_after
    )


async def test_a_disabled_webhook_gets_no_event(store: Store) -> None:
    """What happens while a webhook is disabled is not queued for it."""
    webhook = await hooked(store)
    await store.commit((PutWebhook(replace(webhook, status="disabled")),))

    await happen(store, about("r1"))

    assert [] == await log(store, webhook)


async def test_a_new_webhook_gets_no_earlier_event(store: Store) -> None:
    """Only what happens after a webhook was made is sent to it."""
    await happen(store, about("r1"))

    webhook = await hooked(store)

    assert [] == await log(store, webhook)


async def test_a_webhook_that_is_made_with_an_event_gets_it(store: Store) -> None:
    """Within one commit the order counts, as between two."""
    webhook, event = hook(), about("r1")

    await store.commit((PutWebhook(webhook), AppendEvent(event)))

    assert [(event.id, "queued")] == await log(store, webhook)


async def test_what_is_disabled_with_an_event_does_not_get_it(store: Store) -> None:
    """A webhook is not told that it was disabled; the others are."""
    disabled, other = await hooked(store), await hooked(store)
    event = about(disabled.webhook_id, "webhook.disabled")

    await store.commit((PutWebhook(replace(disabled, status="disabled")), AppendEvent(event)))

    assert ([], [(event.id, "queued")]) == (await log(store, disabled), await log(store, other))


async def test_a_test_goes_to_one_webhook_whatever_it_wants(store: Store) -> None:
    """An event for one webhook is queued for no other."""
    tested, other = await hooked(store, "mpa.approved"), await hooked(store)
    event = about("t1", "webhook.test")

    await store.commit((AppendEvent(event, only_for=tested.webhook_id),))

    assert ([(event.id, "queued")], []) == (await log(store, tested), await log(store, other))


async def test_a_test_is_not_in_the_stream_of_events(store: Store) -> None:
    """Who resumes an event stream is not sent tests of webhooks."""
    webhook = await hooked(store)
    first, test, second = about("r1"), about("t1", "webhook.test"), about("r2")
    await store.commit((AppendEvent(first),))
    await store.commit((AppendEvent(test, only_for=webhook.webhook_id), AppendEvent(second)))

    found = await store.events(integrator_id=ACME.id, after=first.id, limit=10)

    assert found is not None
    assert [second.id] == [event.id for event in found]


async def test_a_refused_commit_queues_nothing(backend: Backend, store: Store) -> None:
    """Event and deliveries become durable together or not at all."""
    webhook = await hooked(store)
    with backend.unwritable(), pytest.raises(Exception, match="refused"):
        await happen(store, about("r1"))

    assert [] == await log(store, webhook)


async def test_an_event_of_another_process_is_queued(backend: Backend, store: Store) -> None:
    """What the command line appends goes to the same webhooks."""
    everything = await hooked(store)
    approvals = await hooked(store, "mpa.approved")
    event = about("f1", "device.revoked")

    backend.administer(AppendEvent(event))

    assert [event.id] == [delivery.event_id for delivery in await claim(store)]
    assert [(event.id, "queued")] == await log(store, everything)
    assert [] == await log(store, approvals)


async def test_another_process_disables_a_webhook(backend: Backend, store: Store) -> None:
    """The serving process follows, and does not undo it with what it writes itself."""
    webhook = await hooked(store)
    backend.administer(
        PutWebhook(
            replace(webhook, status="disabled", disabled_reason="operator", secret=b"not taken")
        )
    )
    await store.commit((PutWebhook(replace(webhook, failing_since=START)),))

    backend.follow(store)

    found = store.directory.webhook(webhook.webhook_id)
    assert found == replace(
        webhook, status="disabled", disabled_reason="operator", failing_since=START
    )


async def test_another_process_enables_a_webhook(backend: Backend, store: Store) -> None:
    """It is active, and that it failed is forgotten in memory and on the disk."""
    webhook = await hooked(store)
    failed = replace(webhook, status="disabled", disabled_reason="failing", failing_since=START)
    await store.commit((PutWebhook(failed),))

    backend.administer(PutWebhook(webhook))
    backend.follow(store)

    assert webhook == store.directory.webhook(webhook.webhook_id)


async def test_what_another_process_changes_of_an_unknown_webhook_is_nothing(
    backend: Backend, store: Store
) -> None:
    """A webhook that was deleted meanwhile does not come back."""
    webhook = await hooked(store)
    await store.commit((DeleteWebhook(webhook.webhook_id),))

    backend.administer(PutWebhook(webhook))
    backend.follow(store)

    assert None is store.directory.webhook(webhook.webhook_id)


# What is read of deliveries


async def test_deliveries_are_listed_newest_first_in_pages(store: Store) -> None:
    """A page goes on after the event that the page before ended with."""
    webhook = await hooked(store)
    ids = [(await happen(store, about(f"r{number}")))[0] for number in range(5)]

    first = await store.webhook_deliveries(webhook_id=webhook.webhook_id, before=None, limit=2)
    second = await store.webhook_deliveries(webhook_id=webhook.webhook_id, before=ids[3], limit=9)

    assert [ids[4], ids[3]] == [delivery.event_id for delivery, _ in first]
    assert [ids[2], ids[1], ids[0]] == [delivery.event_id for delivery, _ in second]


async def test_attempts_are_listed_oldest_first(store: Store) -> None:
    """Each try is kept with its time, how long it took and how it ended."""
    webhook = await hooked(store)
    await happen(store, about("r1"))
    for number in range(3):
        now = START + number
        await settle(store, await claim_one(store, now=now), "queued", at=now, next_at=now)

    ((delivery, attempts),) = await store.webhook_deliveries(
        webhook_id=webhook.webhook_id, before=None, limit=1
    )

    assert 3 == delivery.attempts
    assert [START, START + 1, START + 2] == [attempt.at for attempt in attempts]
    assert {(7, 500, None)} == {(one.milliseconds, one.status, one.reason) for one in attempts}


async def test_only_the_newest_attempts_are_kept(store: Store) -> None:
    """However often something is sent again, its log stays short."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))
    for number in range(MAX_WEBHOOK_ATTEMPTS_KEPT + 2):
        now = START + number
        await settle(store, await claim_one(store, now=now), "queued", at=now, next_at=now)

    found = await store.webhook_delivery(webhook_id=webhook.webhook_id, event_id=event_id)

    assert found is not None
    assert list(range(START + 2, START + 2 + MAX_WEBHOOK_ATTEMPTS_KEPT)) == [
        attempt.at for attempt in found[1]
    ]


async def test_there_is_no_delivery_of_an_unknown_event(store: Store) -> None:
    """Neither an unknown event nor an unknown webhook has a delivery."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))

    found = await asyncio.gather(
        store.webhook_delivery(webhook_id=webhook.webhook_id, event_id="none"),
        store.webhook_delivery(webhook_id="none", event_id=event_id),
    )

    assert [None, None] == list(found)
