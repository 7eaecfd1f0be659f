"""Webhooks, events about a subject, and what tests do with their deliveries."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.contract.material import MINT
from tests.relay.simulator import ACME, START

from quorumkey_relay.store.records import EventRecord, Webhook, WebhookAttempt
from quorumkey_relay.store.writes import AppendEvent, PutWebhook, SettleWebhookDelivery

if TYPE_CHECKING:
    from collections.abc import Collection

    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import WebhookDelivery, WebhookDeliveryState

LEASE_SECONDS = 60
DAY_SECONDS = 86_400


def hook(*events: str, integrator: Integrator = ACME) -> Webhook:
    """A webhook for these types of events, all without any."""
    return Webhook(
        webhook_id=MINT.uuid7(),
        integrator_id=integrator.id,
        url="https://hooks.example/quorumkey",
        events=events,
        secret=b"sealed",
        created_at=START,
    )


async def hooked(store: Store, *events: str, integrator: Integrator = ACME) -> Webhook:
    """A webhook that is stored."""
    webhook = hook(*events, integrator=integrator)
    await store.commit((PutWebhook(webhook),))
    return webhook


def about(
    subject: str, kind: str = "mpa.approved", *, integrator: Integrator = ACME, at: int = START
) -> EventRecord:
    """An event about a subject."""
    return EventRecord(
        id=MINT.uuid7(),
        integrator_id=integrator.id,
        type=kind,
        subject=subject,
        body=b'{"type":"%b"}' % kind.encode(),
        created_at=at,
    )


async def happen(store: Store, *events: EventRecord) -> list[str]:
    """Events happen, in one commit; answers their ids."""
    await store.commit(tuple(AppendEvent(event) for event in events))
    return [event.id for event in events]


async def claim(
    store: Store, *, now: int = START, limit: int = 100, busy: Collection[str] = ()
) -> list[WebhookDelivery]:
    """Claim what is due."""
    return list(
        await store.claim_webhook_deliveries(
            now=now, lease_seconds=LEASE_SECONDS, limit=limit, busy=busy
        )
    )


async def claim_one(store: Store, *, now: int = START) -> WebhookDelivery:
    """Claim the one delivery that is due."""
    (found,) = await claim(store, now=now)
    return found


async def settle(
    store: Store,
    delivery: WebhookDelivery,
    state: WebhookDeliveryState,
    *,
    at: int = START,
    next_at: int = START,
) -> None:
    """Write down how a try ended."""
    status = 200 if state == "delivered" else 500
    attempt = WebhookAttempt(at=at, milliseconds=7, status=status, reason=None)
    settled = replace(delivery, state=state, next_at=next_at, attempts=delivery.attempts + 1)
    await store.commit((SettleWebhookDelivery(settled, attempt),))


async def log(store: Store, webhook: Webhook) -> list[tuple[str, str]]:
    """Event id and state of a webhook's deliveries, newest first."""
    found = await store.webhook_deliveries(webhook_id=webhook.webhook_id, before=None, limit=100)
    return [(delivery.event_id, delivery.state) for delivery, _ in found]
