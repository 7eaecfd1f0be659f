"""The clock of just-in-time access: what is due is done, at the latest a moment later.

Due is: a request whose time is over or whose signed request has ended, an activation that is to be
granted, ended or taken back, and what has to be tried again. Nothing here waits for a target; each
piece of work is a task of its own.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from quorumkey_relay.domain.model import Status
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import AdvanceRequest, PutAccessRequest, PutActivation
from quorumkey_relay.usecases.jit.targets import due_at

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.jit.follow import Follower
    from quorumkey_relay.usecases.jit.grant import Granter

PROFILE: Final = "jit_access"
#: What could not be done, and does not say itself when to try again, is looked at after this.
RECHECK_SECONDS: Final = 1
#: An approval that waits for somebody to say who is eligible is looked at after this.
WAITING_SECONDS: Final = 5
#: A target that does not confirm an end for so long is told to operators.
ALARM_SECONDS: Final = 5.0
MAX_STARTED_AT_ONCE: Final = 500

Kind = Literal["request", "activation"]
Due = tuple[int, Kind, str]
Running = tuple[Kind, str]

log = logs.get()


@dataclass(slots=True, kw_only=True)
class AccessSweeper:
    """Knows when something is due, and has it done."""

    store: Store
    clock: Clock
    granter: Granter
    follower: Follower
    _due: list[Due] = field(default_factory=list[Due])
    _seen: int = 0
    _lost_track: bool = False
    _tasks: dict[Running, asyncio.Task[None]] = field(
        default_factory=dict[Running, asyncio.Task[None]]
    )

    def watch_all(self) -> None:
        """Take in all that is open; each is looked at once."""
        self.granter.begin()
        self._take_all()

    def heard(self, commit: Commit) -> None:
        """Take in what has become durable."""
        for write in commit:
            match write:
                case PutActivation(after=after) if after.is_open:
                    self._add(due_at(after, self.clock.now()), "activation", after.activation_id)
                case PutAccessRequest(after=after) if after.is_open:
                    self._add(after.decide_by, "request", after.id)
                case AdvanceRequest(terms=terms, after=state) if (
                    terms.profile == PROFILE and state.status is not Status.PENDING
                ):
                    self._start_signed(terms.request_id)
                case _:
                    pass

    async def sweep(self) -> int:
        """Start what is due; return how much that was. No target is waited for."""
        now = self.clock.now()
        if now < self._seen or self._lost_track:
            self._take_all()  # the clock was set back, or something could not be read
        self._seen, self._lost_track = now, False
        await self._ring()
        started = 0
        while self._due and self._due[0][0] <= now and started < MAX_STARTED_AT_ONCE:
            _, kind, name = heapq.heappop(self._due)
            self._start(kind, name, self._follow(name) if kind == "request" else self._bring(name))
            started += 1
        return started

    async def drain(self) -> None:
        """Return when nothing runs that was started."""
        while running := (*self._tasks.values(), *self.granter.running()):
            await asyncio.wait(running)

    async def close(self) -> None:
        """Let go of what runs; it goes on at the next start."""
        running = tuple(self._tasks.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.granter.close()

    def _take_all(self) -> None:
        now = self.clock.now()
        self._due.clear()
        for request in self.store.open_access_requests():
            self._add(now, "request", request.id)
        for activation in self.store.open_activations():
            self._add(due_at(activation, now), "activation", activation.activation_id)

    def _add(self, at: int, kind: Kind, name: str) -> None:
        heapq.heappush(self._due, (at, kind, name))

    def _start_signed(self, request_id: str) -> None:
        self._start("request", request_id, self._follow_signed(request_id))

    def _start(self, kind: Kind, name: str, work: Coroutine[None, None, None]) -> None:
        key = (kind, name)
        if key in self._tasks:
            work.close()
            self._add(self.clock.now() + RECHECK_SECONDS, kind, name)
            return
        task = asyncio.create_task(work)
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    async def _follow_signed(self, request_id: str) -> None:
        try:
            request = await self.store.access_request_of(request_id)
        except StoreUnavailable:
            self._lost_track = True
            return
        if request is not None:
            await self._follow(request.id)

    async def _follow(self, access_request_id: str) -> None:
        now = self.clock.now()
        try:
            await self.store.settled()
            request = await self.follower.follow(access_request_id)
        except StoreUnavailable:
            self._add(now + RECHECK_SECONDS, "request", access_request_id)
            return
        except Exception:
            log.exception("access_request_broke", access_request=access_request_id)
            self._add(now + WAITING_SECONDS, "request", access_request_id)
            return
        if request is None or not request.is_open:
            return
        waits = self.follower.waits(access_request_id) or now >= request.decide_by
        at = now + WAITING_SECONDS if waits else request.decide_by
        self._add(at, "request", access_request_id)

    async def _bring(self, activation_id: str) -> None:
        now = self.clock.now()
        try:
            await self.store.settled()  # what may still be undone is not relied on
            activation = await self.store.activation(activation_id)
            if activation is None or not activation.is_open or due_at(activation, now) > now:
                return  # it has changed since, and what changed it was heard
            await self.granter.start(activation_id)
            activation = await self.store.activation(activation_id)
        except StoreUnavailable:
            self._add(now + RECHECK_SECONDS, "activation", activation_id)
            return
        except Exception:
            log.exception("activation_broke", activation_id=activation_id)
            self._add(now + WAITING_SECONDS, "activation", activation_id)
            return
        if activation is not None and activation.is_open:
            at = max(due_at(activation, now), now + RECHECK_SECONDS)
            self._add(at, "activation", activation_id)

    async def _ring(self) -> None:
        """Tell operators of targets that have been silent for too long."""
        for activation_id in self.granter.overdue(ALARM_SECONDS):
            activation = await self.store.activation(activation_id)
            if activation is not None:
                self.granter.targets.ring(activation)
