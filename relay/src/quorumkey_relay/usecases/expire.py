"""Writing down timeouts that have come, and deleting what need not be kept any longer."""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from quorumkey_relay.clock import SECONDS_PER_DAY
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.writes import Commit, OpenRequest
from quorumkey_relay.usecases.advance import advance
from quorumkey_relay.usecases.idempotency import ANSWER_LIFETIME_SECONDS

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store

SWEEP_BATCH_REQUESTS: Final = 200


@dataclass(slots=True, kw_only=True)
class Sweeper:
    """Knows when each open request ends, and ends it."""

    store: Store
    clock: Clock
    mint: Mint
    _due: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def watch_all(self) -> None:
        """Take in the requests that were open at start."""
        self._due = [(s.terms.expires_at, s.terms.request_id) for s in self.store.pending()]
        heapq.heapify(self._due)

    def heard(self, commit: Commit) -> None:
        """Take in a new request."""
        for write in commit:
            if isinstance(write, OpenRequest):
                terms = write.stored.terms
                heapq.heappush(self._due, (terms.expires_at, terms.request_id))

    async def sweep(self) -> int:
        """Write down every timeout that has come; return how many."""
        now = self.clock.now()
        count = 0
        while batch := self._next(now):
            try:
                count += await self._end(batch, now)
            except BaseException:
                # Another time; what was written nevertheless is not pending any more by then.
                for due in batch:
                    heapq.heappush(self._due, due)
                raise
        return count

    def _next(self, now: int) -> list[tuple[int, str]]:
        batch: list[tuple[int, str]] = []
        while self._due and self._due[0][0] <= now and len(batch) < SWEEP_BATCH_REQUESTS:
            batch.append(heapq.heappop(self._due))
        return batch

    async def _end(self, batch: list[tuple[int, str]], now: int) -> int:
        """End what is still open; the commits of a batch wait for the disk together."""
        commits: list[Awaitable[None]] = []
        for due in batch:
            stored = self.store.find_pending(due[1])
            events = () if stored is None else lifecycle.expire(stored.terms, stored.state, now)
            if stored is None or not events:
                continue
            try:
                writes = advance(stored, events, now=now, mint=self.mint)[1]
                commits.append(self.store.commit(writes))
            except Conflict:
                heapq.heappush(self._due, due)
        await asyncio.gather(*commits)
        return len(commits)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruner:
    """Deletes finished requests, events and idempotent answers past their time."""

    store: Store
    clock: Clock
    request_retention_days: int
    event_retention_days: int

    async def prune(self) -> int:
        """Return how many requests, events and answers went."""
        now = self.clock.now()
        return await self.store.prune(
            requests_before=now - self.request_retention_days * SECONDS_PER_DAY,
            events_before=now - self.event_retention_days * SECONDS_PER_DAY,
            answers_before=now - ANSWER_LIFETIME_SECONDS,
        )
