"""What was sent to a webhook, how it went, and sending it again (PROTOCOL §10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from quorumkey.protocol import format_time
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.store.records import TEST_EVENT, WEBHOOK_DELIVERY_SECONDS, EventRecord
from quorumkey_relay.store.writes import AppendEvent, QueueWebhookDelivery
from quorumkey_relay.usecases.read import BAD_CURSOR, is_request_id
from quorumkey_relay.usecases.render import encode
from quorumkey_relay.usecases.views import Page, WebhookAttemptView, WebhookDeliveryView
from quorumkey_relay.usecases.webhooks import own_webhook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Webhook, WebhookAttempt, WebhookDelivery

IS_DISABLED: Final = Refusal("invalid_request", "This webhook is disabled; enable it first.")


def _view(
    webhook: Webhook, delivery: WebhookDelivery, attempts: Sequence[WebhookAttempt], now: int
) -> WebhookDeliveryView:
    status, upcoming = delivery.state, delivery.next_at
    if status == "queued" and now >= delivery.not_after:
        status = "failed"  # nobody has written it down yet, as while the webhook is disabled
    waits = status != "queued" or webhook.status == "disabled"
    return WebhookDeliveryView(
        event_id=delivery.event_id,
        type=delivery.event_type,
        status=status,
        created_at=format_time(delivery.created_at),
        next_attempt_at=UNSET if waits else format_time(upcoming),
        attempts=[_attempt_view(attempt) for attempt in attempts],
    )


def _attempt_view(attempt: WebhookAttempt) -> WebhookAttemptView:
    return WebhookAttemptView(
        at=format_time(attempt.at),
        status=UNSET if attempt.status is None else attempt.status,
        reason=UNSET if attempt.reason is None else attempt.reason,
        duration_ms=attempt.milliseconds,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class TryWebhook:
    """Sends a webhook an event that says nothing, so that its receiver can be tried out."""

    store: Store
    clock: Clock
    mint: Mint

    async def __call__(
        self, *, integrator_id: str, webhook_id: str
    ) -> WebhookDeliveryView | Refusal:
        """Return the delivery, which is queued; nobody else is told of the event."""
        webhook = own_webhook(self.store, integrator_id, webhook_id)
        if webhook is None:
            return NOT_FOUND
        if webhook.status == "disabled":
            return IS_DISABLED
        now, event_id = self.clock.now(), self.mint.uuid7()
        body = {"type": TEST_EVENT, "webhook_id": webhook_id, "timestamp": format_time(now)}
        event = EventRecord(
            id=event_id,
            integrator_id=integrator_id,
            type=TEST_EVENT,
            subject=event_id,  # one test does not wait for another
            body=encode(body),
            created_at=now,
        )
        await self.store.commit((AppendEvent(event, only_for=webhook_id),))
        found = await self.store.webhook_delivery(webhook_id=webhook_id, event_id=event_id)
        return NOT_FOUND if found is None else _view(webhook, *found, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWebhookDeliveries:
    """What was and is to be sent to a webhook, newest first."""

    store: Store
    clock: Clock

    async def __call__(
        self, *, integrator_id: str, webhook_id: str, limit: int, cursor: str | None
    ) -> Page[WebhookDeliveryView] | Refusal:
        """Return a page; ``cursor`` is the event id of the last delivery of the page before."""
        webhook = own_webhook(self.store, integrator_id, webhook_id)
        if webhook is None:
            return NOT_FOUND
        if cursor is not None and not await self._is_known(webhook_id, cursor):
            return BAD_CURSOR
        found = await self.store.webhook_deliveries(
            webhook_id=webhook_id, before=cursor, limit=limit + 1
        )
        shown, now = found[:limit], self.clock.now()
        return Page(
            [_view(webhook, *one, now) for one in shown],
            shown[-1][0].event_id if len(found) > limit else None,
        )

    async def _is_known(self, webhook_id: str, event_id: str) -> bool:
        if not is_request_id(event_id):
            return False
        found = await self.store.webhook_delivery(webhook_id=webhook_id, event_id=event_id)
        return found is not None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWebhookDelivery:
    """One event on its way to a webhook."""

    store: Store
    clock: Clock

    async def __call__(
        self, *, integrator_id: str, webhook_id: str, event_id: str
    ) -> WebhookDeliveryView | Refusal:
        """Return the delivery with its attempts, oldest first."""
        webhook = own_webhook(self.store, integrator_id, webhook_id)
        if webhook is None:
            return NOT_FOUND
        found = await self.store.webhook_delivery(webhook_id=webhook_id, event_id=event_id)
        return NOT_FOUND if found is None else _view(webhook, *found, self.clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class ResendWebhookDelivery:
    """Sends an event again, whatever became of it, under the same id."""

    store: Store
    clock: Clock

    async def __call__(
        self, *, integrator_id: str, webhook_id: str, event_id: str
    ) -> WebhookDeliveryView | Refusal:
        """Return the delivery, which is due now and has a whole day anew."""
        webhook = own_webhook(self.store, integrator_id, webhook_id)
        if webhook is None:
            return NOT_FOUND
        found = await self.store.webhook_delivery(webhook_id=webhook_id, event_id=event_id)
        if found is None:
            return NOT_FOUND
        if webhook.status == "disabled":
            return IS_DISABLED
        now = self.clock.now()
        until = now + WEBHOOK_DELIVERY_SECONDS
        await self.store.commit((QueueWebhookDelivery(webhook_id, event_id, now, until),))
        delivery, attempts = found
        queued = replace(delivery, state="queued", next_at=now, not_after=until)
        return _view(webhook, queued, attempts, now)
