"""The outbox worker: claims deliveries, sends them, settles what became of them.

Each channel has a lane of its own: a bounded number of sends in flight, earliest deadline first,
so that a slow channel holds nobody else up. The hot path hands a delivery over right after the
commit that planned it; the scanner finds what was left behind by a crash or waits for a retry.
Delivery is at least once: who dies between sending and settling sends again, under the same id.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final

from quorumkey_relay.delivery.channel import (
    Accepted,
    Gone,
    Message,
    Misconfigured,
    Outcome,
    Rejected,
    Retry,
)
from quorumkey_relay.delivery.schedule import next_try
from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import Commit, PutDelivery

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.challenges import Challenges
    from quorumkey_relay.delivery.channel import Channel
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Delivery

MAX_IN_FLIGHT: Final = 256
LEASE_SECONDS: Final = 30
SCAN_LIMIT: Final = 500


class Lane:
    """One channel's queue, ordered by deadline, with a bounded number of sends in flight."""

    def __init__(self, worker: Worker, channel: Channel) -> None:
        """Start empty."""
        self._worker = worker
        self._channel = channel
        self._queue: list[tuple[int, str, Delivery]] = []
        self._claimed: dict[str, int] = {}  # and since when it is due
        self._tasks: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """Return how many deliveries wait or are in flight."""
        return len(self._claimed)

    @property
    def oldest(self) -> int | None:
        """Since when the longest-waiting delivery is due (seconds since the epoch)."""
        return min(self._claimed.values(), default=None)

    def put(self, delivery: Delivery) -> None:
        """Queue a delivery unless it is here already."""
        if delivery.id in self._claimed:
            return
        self._claimed[delivery.id] = delivery.next_at
        heapq.heappush(self._queue, (delivery.not_after, delivery.id, delivery))
        self._fill()

    def _fill(self) -> None:
        while self._queue and len(self._tasks) < MAX_IN_FLIGHT:
            _, _, delivery = heapq.heappop(self._queue)
            task = asyncio.create_task(self._worker.deliver(self._channel, delivery))
            self._tasks.add(task)
            task.add_done_callback(partial(self._done, delivery))

    def _done(self, delivery: Delivery, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._claimed.pop(delivery.id, None)
        if not task.cancelled():
            task.result()
        self._fill()

    async def drain(self) -> None:
        """Wait for the sends in flight; what still waits stays in the outbox."""
        self._queue.clear()
        if self._tasks:
            await asyncio.wait(set(self._tasks))


class Worker:
    """Delivers what the outbox holds."""

    def __init__(
        self,
        *,
        store: Store,
        clock: Clock,
        mint: Mint,
        challenges: Challenges,
        channels: Iterable[Channel],
    ) -> None:
        """Serve ``channels``; deliveries of others stay in the outbox."""
        self._store = store
        self._clock = clock
        self._mint = mint
        self._challenges = challenges
        self._lanes = {channel.name: Lane(self, channel) for channel in channels}

    @property
    def depth(self) -> int:
        """How many deliveries wait or are in flight in this process."""
        return sum(len(lane) for lane in self._lanes.values())

    def oldest_age(self) -> float:
        """Return for how many seconds the longest-waiting delivery has been due."""
        waiting = [lane.oldest for lane in self._lanes.values() if lane.oldest is not None]
        return max(0.0, float(self._clock.now() - min(waiting))) if waiting else 0.0

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit: the hot path."""
        for write in commit:
            if isinstance(write, PutDelivery) and write.delivery.state == "queued":
                self._take(write.delivery)

    async def scan(self) -> int:
        """Take up what is due in the store: the recovery path. Returns how much was due."""
        due = await self._store.claim_deliveries(
            now=self._clock.now(), lease_seconds=LEASE_SECONDS, limit=SCAN_LIMIT
        )
        for delivery in due:
            self._take(delivery)
        return len(due)

    async def drain(self) -> None:
        """Finish what is in flight and take nothing more."""
        for lane in self._lanes.values():
            await lane.drain()

    def _take(self, delivery: Delivery) -> None:
        lane = self._lanes.get(delivery.channel)
        if lane is not None and delivery.next_at <= self._clock.now():
            lane.put(delivery)

    async def deliver(self, channel: Channel, delivery: Delivery) -> None:
        """Send one delivery and settle it."""
        try:
            settled = await self._send(channel, delivery)
            await self._store.commit((PutDelivery(settled),))
        except StoreUnavailable:
            return  # still queued on the disk: the scanner sends it again, under the same id

    async def _send(self, channel: Channel, delivery: Delivery) -> Delivery:
        stored = await self._store.load(delivery.request_id)
        now = self._clock.now()
        if stored is None or now >= delivery.not_after:
            return replace(delivery, state="dropped", reason="too_late")
        if status_at(stored.terms, stored.state, now) is not Status.PENDING:
            return replace(delivery, state="dropped", reason="request_finished")
        device = self._store.directory.device(delivery.device)
        if device is None or not device.paired_with(stored.terms.integrator_id):
            return replace(delivery, state="dropped", reason="unpaired")
        message = Message(
            delivery=delivery,
            integrator_name=self._challenges.integrator_name(stored),
            challenge=self._challenges.envelope(stored, delivery.device, now),
        )
        return self.settle(delivery, await channel.send(message))

    def settle(self, delivery: Delivery, outcome: Outcome) -> Delivery:
        """Return what became of a delivery after one more try."""
        tried = replace(delivery, attempts=delivery.attempts + 1)
        now = self._clock.now()
        match outcome:
            case Accepted(state=state):
                return replace(tried, state=state, reason=None)
            case Gone(reason=reason):
                return replace(tried, state="dropped", reason=reason)
            case Rejected(reason=reason):
                return replace(tried, state="failed", reason=reason)
            case Misconfigured(reason=reason):
                at = now + LEASE_SECONDS
                return replace(tried, next_at=at, reason=reason)
            case Retry(after_seconds=after, reason=reason):
                at = next_try(
                    now=now,
                    attempts=tried.attempts,
                    jitter=int.from_bytes(self._mint.random(2), "big") / 65_536,
                    after_seconds=after,
                )
                if at >= tried.not_after:
                    return replace(tried, state="failed", reason=reason)
                return replace(tried, next_at=at, reason=reason)
