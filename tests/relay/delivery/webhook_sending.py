"""A sender of webhooks on a real store, whose endpoints are receivers on loopback."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from tests.contract.material import MINT, event
from tests.relay.simulator import ACME, START

from quorumkey.protocol.webhook import generate_secret
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.delivery.webhooks.sender import WebhookSender
from quorumkey_relay.delivery.webhooks.signing import Signer
from quorumkey_relay.store.records import Webhook, WebhookDelivery
from quorumkey_relay.store.writes import AppendEvent, PutIntegrator, PutWebhook
from quorumkey_relay.usecases.webhooks import disable_webhook

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.records import EventRecord, WebhookAttempt
    from quorumkey_relay.store.sqlite import SqliteStore

SECRET = generate_secret(bytes(range(32)))
OLD_SECRET = generate_secret(bytes(range(32, 64)))
WEBHOOK = Webhook(
    webhook_id=MINT.uuid7(),
    integrator_id=ACME.id,
    url="https://hooks.example/",
    events=(),
    secret=b"",
    created_at=START,
)
DELIVERY = WebhookDelivery(
    webhook_id=WEBHOOK.webhook_id,
    event_id=MINT.uuid7(),
    event_type="mpa.approved",
    subject="r1",
    body=b"{}",
    created_at=START,
    not_after=START + 86_400,
    next_at=START,
)
UNSAFE = frozenset({"localhost"})


class HalfMint:
    """Ids that are new, and a jitter of one half."""

    def uuid7(self) -> str:
        """A new id."""
        return MINT.uuid7()

    def random(self, size: int) -> bytes:
        """Half of what there is."""
        return b"\x80" + bytes(size - 1)


@dataclass
class Counts:
    """What was counted."""

    tried: list[str] = field(default_factory=list[str])
    disabled: list[str] = field(default_factory=list[str])

    def webhook_tried(self, outcome: str, seconds: float) -> None:
        """An attempt."""
        assert seconds >= 0
        self.tried.append(outcome)

    def webhook_disabled(self, reason: str) -> None:
        """A webhook that was disabled."""
        self.disabled.append(reason)


@dataclass
class Sending:
    """A store, a sender that listens to it, and what it counted."""

    backend: SqliteBackend
    store: SqliteStore
    sender: WebhookSender
    counts: Counts
    egress: Egress

    async def webhook(self, url: str, **members: object) -> Webhook:
        """A webhook of Acme's; ``members`` replace what it is."""
        webhook = Webhook(
            webhook_id=MINT.uuid7(),
            integrator_id=ACME.id,
            url=url,
            events=(),
            secret=self.backend.vault.seal(SECRET.encode()),
            created_at=START,
        )
        webhook = replace(webhook, **members)  # type: ignore[arg-type]  # a test names members
        await self.store.commit((PutIntegrator(ACME), PutWebhook(webhook)))
        return webhook

    async def happen(self, *subjects: str, body: bytes = b'{"type":"mpa.approved"}') -> list[str]:
        """Append an event for each subject in one commit; their ids."""
        now = self.backend.clock.now()
        events = [
            replace(event(created_at=now), subject=subject, body=body) for subject in subjects
        ]
        await self.append(*events)
        return [one.id for one in events]

    async def append(self, *events: EventRecord) -> None:
        """Append events."""
        await self.store.commit(tuple(AppendEvent(one) for one in events))

    async def settle(self) -> None:
        """Find what is due, and return once all of it has been tried."""
        await self.sender.scan()
        await self.sender.idle()

    async def log(
        self, webhook: Webhook
    ) -> Sequence[tuple[WebhookDelivery, Sequence[WebhookAttempt]]]:
        """Deliveries with their attempts, oldest first."""
        found = await self.store.webhook_deliveries(
            webhook_id=webhook.webhook_id, before=None, limit=1_000
        )
        return list(reversed(found))

    async def states(self, webhook: Webhook) -> list[str]:
        """The state of each delivery, oldest first."""
        return [delivery.state for delivery, _ in await self.log(webhook)]

    def now(self, webhook: Webhook) -> Webhook:
        """A webhook as it is now."""
        found = self.store.directory.webhook(webhook.webhook_id)
        assert found is not None
        return found


def sending(
    backend: SqliteBackend,
    store: SqliteStore,
    *,
    egress: Egress | None = None,
    listens: bool = True,
) -> Sending:
    """A sender on a store; one that does not listen only finds what it scans for."""
    counts = Counts()
    egress = egress or Egress(clock=backend.clock, unsafe_hosts=UNSAFE)
    sender = WebhookSender(
        store=store,
        clock=backend.clock,
        mint=HalfMint(),
        egress=egress,
        signer=Signer(backend.vault),
        disable=partial(disable_webhook, mint=MINT),
        disable_days=5,
        meter=counts,
    )
    if listens:
        store.subscribe(sender.heard)
    return Sending(backend, store, sender, counts, egress)
