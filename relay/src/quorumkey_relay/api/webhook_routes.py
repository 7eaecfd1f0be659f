"""The part of the table of routes that is about webhooks (PROTOCOL §10)."""

from __future__ import annotations

from typing import Any, Final

from quorumkey_relay.api import queries, webhooks
from quorumkey_relay.api.answers import NO_CONTENT
from quorumkey_relay.api.bodies import NO_BODY, structured
from quorumkey_relay.api.endpoint import CREATED, IDEMPOTENCY_KEY, Endpoint
from quorumkey_relay.api.gate import API_KEY
from quorumkey_relay.usecases import commands, views

_LIST: Final = (queries.LIMIT, queries.CURSOR)

WEBHOOK_ROUTES: Final[tuple[Endpoint[Any, Any], ...]] = (
    Endpoint(
        method="POST",
        path="/v1/webhooks",
        summary="Take an address for your events; the secret is shown this once.",
        auth=API_KEY,
        body=structured(commands.WebhookBody),
        handle=webhooks.create_webhook,
        answer=views.WebhookSecretView,
        success=CREATED,
        headers=(IDEMPOTENCY_KEY,),
        errors=("idempotency_conflict",),
    ),
    Endpoint(
        method="GET",
        path="/v1/webhooks",
        summary="List your webhooks, newest first.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.list_webhooks,
        answer=views.Page[views.WebhookView],
        query=_LIST,
    ),
    Endpoint(
        method="GET",
        path="/v1/webhooks/{webhook_id}",
        summary="Read a webhook; never its secret.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.read_webhook,
        answer=views.WebhookView,
    ),
    Endpoint(
        method="DELETE",
        path="/v1/webhooks/{webhook_id}",
        summary="Delete a webhook and all that was to be sent to it.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.remove_webhook,
        success=NO_CONTENT,
    ),
    Endpoint(
        method="POST",
        path="/v1/webhooks/{webhook_id}/rotate",
        summary="Take a new secret; the old one signs too for 24 hours.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.rotate_webhook,
        answer=views.WebhookSecretView,
        headers=(IDEMPOTENCY_KEY,),
        errors=("idempotency_conflict",),
    ),
    Endpoint(
        method="POST",
        path="/v1/webhooks/{webhook_id}/disable",
        summary="Have nothing sent to a webhook until it is enabled.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.disable_webhook,
        answer=views.WebhookView,
    ),
    Endpoint(
        method="POST",
        path="/v1/webhooks/{webhook_id}/enable",
        summary="Have events sent to a webhook again, with those that waited.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.enable_webhook,
        answer=views.WebhookView,
    ),
    Endpoint(
        method="POST",
        path="/v1/webhooks/{webhook_id}/test",
        summary="Send a webhook an event of type webhook.test.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.try_webhook,
        answer=views.WebhookDeliveryView,
    ),
    Endpoint(
        method="GET",
        path="/v1/webhooks/{webhook_id}/deliveries",
        summary="List what was and is to be sent to a webhook, newest first.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.list_deliveries,
        answer=views.Page[views.WebhookDeliveryView],
        query=_LIST,
    ),
    Endpoint(
        method="GET",
        path="/v1/webhooks/{webhook_id}/deliveries/{event_id}",
        summary="Read one delivery with its attempts.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.read_delivery,
        answer=views.WebhookDeliveryView,
    ),
    Endpoint(
        method="POST",
        path="/v1/webhooks/{webhook_id}/deliveries/{event_id}/resend",
        summary="Send an event again, under the same id.",
        auth=API_KEY,
        body=NO_BODY,
        handle=webhooks.resend_delivery,
        answer=views.WebhookDeliveryView,
    ),
)
