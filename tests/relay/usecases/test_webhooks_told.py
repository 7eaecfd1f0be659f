"""What a webhook's own events tell, and whom."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.contract.hooks import hook
from tests.contract.material import MINT
from tests.relay.simulator import ACME, START, granted

from quorumkey.protocol import format_time
from quorumkey_relay.store.writes import AppendEvent, PutWebhook
from quorumkey_relay.usecases.commands import WebhookBody
from quorumkey_relay.usecases.webhooks import disable_webhook

if TYPE_CHECKING:
    from tests.relay.simulator import Simulator

    from quorumkey_relay.store.records import DisabledReason

pytestmark = pytest.mark.anyio


async def test_a_test_is_in_no_stream_of_events(sim: Simulator) -> None:
    """Who follows the integrator's events hears what comes after a test, and not the test."""
    body = WebhookBody(url="https://hooks.example/quorumkey")
    made = await granted(sim.use.create_webhook(integrator=ACME, body=body, idempotency=None))
    webhook_id = json.loads(made)["webhook_id"]
    alice = await sim.device("alice")
    stream = await granted(sim.use.watch_events(integrator_id=ACME.id, last_event_id=None))

    await granted(sim.use.try_webhook(integrator_id=ACME.id, webhook_id=webhook_id))
    asked = await sim.ask([alice])
    await granted(sim.use.cancel_request(integrator_id=ACME.id, request_id=asked.id))

    assert "mpa.cancelled" == (await anext(stream)).type


@pytest.mark.parametrize("reason", ["failing", "gone", "operator"])
async def test_what_is_told_of_a_disabled_webhook(reason: DisabledReason) -> None:
    """The event says which one, at which host, why and when, and comes after the change itself."""
    webhook = hook()

    put, told = disable_webhook(webhook, reason=reason, now=START, mint=MINT)

    assert isinstance(put, PutWebhook)
    assert isinstance(told, AppendEvent)
    assert ("disabled", reason) == (put.webhook.status, put.webhook.disabled_reason)
    assert ("webhook.disabled", webhook.webhook_id, ACME.id) == (
        told.event.type,
        told.event.subject,
        told.event.integrator_id,
    )
    assert {
        "type": "webhook.disabled",
        "webhook_id": webhook.webhook_id,
        "host": "hooks.example",
        "reason": reason,
        "timestamp": format_time(START),
    } == json.loads(told.event.body)
