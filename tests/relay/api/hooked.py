"""A served relay whose webhooks may lead to a receiver on loopback."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.relay.api.harness import ok

from quorumkey_relay.store.writes import SettleWebhookDelivery

if TYPE_CHECKING:
    from tests.relay.api.harness import House
    from tests.relay.delivery.receiver import Receiver

    from quorumkey_relay.store.writes import Commit

URL = "https://hooks.example/quorumkey"
DAY_SECONDS = 86_400
LOCAL = ("localhost",)


async def hook(house: House, url: str = URL, *events: str) -> dict[str, Any]:
    """A new webhook, as its creation is answered."""
    body: dict[str, Any] = {"url": url}
    if events:
        body["events"] = list(events)
    return ok(await house.post("/v1/webhooks", body), 201)


@dataclass
class Hooked:
    """A relay, a receiver, and a webhook that leads from one to the other."""

    house: House
    receiver: Receiver
    webhook: dict[str, Any]

    def __post_init__(self) -> None:
        self._settled = asyncio.Event()
        self.house.relay.store.subscribe(self._heard)

    def _heard(self, commit: Commit) -> None:
        if any(isinstance(write, SettleWebhookDelivery) for write in commit):
            self._settled.set()

    @property
    def path(self) -> str:
        """Where the webhook is."""
        return f"/v1/webhooks/{self.webhook['webhook_id']}"

    async def call(self, rest: str) -> dict[str, Any]:
        """What a call of the webhook without a body answers."""
        return ok(await self.house.post(f"{self.path}/{rest}"))

    async def delivery(self, event_id: str) -> dict[str, Any]:
        """A delivery."""
        return ok(await self.house.get(f"{self.path}/deliveries/{event_id}"))

    async def tried(self, event_id: str, times: int = 1) -> dict[str, Any]:
        """A delivery, once it was tried so often."""
        while True:
            self._settled.clear()
            found = await self.delivery(event_id)
            if len(found["attempts"]) >= times:
                return found
            await self._settled.wait()

    async def pass_time(self, seconds: int) -> None:
        """Let time go by, and the relay look for what is due then."""
        self.house.clock.advance(seconds)
        await self.house.relay.webhooks.scan()

    async def tested(self) -> str:
        """The id of a test event that was tried once."""
        event_id = str((await self.call("test"))["event_id"])
        await self.tried(event_id)
        return event_id
