"""Deliveries to webhooks are claimed: once, in order, and never for good."""

from __future__ import annotations

import asyncio
from dataclasses import replace
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
from tests.relay.simulator import START, UMBRELLA

from quorumkey_relay.store.writes import (
    DeleteWebhook,
    PutWebhook,
    QueueWebhookDelivery,
    SettleWebhookDelivery,
)

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.store.protocol import Store

pytestmark = pytest.mark.anyio


async def test_what_is_claimed_is_nobody_elses(store: Store) -> None:
    """A second claim finds nothing before the lease ends, and the delivery again from then on."""
    await hooked(store)
    (event_id,) = await happen(store, about("r1"))

    first = await claim_one(store)
    meanwhile = await claim(store, now=START + LEASE_SECONDS - 1)
    again = await claim_one(store, now=START + LEASE_SECONDS)

    assert START + LEASE_SECONDS == first.leased_until
    assert [] == meanwhile
    assert event_id == first.event_id == again.event_id


async def test_claims_at_once_share_nothing(store: Store) -> None:
    """Each of many claims gets other deliveries, and all of them together everything."""
    await hooked(store)
    ids = await happen(store, *(about(f"r{number}") for number in range(20)))

    claims = await asyncio.gather(*(claim(store, limit=12) for _ in range(10)))

    assert sorted(ids) == sorted(one.event_id for found in claims for one in found)


async def test_a_claim_survives_a_crash_until_leases_are_released(backend: Backend) -> None:
    """A claim is on the disk; whoever starts anew lets go of it."""
    async with backend.open() as store:
        await hooked(store)
        await happen(store, about("r1"))
        await claim_one(store)
    async with backend.open() as store:
        held = await claim(store)
        await store.release_leases()
        free = await claim(store)

    assert (0, 1) == (len(held), len(free))


async def test_releasing_leaves_what_is_settled(store: Store) -> None:
    """Only what is queued has a lease to lose."""
    webhook = await hooked(store)
    (event_id,) = await happen(store, about("r1"))
    await settle(store, await claim_one(store), "delivered")

    await store.release_leases()

    assert [(event_id, "delivered")] == await log(store, webhook)


async def test_a_settled_delivery_is_not_claimed(store: Store) -> None:
    """What was delivered, or has failed for good, is not sent again."""
    webhook = await hooked(store)
    ids = await happen(store, about("r1"), about("r2"))
    one, two = await claim(store)
    await settle(store, one, "delivered")
    await settle(store, two, "failed")

    assert [] == await claim(store, now=START + DAY_SECONDS - 1)
    assert [(ids[1], "failed"), (ids[0], "delivered")] == await log(store, webhook)


async def test_a_delivery_waits_for_its_next_try(store: Store) -> None:
    """It is claimed from ``next_at`` on, and then with the count of its tries."""
    await hooked(store)
    await happen(store, about("r1"))
    await settle(store, await claim_one(store), "queued", next_at=START + 30)

    before = await claim(store, now=START + 29)
    after = await claim_one(store, now=START + 30)

    assert [] == before
    assert 1 == after.attempts


async def test_a_lease_that_is_given_back_leaves_no_attempt(store: Store) -> None:
    """Settling without an attempt ends the lease and writes nothing else down."""
    webhook = await hooked(store)
    await happen(store, about("r1"))
    delivery = await claim_one(store)

    await store.commit((SettleWebhookDelivery(delivery, None),))

    again = await claim_one(store)
    found = await store.webhook_delivery(webhook_id=webhook.webhook_id, event_id=delivery.event_id)
    assert 0 == again.attempts
    assert found is not None
    assert [] == list(found[1])


# Order


async def test_of_one_subject_the_earlier_event_goes_first(store: Store) -> None:
    """A later event waits while an earlier one of its subject is queued, tried or not."""
    await hooked(store)
    first, second = await happen(store, about("d1"), about("d1", "device.revoked"))

    claimed = await claim_one(store)
    while_tried = await claim(store)
    await settle(store, claimed, "queued", next_at=START + 30)
    while_waiting = await claim(store)
    again = await claim_one(store, now=START + 30)
    await settle(store, again, "delivered", at=START + 30)
    after = await claim_one(store, now=START + 30)

    assert [] == while_tried == while_waiting
    assert [first, first, second] == [claimed.event_id, again.event_id, after.event_id]


async def test_a_failed_event_lets_the_next_one_pass(store: Store) -> None:
    """An event that was given up holds nobody back."""
    await hooked(store)
    _, second = await happen(store, about("d1"), about("d1"))
    await settle(store, await claim_one(store), "failed")

    assert second == (await claim_one(store)).event_id


async def test_subjects_do_not_wait_for_each_other(store: Store) -> None:
    """An event that is tried for hours holds back its own subject alone."""
    await hooked(store)
    await happen(store, about("r1"))
    await settle(store, await claim_one(store), "queued", next_at=START + 3_600)
    (other,) = await happen(store, about("r2"))

    assert other == (await claim_one(store)).event_id


async def test_webhooks_do_not_wait_for_each_other(store: Store) -> None:
    """Of two webhooks each has its own order."""
    one, two = await hooked(store), await hooked(store)
    await happen(store, about("d1"), about("d1"))

    claimed = await claim(store)

    assert {one.webhook_id, two.webhook_id} == {delivery.webhook_id for delivery in claimed}
    assert 2 == len(claimed)


async def test_what_is_due_longest_is_claimed_first(store: Store) -> None:
    """Deliveries to one webhook come in the order in which they fell due."""
    await hooked(store)
    ids = await happen(store, *(about(f"r{number}") for number in range(6)))

    claimed = await claim(store, limit=24)

    assert ids == [delivery.event_id for delivery in claimed]


# Who may be claimed for


async def test_a_busy_webhook_is_passed_over(store: Store) -> None:
    """What waits for it stays, and what waits for others is claimed."""
    busy, free = await hooked(store), await hooked(store)
    await happen(store, about("r1"))

    claimed = await claim(store, busy={busy.webhook_id})
    later = await claim(store)

    assert [free.webhook_id] == [delivery.webhook_id for delivery in claimed]
    assert [busy.webhook_id] == [delivery.webhook_id for delivery in later]


async def test_what_is_queued_for_a_disabled_webhook_waits(store: Store) -> None:
    """It is claimed again once the webhook is enabled."""
    webhook = await hooked(store)
    await happen(store, about("r1"))
    await store.commit((PutWebhook(replace(webhook, status="disabled")),))

    disabled = await claim(store, now=START + 100)
    await store.commit((PutWebhook(webhook),))
    enabled = await claim(store, now=START + 100)

    assert (0, 1) == (len(disabled), len(enabled))


async def test_nothing_is_claimed_for_a_deleted_webhook(store: Store) -> None:
    """Its deliveries are not sent, though they may lie there for a while."""
    webhook, other = await hooked(store), await hooked(store)
    await happen(store, about("r1"))

    await store.commit((DeleteWebhook(webhook.webhook_id),))

    assert [other.webhook_id] == [delivery.webhook_id for delivery in await claim(store)]


async def test_a_new_webhook_does_not_inherit_the_queue_of_a_deleted_one(store: Store) -> None:
    """Whatever number a row has: what was queued for another is not sent to it."""
    webhook = await hooked(store)
    await happen(store, about("r1"))
    await store.commit((DeleteWebhook(webhook.webhook_id),))

    fresh = await hooked(store)

    assert [] == await claim(store)
    assert [] == await log(store, fresh)


async def test_one_webhook_does_not_take_a_whole_claim(store: Store) -> None:
    """Where one has a long queue, the others get their part of the same claim."""
    await hooked(store)
    await happen(store, *(about(f"r{number}") for number in range(100)))
    other = await hooked(store, integrator=UMBRELLA)
    await happen(store, about("r1", integrator=UMBRELLA))

    claimed = await claim(store, limit=8)

    assert 1 == [delivery.webhook_id for delivery in claimed].count(other.webhook_id)
    assert 3 == len(claimed)


async def test_every_webhook_has_its_turn(store: Store) -> None:
    """A claim goes on after the webhook that the last one ended with."""
    webhooks = [await hooked(store) for _ in range(3)]
    await happen(store, *(about(f"r{number}") for number in range(2)))

    turns = [(await claim(store, limit=1))[0].webhook_id for _ in range(6)]

    assert [one.webhook_id for one in webhooks] * 2 == turns


# The end of its day


async def test_what_cannot_be_delivered_in_time_fails(store: Store) -> None:
    """A claim at the end of the day writes it down and claims what comes after it."""
    webhook = await hooked(store)
    first, second = await happen(store, about("d1"), about("d1"))
    await store.commit(
        (QueueWebhookDelivery(webhook.webhook_id, second, START, START + 2 * DAY_SECONDS),)
    )

    claimed = await claim_one(store, now=START + DAY_SECONDS)

    assert second == claimed.event_id
    assert [(second, "queued"), (first, "failed")] == await log(store, webhook)
