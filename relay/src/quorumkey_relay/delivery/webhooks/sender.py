"""The sender of webhooks: claims events that are due, sends them, settles what became of them.

It looks for work straight after a commit that has made some, once for all the commits of a turn
of the event loop; a scan finds what waits for another try or was left behind by a crash. Every
claim is a durable lease that outlasts the attempt. Who dies between sending and settling sends
again, under the same ``webhook-id``. The store claims the events of one subject in their order.

No endpoint waits for another: each has its own bounded number of sends, few where it fails, and
few when most of the sender's own bound is taken.
"""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_relay.clock import SECONDS_PER_DAY
from quorumkey_relay.delivery.egress_url import host_of
from quorumkey_relay.delivery.webhooks.attempt import ATTEMPT_TIMEOUT_SECONDS, try_once
from quorumkey_relay.delivery.webhooks.schedule import MAX_DELAY_SECONDS
from quorumkey_relay.delivery.webhooks.verdicts import judged, settled
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import (
    AppendEvent,
    PutWebhook,
    QueueWebhookDelivery,
    SettleWebhookDelivery,
)

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.delivery.webhooks.signing import Signer
    from quorumkey_relay.delivery.webhooks.verdicts import DisabledReason, Tried
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Webhook, WebhookDelivery
    from quorumkey_relay.store.writes import Commit, Write

#: Sends in flight to all endpoints, and to one.
MAX_IN_FLIGHT: Final = 2_048
MAX_IN_FLIGHT_PER_ENDPOINT: Final = 32
#: To one that fails, and to any while half of all that may be in flight are.
FEW_IN_FLIGHT_PER_ENDPOINT: Final = 4
CLAIM_LIMIT: Final = 500
#: While half of all that may be in flight is claimed. The store gives no endpoint more than a
#: quarter, so a dozen that hang with queues behind them leave room for everybody else.
CROWDED_CLAIM_LIMIT: Final = 4 * FEW_IN_FLIGHT_PER_ENDPOINT
#: A look for work that finds little is followed by a pause of so many times its own length, so
#: that looking through the queues of a thousand endpoints leaves the relay time for its calls.
PAUSE_PER_LOOK: Final = 4
MAX_PAUSE_SECONDS: Final = 0.02
#: So long that what was claimed with a share of one endpoint has its turn before it ends.
LEASE_SECONDS: Final = 120

log = logs.get()


class Disable(Protocol):
    """Makes the commit that disables a webhook and tells of it."""

    def __call__(self, webhook: Webhook, *, reason: DisabledReason, now: int) -> Commit:
        """Return what is to be committed."""
        ...


class Meter(Protocol):
    """Counts what the sender does."""

    def webhook_tried(self, outcome: str, seconds: float) -> None:
        """Count an attempt: ``delivered`` or ``failed``."""
        ...

    def webhook_disabled(self, reason: str) -> None:
        """Count a webhook that was disabled."""
        ...


@dataclass(slots=True)
class _Endpoint:
    """What this process holds of one webhook: deliveries in flight and deliveries that wait."""

    in_flight: int = 0
    waiting: deque[WebhookDelivery] = field(default_factory=deque["WebhookDelivery"])

    @property
    def held(self) -> int:
        return self.in_flight + len(self.waiting)


class WebhookSender:
    """Delivers events to webhooks; one for a relay."""

    def __init__(  # noqa: PLR0913 - the ports it works with
        self,
        *,
        store: Store,
        clock: Clock,
        mint: Mint,
        egress: Egress,
        signer: Signer,
        disable: Disable,
        disable_days: int,
        meter: Meter,
    ) -> None:
        """Start with nothing in flight; ``heard`` and ``scan`` say when there may be work."""
        self._store = store
        self._clock = clock
        self._mint = mint
        self._egress = egress
        self._signer = signer
        self._disable = disable
        self._disable_seconds = disable_days * SECONDS_PER_DAY
        self._meter = meter
        self._endpoints: dict[str, _Endpoint] = {}
        # Until when, of the monotonic clock, an endpoint asked to be left alone.
        self._paused: dict[str, float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[None] | None = None
        self._has_news = False
        self._next_look = 0.0  # of the loop's clock
        self._is_draining = False

    @property
    def in_flight(self) -> int:
        """How many sends are in flight."""
        return len(self._tasks)

    # When there may be work

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit: the hot path."""
        if any(self._makes_work(write) for write in commit):
            self._wake()
        for write in commit:
            # Who asks for a call now knows better than what the endpoint said before.
            if isinstance(write, QueueWebhookDelivery):
                self._paused.pop(write.webhook_id, None)
            elif isinstance(write, AppendEvent) and write.only_for is not None:
                self._paused.pop(write.only_for, None)

    def _makes_work(self, write: Write) -> bool:
        match write:
            case AppendEvent(event=event, only_for=only_for):
                return only_for is not None or any(
                    webhook.wants(event.type)
                    for webhook in self._store.directory.webhooks(event.integrator_id)
                )
            case QueueWebhookDelivery():
                return True
            case PutWebhook(webhook=webhook):
                return webhook.status == "active"
            case _:
                return False

    async def scan(self) -> None:
        """Look for what is due for another try, or was left behind; done when it is in flight."""
        self._wake()
        if self._claiming is not None:
            await asyncio.wait({self._claiming})

    async def idle(self) -> None:
        """Return once nothing more is due and nothing is in flight."""
        while self._claiming is not None or self._tasks:
            claiming = () if self._claiming is None else (self._claiming,)
            await asyncio.wait({*self._tasks, *claiming})

    async def drain(self, cap_seconds: float | None = None) -> bool:
        """Take nothing more, and finish what is in flight; say whether it ended within the cap.

        What waits is given back, and what has to be cut off is sent again by the next process.
        """
        self._is_draining = True
        if self._claiming is not None:
            await asyncio.wait({self._claiming})
        waiting = [one for endpoint in self._endpoints.values() for one in endpoint.waiting]
        for endpoint in self._endpoints.values():
            endpoint.waiting.clear()
        try:
            await asyncio.gather(*(self._give_back(delivery) for delivery in waiting))
        except StoreUnavailable:
            log.warning("webhook_leases_not_released", count=len(waiting))
        late: set[asyncio.Task[None]] = set()
        if self._tasks:
            _, late = await asyncio.wait(set(self._tasks), timeout=cap_seconds)
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
        return not late

    # Claiming

    def _wake(self) -> None:
        self._has_news = True
        if self._claiming is None and not self._is_draining:
            self._claiming = asyncio.create_task(self._claim())
            self._claiming.add_done_callback(self._claimed)

    def _claimed(self, task: asyncio.Task[None]) -> None:
        self._claiming = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhook_claim_failed", exc_info=error)  # the scanner looks again
        elif self._has_news:  # it came between the last look and now
            self._wake()

    async def _claim(self) -> None:
        """Claim until nothing more is due, and begin to send it."""
        loop = asyncio.get_running_loop()
        while self._has_news and not self._is_draining:
            if self._next_look > loop.time():
                await asyncio.sleep(self._next_look - loop.time())
            self._has_news = False
            room = MAX_IN_FLIGHT - sum(one.held for one in self._endpoints.values())
            if room <= 0 or self._is_draining:
                return  # the next send that ends looks again
            is_crowded = room <= MAX_IN_FLIGHT // 2
            now, began = self._clock.now(), loop.time()
            try:
                claimed = await self._store.claim_webhook_deliveries(
                    now=now,
                    lease_seconds=LEASE_SECONDS,
                    limit=min(CROWDED_CLAIM_LIMIT if is_crowded else CLAIM_LIMIT, room),
                    busy=self._busy(is_crowded=is_crowded),
                )
            except StoreUnavailable:
                return  # the scanner looks again
            if len(claimed) < MAX_IN_FLIGHT_PER_ENDPOINT:
                ended = loop.time()
                pause = min(MAX_PAUSE_SECONDS, PAUSE_PER_LOOK * (ended - began))
                self._next_look = ended + pause
            for delivery in claimed:
                self._endpoints.setdefault(delivery.webhook_id, _Endpoint()).waiting.append(
                    delivery
                )
            for webhook_id in {delivery.webhook_id for delivery in claimed}:
                self._fill(webhook_id)
            self._has_news |= bool(claimed)

    def _busy(self, *, is_crowded: bool) -> set[str]:
        """Return the webhooks that get nothing now."""
        now = self._clock.monotonic()
        self._paused = {name: until for name, until in self._paused.items() if until > now}
        busy = {
            name
            for name, one in self._endpoints.items()
            if one.held >= (FEW_IN_FLIGHT_PER_ENDPOINT if is_crowded else self._limit(name))
        }
        return busy | self._paused.keys()

    def _limit(self, webhook_id: str) -> int:
        webhook = self._store.directory.webhook(webhook_id)
        is_failing = webhook is not None and webhook.failing_since is not None
        if is_failing or self.in_flight >= MAX_IN_FLIGHT // 2:
            return FEW_IN_FLIGHT_PER_ENDPOINT
        return MAX_IN_FLIGHT_PER_ENDPOINT

    # Sending

    def _fill(self, webhook_id: str) -> None:
        """Begin to send what waits for an endpoint, as far as its bound allows."""
        endpoint = self._endpoints[webhook_id]
        limit = 0 if self._is_draining else self._limit(webhook_id)
        while endpoint.waiting and endpoint.in_flight < limit:
            endpoint.in_flight += 1
            task = asyncio.create_task(self._deliver(endpoint.waiting.popleft()))
            self._tasks.add(task)
            task.add_done_callback(self._delivered)

    def _delivered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("webhook_delivery_failed", exc_info=error)

    async def _deliver(self, delivery: WebhookDelivery) -> None:
        """Send one claimed delivery and settle it; then its endpoint has room again."""
        try:
            await self._send(delivery)
        except StoreUnavailable:
            pass  # still queued on the disk: it is sent again when its lease has ended
        finally:
            endpoint = self._endpoints[delivery.webhook_id]
            endpoint.in_flight -= 1
            self._fill(delivery.webhook_id)
            if not endpoint.held:
                del self._endpoints[delivery.webhook_id]
            self._wake()

    async def _send(self, delivery: WebhookDelivery) -> None:
        webhook = self._store.directory.webhook(delivery.webhook_id)
        if webhook is None:
            return
        is_late = self._clock.now() + ATTEMPT_TIMEOUT_SECONDS >= delivery.leased_until
        is_paused = self._paused.get(delivery.webhook_id, 0) > self._clock.monotonic()
        if webhook.status != "active" or is_late or is_paused:
            await self._give_back(delivery)
            return
        tried = await try_once(
            egress=self._egress,
            signer=self._signer,
            clock=self._clock,
            webhook=webhook,
            delivery=delivery,
        )
        await self._settle(delivery, tried)

    async def _give_back(self, delivery: WebhookDelivery) -> None:
        """End the lease of what was not tried."""
        await self._store.commit((SettleWebhookDelivery(delivery, None),))

    # Settling

    async def _settle(self, delivery: WebhookDelivery, tried: Tried) -> None:
        now = self._clock.now()
        jitter = int.from_bytes(self._mint.random(2), "big") / 65_536
        after = settled(delivery, tried, now=now, jitter=jitter)
        outcome = "delivered" if tried.verdict == "delivered" else "failed"
        self._meter.webhook_tried(outcome, tried.attempt.milliseconds / 1_000)
        webhook = self._store.directory.webhook(delivery.webhook_id)
        if tried.verdict != "delivered":
            _log_failure(webhook, after, tried)
            if tried.wait_seconds is not None:
                # Only for what it asked: the event's own next try may be much later.
                wait = min(tried.wait_seconds, MAX_DELAY_SECONDS)
                self._paused[delivery.webhook_id] = self._clock.monotonic() + wait
        change = () if webhook is None else self._change(webhook, delivery, tried, now)
        await self._store.commit((SettleWebhookDelivery(after, tried.attempt), *change))

    def _change(
        self, webhook: Webhook, delivery: WebhookDelivery, tried: Tried, now: int
    ) -> Commit:
        """Return what an attempt changes of its webhook, as that is now."""
        if webhook.status != "active":
            return ()
        after = judged(webhook, delivery, tried, now=now, disable_seconds=self._disable_seconds)
        if after is webhook:
            return ()
        if not isinstance(after, str):
            return (PutWebhook(after),)
        log.warning(
            "webhook_disabled",
            webhook_id=webhook.webhook_id,
            integrator_id=webhook.integrator_id,
            reason=after,
        )
        self._meter.webhook_disabled(after)
        return self._disable(webhook, reason=after, now=now)


def _log_failure(webhook: Webhook | None, delivery: WebhookDelivery, tried: Tried) -> None:
    status = tried.attempt.status
    log.warning(
        "webhook_attempt_failed",
        webhook_id=delivery.webhook_id,
        event_id=delivery.event_id,
        host="unknown" if webhook is None else host_of(webhook.url),
        attempt=delivery.attempts,
        state=delivery.state,
        **({"reason": tried.attempt.reason} if status is None else {"status": status}),
    )
