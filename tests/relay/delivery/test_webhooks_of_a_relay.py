"""Webhooks of a whole relay: from a decision to the endpoint, over a restart, and counted."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.receiver import OK, answer, receiving
from tests.relay.simulator import ACME, ManualClock, granted, refused, simulator

from quorumkey.protocol.webhook import verify
from quorumkey_relay.usecases.commands import WebhookBody

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.simulator import Simulator

pytestmark = pytest.mark.anyio

UNSAFE = ("localhost",)


async def hook(sim: Simulator, url: str) -> tuple[str, str]:
    """A new webhook of Acme's: its id and its secret."""
    made = await granted(
        sim.use.create_webhook(integrator=ACME, body=WebhookBody(url), idempotency=None)
    )
    shown = json.loads(made)
    return shown["webhook_id"], shown["secret"]


async def settle(sim: Simulator) -> None:
    """Have all that is due tried."""
    await sim.relay.webhooks.scan()
    await sim.relay.webhooks.idle()


async def test_an_approval_reaches_the_endpoint(tmp_path: Path) -> None:
    """What the integrator is sent verifies under the secret that it was shown."""
    async with receiving() as receiver, simulator(tmp_path, unsafe_egress_hosts=UNSAFE) as sim:
        _, secret = await hook(sim, receiver.url)
        device = await sim.device("alice")
        request = await sim.ask([device])

        await sim.approve(request, device)
        await receiver.got(2)

        sent = {json.loads(one.body)["type"]: one for one in receiver.received}
        approved = sent["mpa.approved"]
        assert {"device.enrolled", "mpa.approved"} == sent.keys()
        assert verify(secret, approved.headers, approved.body, now=sim.clock.now())
        assert request.id == json.loads(approved.body)["request_id"]


async def test_what_waits_for_another_try_outlives_a_restart(tmp_path: Path) -> None:
    """The next process finds it, and sends it when it is due."""
    clock = ManualClock()
    async with receiving() as receiver:
        receiver.answers = [answer(503), OK]
        async with simulator(tmp_path, clock, unsafe_egress_hosts=UNSAFE) as sim:
            await hook(sim, receiver.url)
            await sim.device("alice")
            await receiver.got(1)
            await settle(sim)
        clock.advance(10)
        async with simulator(tmp_path, clock, unsafe_egress_hosts=UNSAFE) as sim:
            await receiver.got(2)
            await settle(sim)

    first, second = receiver.received
    assert first.headers["webhook-id"] == second.headers["webhook-id"]


async def test_attempts_are_counted(tmp_path: Path) -> None:
    """The metrics tell of attempts, their time, and what is in flight."""
    async with receiving() as receiver, simulator(tmp_path, unsafe_egress_hosts=UNSAFE) as sim:
        receiver.answers = [answer(500), OK]
        await hook(sim, receiver.url)
        await sim.device("alice")
        await sim.device("bob")
        await receiver.got(2)
        await settle(sim)

        shown = sim.relay.metrics.render().decode()

    assert 'quorumkey_webhook_attempts_total{outcome="failed"} 1.0' in shown
    assert 'quorumkey_webhook_attempts_total{outcome="delivered"} 1.0' in shown
    assert "quorumkey_webhook_attempt_seconds_count 2.0" in shown
    assert "quorumkey_webhook_attempts_in_flight 0.0" in shown


@pytest.mark.parametrize("url", ["http://localhost:8080/", "https://127.0.0.1/", "https://[::1]/"])
async def test_without_the_setting_nothing_private_is_taken(tmp_path: Path, url: str) -> None:
    """An address that can be seen to be refused makes no webhook."""
    async with simulator(tmp_path) as sim:
        refusal = await refused(
            sim.use.create_webhook(integrator=ACME, body=WebhookBody(url), idempotency=None)
        )

    assert "invalid_request" == refusal.code


async def test_a_name_that_leads_inside_gets_nothing(tmp_path: Path) -> None:
    """A name says nothing of its addresses: it makes a webhook, and is refused when called."""
    async with receiving() as receiver, simulator(tmp_path) as sim:
        webhook_id, _ = await hook(sim, f"https://localhost:{receiver.port}/")
        await sim.device("alice")
        await settle(sim)

        ((_, attempts),) = await sim.store.webhook_deliveries(
            webhook_id=webhook_id, before=None, limit=10
        )
        assert ("loopback_address", 0) == (attempts[0].reason, receiver.connections)
