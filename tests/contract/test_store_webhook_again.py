"""Deliveries to webhooks are queued again, settled late, and deleted with their event."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.hooks import (
    DAY_SECONDS,
    LEASE_SECONDS,
    about,
    claim,
    claim_one,
    happen,
    hooked,
    log,
    settle,
)
from tests.relay.simulator import START

from quorumkey_relay.store.writes import (
    AppendEvent,
    DeleteWebhook,
    PutWebhook,
    QueueWebhookDelivery,
)

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import WebhookDeliveryState

pytestmark = pytest.mark.anyio


# Sending again


@pytest.mark.parametrize("state", ["delivered", "failed", "queued"])
async def test_what_is_queued_again_is_due_now(store: Store, state: WebhookDeliveryState) -> None:
    """Whatever became of it: it is claimed at once, as if it had never been tried."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))
    await settle(store, await claim_one(store), state, next_at=START + 3_600)
    until = START + 5 + DAY_SECONDS

    await store.commit((QueueWebhookDelivery(webhook.webhook_id, event_id, START + 5, until),))

    again = await claim_one(store, now=START + 5)
    assert (event_id, 0, until) == (again.event_id, again.attempts, again.not_after)


async def test_the_log_goes_on_when_it_is_sent_again(store: Store) -> None:
    """Attempts of before stay in the log beside the new ones."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))
    await settle(store, await claim_one(store), "failed", at=START)
    await store.commit(
        (QueueWebhookDelivery(webhook.webhook_id, event_id, START + 5, START + DAY_SECONDS),)
    )
    await settle(store, await claim_one(store, now=START + 5), "delivered", at=START + 5)

    found = await store.webhook_delivery(webhook_id=webhook.webhook_id, event_id=event_id)

    assert found is not None
    assert ("delivered", 1) == (found[0].state, found[0].attempts)
    assert [(START, 500), (START + 5, 200)] == [(one.at, one.status) for one in found[1]]


@pytest.mark.parametrize("state", ["failed", "queued"])
async def test_queued_again_during_a_try_it_is_tried_again_at_once(
    store: Store, state: WebhookDeliveryState
) -> None:
    """That try's failure neither ends nor puts off what somebody has just asked for."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))
    this_try = await claim_one(store)
    await store.commit(
        (QueueWebhookDelivery(webhook.webhook_id, event_id, START + 1, START + 1 + DAY_SECONDS),)
    )

    await settle(store, this_try, state, at=START + 2, next_at=START + 3_600)

    again = await claim_one(store, now=START + 2)
    assert (event_id, 0) == (again.event_id, again.attempts)


async def test_what_has_arrived_stays_so(store: Store) -> None:
    """A slower try of the same delivery, whose lease had ended, does not queue it again."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))
    slow = await claim_one(store)
    quick = await claim_one(store, now=START + LEASE_SECONDS)
    await settle(store, quick, "delivered")

    await settle(store, slow, "queued", next_at=START + 900)

    assert [(event_id, "delivered")] == await log(store, webhook)


@pytest.mark.parametrize("state", ["failed", "queued"])
async def test_a_late_try_does_not_end_the_lease_of_the_next(
    store: Store, state: WebhookDeliveryState
) -> None:
    """Once its lease has ended and another claim has followed, its failure changes nothing."""
    await hooked(store)
    (event_id,) = await happen(store, about("r1"))
    late = await claim_one(store)
    current = await claim_one(store, now=START + LEASE_SECONDS)

    await settle(store, late, state)
    meanwhile = await claim(store, now=START + LEASE_SECONDS)
    await settle(store, current, "queued")

    assert [] == meanwhile
    assert event_id == (await claim_one(store, now=START + LEASE_SECONDS)).event_id


async def test_settling_for_a_deleted_webhook_is_no_error(store: Store) -> None:
    """A try may end after its webhook has gone."""
    webhook = await hooked(store)
    await happen(store, about("r1"))
    delivery = await claim_one(store)
    await store.commit((DeleteWebhook(webhook.webhook_id),))

    await settle(store, delivery, "delivered")

    assert [] == await log(store, webhook)


# Keeping


async def test_an_old_event_goes_with_its_deliveries(backend: Backend, store: Store) -> None:
    """Once it is settled everywhere, nothing keeps it."""
    webhook = await hooked(store)
    event = about("r1")
    await happen(store, event)
    await settle(store, await claim_one(store), "delivered")

    gone = await store.prune(requests_before=0, events_before=START + 1, answers_before=0)

    assert 1 == gone
    assert [] == await log(store, webhook)
    assert not backend.holds_event(event.id)


async def test_an_old_event_that_is_still_queued_stays(backend: Backend, store: Store) -> None:
    """While it may be delivered it is kept, and no longer."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))

    async def prune() -> int:
        return await store.prune(requests_before=0, events_before=START + 1, answers_before=0)

    backend.clock.advance(DAY_SECONDS - 1)
    early = await prune()
    kept = await log(store, webhook)
    backend.clock.advance(1)
    late = await prune()

    assert (0, [(event_id, "queued")], 1) == (early, kept, late)
    assert [] == await log(store, webhook)


async def test_pruning_deletes_what_a_deleted_webhook_has_left(store: Store) -> None:
    """Its deliveries go, those of others stay."""
    webhook, other = await hooked(store), await hooked(store)
    ids = await happen(store, *(about(f"r{number}") for number in range(120)))
    await store.commit((DeleteWebhook(webhook.webhook_id),))
    await store.prune(requests_before=0, events_before=0, answers_before=0)

    # Its number would lead to them, if there were any.
    await store.commit((PutWebhook(webhook),))

    assert [] == await log(store, webhook)
    assert ids[-1] == (await log(store, other))[0][0]


async def test_an_event_for_nobody_is_no_delivery(store: Store) -> None:
    """Without a webhook nothing is queued, and nothing is claimed."""
    await happen(store, about("r1"))

    assert [] == await claim(store)


async def test_an_event_is_claimed_only_once_it_is_durable(backend: Backend, store: Store) -> None:
    """What was refused with its commit is never sent."""
    await hooked(store)
    with backend.unwritable(), pytest.raises(Exception, match="refused"):
        await store.commit((AppendEvent(about("r1")),))

    assert [] == await claim(store)
