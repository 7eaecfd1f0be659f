"""Lanes: what waits for one provider under one credential, apart from everything else.

A lane has a queue of its own, the earliest deadline first, a bounded number of sends in flight,
and a circuit. So a provider that is slow, or down, holds up nobody who is served elsewhere.
"""

from __future__ import annotations

import asyncio
import heapq
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_relay.delivery.circuit import Circuit
from quorumkey_relay.delivery.eviction import EvictionGuard

if TYPE_CHECKING:
    from quorumkey.protocol import PushAddress
    from quorumkey_relay.delivery.channel import Channel
    from quorumkey_relay.store.records import Delivery

MAX_IN_FLIGHT: Final = 256
# How many messages are held back in one turn of the event loop, which serves others too.
MAX_HELD_AT_ONCE: Final = 128


class Job:
    """A delivery that this process has claimed, and how it is to be sent.

    ``sealed`` and ``address`` are of the device's push address when it was taken; None on a
    channel without addresses. ``heard_at`` is when its commit became durable, in seconds of the
    monotonic clock, None where it was found by a scan. ``is_void``: the person has seen the
    request meanwhile.
    """

    __slots__ = ("address", "channel", "delivery", "heard_at", "is_void", "sealed")

    def __init__(
        self,
        delivery: Delivery,
        channel: Channel,
        *,
        sealed: bytes | None,
        address: PushAddress | None,
        heard_at: float | None,
    ) -> None:
        """Take it as it is."""
        self.delivery = delivery
        self.channel = channel
        self.sealed = sealed
        self.address = address
        self.heard_at = heard_at
        self.is_void = False


class Sender(Protocol):
    """What a lane asks of the worker."""

    def prepare(self, job: Job) -> None:
        """Do what takes long before a message can be sent; nothing that can become untrue."""
        ...

    async def deliver(self, lane: Lane, job: Job) -> None:
        """Send one message and settle it; raises nothing."""
        ...

    def hold_back(self, lane: Lane, job: Job) -> None:
        """Settle a message that the lane's circuit does not let through."""
        ...

    def monotonic(self) -> float:
        """Return seconds of the monotonic clock."""
        ...


class Lane:
    """One provider's queue, circuit and guard."""

    def __init__(self, name: str, channel: str, sender: Sender) -> None:
        """Start empty; it belongs to ``channel``."""
        self.name = name
        self.channel = channel
        self.circuit = Circuit()
        self.guard = EvictionGuard()
        self._sender = sender
        self._queue: list[tuple[int, int, Job]] = []
        self._turn = 0
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._is_holding_back = False

    def __len__(self) -> int:
        """Return how many messages wait or are in flight."""
        return len(self._queue) + len(self._tasks)

    @property
    def waiting(self) -> int:
        """How many messages wait for their turn."""
        return len(self._queue)

    @property
    def in_flight(self) -> int:
        """How many messages are being sent."""
        return len(self._tasks)

    @property
    def oldest(self) -> int | None:
        """Since when the message is due that has waited longest (seconds since the epoch)."""
        waiting = [job.delivery.next_at for _, _, job in self._queue]
        return min([*waiting, *(job.delivery.next_at for job in self._tasks)], default=None)

    def put(self, job: Job) -> None:
        """Queue a message; of two with one deadline the first goes first."""
        self._turn += 1
        heapq.heappush(self._queue, (job.delivery.not_after, self._turn, job))
        self.fill()

    def fill(self) -> None:
        """Send as much of the queue as may be in flight."""
        while self._queue and len(self._tasks) < MAX_IN_FLIGHT:
            if not self.circuit.admits(self._sender.monotonic()):
                if not self._is_holding_back:
                    self._hold_back()
                return
            _, _, job = heapq.heappop(self._queue)
            # All that may go out now is prepared before the first of it does: an HTTP client that
            # is handed many messages in one turn of the loop wakes its thread less often.
            self._sender.prepare(job)
            self._tasks[job] = asyncio.create_task(self._send(job))

    def _hold_back(self) -> None:
        """Give up what waits, in portions."""
        for _ in range(min(MAX_HELD_AT_ONCE, len(self._queue))):
            _, _, job = heapq.heappop(self._queue)
            self._sender.hold_back(self, job)
        self._is_holding_back = bool(self._queue)
        if self._is_holding_back:
            asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        self._is_holding_back = False
        self.fill()

    async def _send(self, job: Job) -> None:
        try:
            await self._sender.deliver(self, job)
        finally:
            self._tasks.pop(job, None)
            self.fill()

    def clear(self) -> None:
        """Forget what waits; it stays in the outbox."""
        self._queue.clear()

    def tasks(self) -> set[asyncio.Task[None]]:
        """Return the sends in flight."""
        return set(self._tasks.values())

    def is_idle(self) -> bool:
        """Say whether nothing is lost if the lane is forgotten."""
        return (
            not len(self)
            and self.circuit == Circuit()
            and self.guard.is_idle(self._sender.monotonic())
        )
