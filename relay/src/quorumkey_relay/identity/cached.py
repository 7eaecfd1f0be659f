"""A document of somebody else's that is kept for a while, and fetched once for all who wait."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.clock import Clock

T = TypeVar("T")

FRESH_SECONDS: Final = 600.0
#: How long a document counts that cannot be fetched anew: a key that was withdrawn must not live
#: on for as long as somebody keeps its issuer from being reached.
STALE_SECONDS: Final = 14_400.0
#: Least time between two fetches, whoever asks and for whatever.
BETWEEN_SECONDS: Final = 10.0


class Unavailable(Exception):  # noqa: N818 - says what has happened
    """What somebody else publishes cannot be had now; ``reason`` is a word for logs."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class _Known(Generic[T]):
    value: T
    at: float  # of the monotonic clock


class Cached(Generic[T]):
    """Keeps what ``load`` returned; ``load`` raises `Unavailable` and nothing else."""

    def __init__(self, what: str, load: Callable[[], Awaitable[T]], clock: Clock) -> None:
        """Fetch nothing yet; ``what`` is a word for logs."""
        self._what = what
        self._load = load
        self._clock = clock
        self._known: _Known[T] | None = None
        self._fault: str | None = None
        self._next_at = 0.0
        self._loading: asyncio.Task[None] | None = None

    async def get(self, suffices: Callable[[T], bool] = lambda _: True) -> T:
        """Return the document, fetched anew where it is not fresh or does not suffice.

        What is returned may not suffice still: then that is all there is. While it cannot be
        fetched, nobody waits who can do with what is known. Raises `Unavailable`.
        """
        now = self._clock.monotonic()
        if self._lacks(suffices, now, FRESH_SECONDS):
            loading = self._fetch(now)
            is_outage = self._fault is not None
            if loading is not None and (not is_outage or self._lacks(suffices, now, STALE_SECONDS)):
                # Whoever gives up waiting leaves the fetch to the others.
                await asyncio.shield(loading)
        known = self._known
        if known is None or self._clock.monotonic() >= known.at + STALE_SECONDS:
            raise Unavailable(self._fault or "stale")
        if self._fault is not None and not suffices(known.value):
            raise Unavailable(self._fault)
        return known.value

    def _lacks(self, suffices: Callable[[T], bool], now: float, seconds: float) -> bool:
        known = self._known
        return known is None or now >= known.at + seconds or not suffices(known.value)

    def _fetch(self, now: float) -> asyncio.Task[None] | None:
        """Return the fetch that is under way, or a new one, unless the last was a moment ago."""
        if self._loading is None and now >= self._next_at:
            self._loading = asyncio.create_task(self._renew())
        return self._loading

    async def _renew(self) -> None:
        try:
            value = await self._load()
        except Unavailable as error:
            self._fault = error.reason
            logs.get().warning("identity_unavailable", kind=self._what, reason=error.reason)
        else:
            self._known = _Known(value, self._clock.monotonic())
            self._fault = None
        finally:
            self._next_at = self._clock.monotonic() + BETWEEN_SECONDS
            self._loading = None
