"""Handlers of an integrator's webhooks and of what was sent to them (PROTOCOL §10)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT
from quorumkey_relay.api.integrators import idempotency

if TYPE_CHECKING:
    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.commands import WebhookBody


async def create_webhook(call: Call[Integrator, WebhookBody]) -> Result:
    """``POST /v1/webhooks``."""
    return await call.relay.usecases.create_webhook(
        integrator=call.principal, body=call.body, idempotency=idempotency(call)
    )


async def list_webhooks(call: Call[Integrator, None]) -> Result:
    """``GET /v1/webhooks``."""
    return await call.relay.usecases.list_webhooks(
        integrator_id=call.principal.id,
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def read_webhook(call: Call[Integrator, None]) -> Result:
    """``GET /v1/webhooks/{webhook_id}``."""
    return await call.relay.usecases.read_webhook(
        integrator_id=call.principal.id, webhook_id=call.path_id
    )


async def remove_webhook(call: Call[Integrator, None]) -> Result:
    """``DELETE /v1/webhooks/{webhook_id}``."""
    return await call.relay.usecases.remove_webhook(
        integrator_id=call.principal.id, webhook_id=call.path_id
    )


async def rotate_webhook(call: Call[Integrator, None]) -> Result:
    """``POST /v1/webhooks/{webhook_id}/rotate``."""
    return await call.relay.usecases.rotate_webhook(
        integrator_id=call.principal.id, webhook_id=call.path_id, idempotency=idempotency(call)
    )


async def disable_webhook(call: Call[Integrator, None]) -> Result:
    """``POST /v1/webhooks/{webhook_id}/disable``."""
    return await call.relay.usecases.disable_webhook(
        integrator_id=call.principal.id, webhook_id=call.path_id
    )


async def enable_webhook(call: Call[Integrator, None]) -> Result:
    """``POST /v1/webhooks/{webhook_id}/enable``."""
    return await call.relay.usecases.enable_webhook(
        integrator_id=call.principal.id, webhook_id=call.path_id
    )


async def try_webhook(call: Call[Integrator, None]) -> Result:
    """``POST /v1/webhooks/{webhook_id}/test``."""
    return await call.relay.usecases.try_webhook(
        integrator_id=call.principal.id, webhook_id=call.path_id
    )


async def list_deliveries(call: Call[Integrator, None]) -> Result:
    """``GET /v1/webhooks/{webhook_id}/deliveries``."""
    return await call.relay.usecases.list_webhook_deliveries(
        integrator_id=call.principal.id,
        webhook_id=call.path_id,
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def read_delivery(call: Call[Integrator, None]) -> Result:
    """``GET /v1/webhooks/{webhook_id}/deliveries/{event_id}``."""
    webhook_id, event_id = call.path_ids
    return await call.relay.usecases.read_webhook_delivery(
        integrator_id=call.principal.id, webhook_id=webhook_id, event_id=event_id
    )


async def resend_delivery(call: Call[Integrator, None]) -> Result:
    """``POST /v1/webhooks/{webhook_id}/deliveries/{event_id}/resend``."""
    webhook_id, event_id = call.path_ids
    return await call.relay.usecases.resend_webhook_delivery(
        integrator_id=call.principal.id, webhook_id=webhook_id, event_id=event_id
    )
