"""Calls to whatever grants roles: one at a time for a target, bounded, and never without an answer.

An executor that raises what it should not, or does not answer, has not confirmed anything: what it
was asked for may or may not have been done, and is asked for again.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

from quorumkey_relay.observe import logs
from quorumkey_relay.usecases.jit.ports import GrantFailed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.usecases.jit.ports import Bell, Executor, Executors

#: For so long the answer of a target is awaited.
CALL_SECONDS: Final = 60.0
#: Calls of one kind to one executor at once: nobody's end waits for somebody else's begin.
MAX_CALLS_OF_EXECUTOR: Final = 16
#: After a try that failed: 1, 2, 4, … seconds, at most this many.
MAX_BACKOFF_SECONDS: Final = 30
_MAX_DOUBLINGS: Final = 5

#: So many tries to grant fail before operators are told.
GRANT_ALARM_ATTEMPTS: Final = 3
ENDING_ALARM: Final = "access_ending"
GRANTING_ALARM: Final = "access_granting"

OVER: Final = "The time of the role was over before its target could be asked for it."

Target = tuple[str, str, str, str]
Verb = Literal["grant", "revoke"]

log = logs.get()


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a target did not confirm; ``is_final`` says that it refused and changed nothing."""

    sentence: str
    is_final: bool


def backoff_seconds(attempts: int) -> int:
    """Return how long to wait after so many tries that failed."""
    return min(1 << min(attempts - 1, _MAX_DOUBLINGS), MAX_BACKOFF_SECONDS)


def due_at(activation: Activation, now: int) -> int:
    """Return when something is to be done about an open activation.

    A time for another try that is far away was set before the clock was set back.
    """
    again = activation.next_at
    if activation.state == "active" and not again:
        return activation.end
    if again > now + MAX_BACKOFF_SECONDS:
        return now
    return min(again, activation.end) if activation.state != "revoking" else again


@dataclass(slots=True, kw_only=True)
class Targets:
    """Asks executors by the names that activations carry."""

    executors: Executors
    alarms: Bell
    call_seconds: float = CALL_SECONDS
    _turns: dict[Target, asyncio.Lock] = field(default_factory=dict[Target, asyncio.Lock])
    _waiting: Counter[Target] = field(default_factory=Counter[Target])
    _places: dict[tuple[str, Verb], asyncio.Semaphore] = field(
        default_factory=dict[tuple[str, Verb], asyncio.Semaphore]
    )

    @asynccontextmanager
    async def turn(self, activation: Activation) -> AsyncGenerator[None]:
        """Have the target of an activation to oneself.

        So what was granted last is what was asked for last.
        """
        target = activation.target
        lock = self._turns.setdefault(target, asyncio.Lock())
        self._waiting[target] += 1
        try:
            async with lock:
                yield
        finally:
            self._waiting[target] -= 1
            if not self._waiting[target]:
                del self._waiting[target], self._turns[target]

    def ends_by_itself(self, activation: Activation) -> bool:
        """Say whether the target ends a grant in time; one that nobody knows is not relied on."""
        executor = self.executors.named(activation.executor)
        return executor is not None and executor.expires_by_itself

    async def grant(
        self, activation: Activation, evidence: bytes | None, *, seconds_left: Callable[[], int]
    ) -> Fault | None:
        """Have a role given; None once that is confirmed.

        Nobody waits for it longer than it would last: then it has to be taken back.
        """
        fault = await self._ask(
            activation, "grant", lambda target: target.grant(activation, evidence), seconds_left
        )
        if fault is None or fault.is_final:
            self.alarms.clear(GRANTING_ALARM, _lane(activation))
        elif activation.attempts + 1 >= GRANT_ALARM_ATTEMPTS:
            self.alarms.raise_alarm(
                GRANTING_ALARM,
                _lane(activation),
                f"Executor {activation.executor} does not confirm that it has granted a role; it is"
                " asked again and again.",
            )
        return fault

    async def revoke(self, activation: Activation) -> Fault | None:
        """Have a role taken back; None once that is confirmed."""
        fault = await self._ask(activation, "revoke", lambda target: target.revoke(activation))
        if fault is None:
            self.alarms.clear(ENDING_ALARM, _lane(activation))
        else:
            self.ring(activation)
        return fault

    def ring(self, activation: Activation) -> None:
        """Have operators look at access that should be over and may not be."""
        self.alarms.raise_alarm(
            ENDING_ALARM,
            _lane(activation),
            f"Executor {activation.executor} does not confirm that it has taken a role back whose"
            " time is over; it is asked again and again.",
        )

    def quiet(self, activation: Activation) -> None:
        """Take back what was rung for an activation that is over."""
        self.alarms.clear(GRANTING_ALARM, _lane(activation))
        self.alarms.clear(ENDING_ALARM, _lane(activation))

    async def _ask(
        self,
        activation: Activation,
        verb: Verb,
        call: Callable[[Executor], Awaitable[None]],
        seconds_left: Callable[[], int] | None = None,
    ) -> Fault | None:
        name = activation.executor
        executor = self.executors.named(name)
        if executor is None:
            return Fault(f"There is no executor named {name} any more.", is_final=False)
        places = self._places.setdefault((name, verb), asyncio.Semaphore(MAX_CALLS_OF_EXECUTOR))
        async with places:
            seconds = self.call_seconds
            if seconds_left is not None:  # it may have become less while there was no place
                seconds = min(seconds, seconds_left())
            if seconds <= 0:
                return Fault(OVER, is_final=False)
            try:
                async with asyncio.timeout(seconds):
                    await call(executor)
            except GrantFailed as failed:
                return Fault(failed.message, failed.is_final)
            except TimeoutError:
                return Fault("The target did not answer in time.", is_final=False)
            except Exception:
                log.exception("executor_broke", activation_id=activation.activation_id)
                return Fault("The executor failed; the log says where.", is_final=False)
        return None


def _lane(activation: Activation) -> str:
    return f"activation/{activation.activation_id}"
