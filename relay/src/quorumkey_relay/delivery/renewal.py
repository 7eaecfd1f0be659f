"""A credential that many senders share: obtained by one of them, renewed before it runs out."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

T = TypeVar("T")

# While the old credential still serves, one that cannot be renewed is tried for again after this.
PAUSE_AFTER_FAILURE_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True)
class _Held(Generic[T]):
    value: T
    since: float


class Renewal(Generic[T]):
    """Hands out one value to everybody and renews it: never two renewals at a time.

    Younger than ``refresh_after_seconds`` the value is handed out. Older, it still is, while a
    renewal goes on in the background. Older than ``expires_after_seconds`` (None: never), and
    before there is one, everybody waits for the renewal that is under way.
    """

    def __init__(
        self,
        obtain: Callable[[], Awaitable[T]],
        *,
        monotonic: Callable[[], float],
        refresh_after_seconds: float,
        least_seconds_between: float,
        expires_after_seconds: float | None = None,
    ) -> None:
        """Obtain nothing yet; ``refused`` renews nothing younger than ``least_seconds_between``."""
        self._obtain = obtain
        self._monotonic = monotonic
        self._refresh_after = refresh_after_seconds
        self._expires_after = (
            float("inf") if expires_after_seconds is None else expires_after_seconds
        )
        self._least_between = least_seconds_between
        self._held: _Held[T] | None = None
        self._renewing: asyncio.Task[T] | None = None
        self._not_before = float("-inf")  # when the background may try again

    async def current(self) -> T:
        """Return the value; raises what ``obtain`` raises where there is none to fall back on."""
        held = self._held
        if held is None:
            return await self._renewed()
        age = self._monotonic() - held.since
        if age >= self._expires_after:
            return await self._renewed()
        if age >= self._refresh_after and self._monotonic() >= self._not_before:
            self._start()
        return held.value

    async def refused(self, value: T) -> T | None:
        """Return another value for one that the provider refused; None where it is too soon.

        Somebody else may have renewed it meanwhile: then that one is returned. Raises what
        ``obtain`` raises.
        """
        held = self._held
        if held is None or held.value != value:
            return await self.current()
        if self._monotonic() - held.since < self._least_between:
            return None
        return await self._renewed()

    async def close(self) -> None:
        """End a renewal that is under way."""
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await self._renewing

    async def _renewed(self) -> T:
        # Shielded: a caller that is cancelled ends nobody else's renewal.
        return await asyncio.shield(self._start())

    def _start(self) -> asyncio.Task[T]:
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew())
            self._renewing.add_done_callback(self._done)
        return self._renewing

    async def _renew(self) -> T:
        value = await self._obtain()
        self._held = _Held(value, self._monotonic())
        return value

    def _done(self, task: asyncio.Task[T]) -> None:
        self._renewing = None
        # Looked at, so that a failure nobody waited for is no "exception was never retrieved".
        if not task.cancelled() and task.exception() is not None:
            self._not_before = self._monotonic() + PAUSE_AFTER_FAILURE_SECONDS
