"""Webhooks as the relay keeps them: where they go, what was sent, how each attempt ended."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum, unique
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from quorumkey.client._fields import Fields

__all__ = [
    "CreatedWebhook",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookDeliveryStatus",
    "WebhookStatus",
]


@unique
class WebhookStatus(StrEnum):
    """Whether a webhook is called."""

    ACTIVE = "active"
    DISABLED = "disabled"


@unique
class WebhookDeliveryStatus(StrEnum):
    """Where the delivery of one event to one webhook stands."""

    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An address that the relay tells events to. Its secret is in no answer but the first.

    Attributes:
        webhook_id: the relay's id for it.
        url: the address that is called.
        events: the types it gets; ``("*",)`` stands for every one, later ones too.
        status: whether it is called.
        created_at: in epoch seconds.
        old_secret_expires_at: until when the secret before this one signs too, or None.
        failing_since: when the failures began that no success has ended, or None.
        disabled_reason: ``requested``, ``failing``, ``gone`` (it answered 410), ``operator``, or
            None while it is active.
    """

    webhook_id: str
    url: str
    events: tuple[str, ...]
    status: WebhookStatus
    created_at: int
    old_secret_expires_at: int | None = None
    failing_since: int | None = None
    disabled_reason: str | None = None

    @staticmethod
    def parse(fields: Fields) -> Webhook:
        """Read a webhook object."""
        return Webhook(
            webhook_id=fields.text("webhook_id"),
            url=fields.text("url"),
            events=fields.texts("events"),
            status=fields.choice("status", WebhookStatus),
            created_at=fields.time("created_at"),
            old_secret_expires_at=fields.optional_time("old_secret_expires_at"),
            failing_since=fields.optional_time("failing_since"),
            disabled_reason=fields.optional_text("disabled_reason"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CreatedWebhook:
    """A webhook with its new secret, which the relay shows this once.

    Attributes:
        webhook: the webhook.
        secret: ``whsec_…``: store it where the receiver reads it.
    """

    webhook: Webhook
    secret: str = field(repr=False)

    @staticmethod
    def parse(fields: Fields) -> CreatedWebhook:
        """Read the answer of a creation or a rotation."""
        return CreatedWebhook(webhook=Webhook.parse(fields), secret=fields.text("secret"))


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempt:
    """One call of a webhook.

    Attributes:
        at: when it began, in epoch seconds.
        duration_ms: how long it took, in milliseconds.
        status: the HTTP status of the answer; None where none came.
        reason: why none came (``timeout``, ``unreachable``, ``private_address`` …), or None.
    """

    at: int
    duration_ms: int
    status: int | None = None
    reason: str | None = None

    @staticmethod
    def parse(fields: Fields) -> WebhookAttempt:
        """Read an attempt."""
        return WebhookAttempt(
            at=fields.time("at"),
            duration_ms=fields.integer("duration_ms"),
            status=fields.integer("status") if fields.has("status") else None,
            reason=fields.optional_text("reason"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One event on its way to one webhook.

    Attributes:
        event_id: the event's id, which the receiver sees as ``webhook-id``.
        type: the event's type.
        status: where it stands.
        created_at: when the event happened, in epoch seconds.
        attempts: every attempt that is kept, oldest first.
        next_attempt_at: when it is tried next, or None.
    """

    event_id: str
    type: str
    status: WebhookDeliveryStatus
    created_at: int
    attempts: tuple[WebhookAttempt, ...]
    next_attempt_at: int | None = None

    @staticmethod
    def parse(fields: Fields) -> WebhookDelivery:
        """Read a delivery."""
        return WebhookDelivery(
            event_id=fields.text("event_id"),
            type=fields.text("type"),
            status=fields.choice("status", WebhookDeliveryStatus),
            created_at=fields.time("created_at"),
            attempts=tuple(WebhookAttempt.parse(child) for child in fields.children("attempts")),
            next_attempt_at=fields.optional_time("next_attempt_at"),
        )
