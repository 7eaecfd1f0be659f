"""The calls that manage webhooks, as values (PROTOCOL §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.client._calls import create, get, post, query, segment
from quorumkey.client._exchange import Call, Outgoing, json_of, nothing_of
from quorumkey.client.models import page_of
from quorumkey.client.webhook_models import CreatedWebhook, Webhook, WebhookDelivery

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey.client.models import Page
    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "create_webhook",
    "delete_webhook",
    "disable_webhook",
    "enable_webhook",
    "get_delivery",
    "get_webhook",
    "list_deliveries",
    "list_webhooks",
    "resend_delivery",
    "rotate_secret",
    "send_test",
]


def create_webhook(
    url: str, events: Sequence[str] | None, *, idempotency_key: str
) -> Call[CreatedWebhook]:
    """``POST /v1/webhooks``."""
    body: dict[str, JsonValue] = {"url": url}
    if events is not None:
        body["events"] = list(events)
    return create("/v1/webhooks", body, CreatedWebhook.parse, idempotency_key)


def list_webhooks(*, limit: int | None, cursor: str | None) -> Call[Page[Webhook]]:
    """``GET /v1/webhooks``, one page."""
    return get("/v1/webhooks", page_of(Webhook.parse), query=query(limit=limit, cursor=cursor))


def get_webhook(webhook_id: str) -> Call[Webhook]:
    """``GET /v1/webhooks/{id}``."""
    return get(_path(webhook_id), Webhook.parse)


def delete_webhook(webhook_id: str) -> Call[None]:
    """``DELETE /v1/webhooks/{id}``."""
    outgoing = Outgoing(method="DELETE", path=_path(webhook_id))
    return Call(outgoing=outgoing, parse=nothing_of, repeatable=True, absent=lambda: None)


def rotate_secret(webhook_id: str, *, idempotency_key: str) -> Call[CreatedWebhook]:
    """``POST /v1/webhooks/{id}/rotate``; without its key a second one ends the secret in use."""
    path = _path(webhook_id) + "/rotate"
    return create(path, {}, CreatedWebhook.parse, idempotency_key)


def disable_webhook(webhook_id: str) -> Call[Webhook]:
    """``POST /v1/webhooks/{id}/disable``; a disabled one answers again."""
    return _change(webhook_id, "disable")


def enable_webhook(webhook_id: str) -> Call[Webhook]:
    """``POST /v1/webhooks/{id}/enable``; an active one answers again."""
    return _change(webhook_id, "enable")


def send_test(webhook_id: str) -> Call[WebhookDelivery]:
    """``POST /v1/webhooks/{id}/test``, once: each call is an event."""
    return _deliver(_path(webhook_id) + "/test")


def list_deliveries(
    webhook_id: str, *, limit: int | None, cursor: str | None
) -> Call[Page[WebhookDelivery]]:
    """``GET /v1/webhooks/{id}/deliveries``, one page."""
    path = _path(webhook_id) + "/deliveries"
    return get(path, page_of(WebhookDelivery.parse), query=query(limit=limit, cursor=cursor))


def get_delivery(webhook_id: str, event_id: str) -> Call[WebhookDelivery]:
    """``GET /v1/webhooks/{id}/deliveries/{event id}``."""
    return get(_delivery(webhook_id, event_id), WebhookDelivery.parse)


def resend_delivery(webhook_id: str, event_id: str) -> Call[WebhookDelivery]:
    """``POST /v1/webhooks/{id}/deliveries/{event id}/resend``, once: each call sends."""
    return _deliver(_delivery(webhook_id, event_id) + "/resend")


def _change(webhook_id: str, what: str) -> Call[Webhook]:
    path = f"{_path(webhook_id)}/{what}"
    return post(path, {}, lambda answer: Webhook.parse(json_of(answer)), repeatable=True)


def _deliver(path: str) -> Call[WebhookDelivery]:
    return post(path, {}, lambda answer: WebhookDelivery.parse(json_of(answer)), repeatable=False)


def _path(webhook_id: str) -> str:
    return f"/v1/webhooks/{segment(webhook_id)}"


def _delivery(webhook_id: str, event_id: str) -> str:
    return f"{_path(webhook_id)}/deliveries/{segment(event_id)}"
