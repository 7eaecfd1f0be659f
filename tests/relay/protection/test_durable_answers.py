"""What is told a second time was written by somebody else's commit: it is waited for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import ACME, KILL
from tests.relay.simulator import granted

if TYPE_CHECKING:
    from tests.relay.protection.workshop import Workshop

pytestmark = pytest.mark.anyio

CLAIM_KEY = "a-claim-key-of-a-service"


@pytest.fixture
def waited(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """How often it was waited for what is on its way to the disk."""
    waits: list[str] = []
    settled = shop.sim.store.settled

    async def noted() -> None:
        waits.append("settled")
        await settled()

    monkeypatch.setattr(shop.sim.store, "settled", noted)
    return waits


async def test_the_transaction_of_a_call_that_waits(shop: Workshop, waited: list[str]) -> None:
    """The same call while it waits is told its transaction once that is durable."""
    await shop.waits()
    waited.clear()
    await shop.waits()

    assert ["settled"] == waited


async def test_a_claim_whose_answer_was_lost(shop: Workshop, waited: list[str]) -> None:
    """The same claim is told once it is durable."""
    body = shop.body(KILL, key=CLAIM_KEY)
    await shop.approved("bob", body=body)
    await shop.runs(body)
    waited.clear()
    await shop.runs(body)

    assert ["settled"] == waited


async def test_an_approval_that_was_taken_back(shop: Workshop, waited: list[str]) -> None:
    """The same denial again is answered once the first one is durable."""
    txid = await shop.approved("bob")
    await granted(shop.vote("alice", txid, "deny"))
    waited.clear()
    await granted(shop.vote("alice", txid, "deny"))

    assert ["settled"] == waited


async def test_the_claim_of_an_integrator(shop: Workshop, waited: list[str]) -> None:
    """The same claim on an ordinary approval is told once it is durable."""
    bob = shop.devices["bob"]
    request = await shop.sim.ask([bob])
    await shop.sim.approve(request, bob)

    async def claim() -> None:
        await granted(
            shop.sim.use.protection.claim_request(
                integrator_id=ACME.id,
                request_id=str(request.answer["request_id"]),
                claim_key=CLAIM_KEY,
            )
        )

    await claim()
    waited.clear()
    await claim()

    assert ["settled"] == waited
