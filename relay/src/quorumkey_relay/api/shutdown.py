"""One signal that the relay is going down, for everything that would otherwise wait."""

from __future__ import annotations

import asyncio
from asyncio import FIRST_COMPLETED
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from starlette.types import Receive

T = TypeVar("T")


class Shutdown:
    """Set once; streams, long polls and sockets end on it."""

    def __init__(self) -> None:
        """Start with the relay up."""
        self._event = asyncio.Event()

    @property
    def begun(self) -> bool:
        """Whether the relay is going down."""
        return self._event.is_set()

    def begin(self) -> None:
        """Tell everybody."""
        self._event.set()

    async def wait(self) -> None:
        """Return when the relay is going down."""
        await self._event.wait()


async def client_left(receive: Receive) -> None:
    """Return when the client of a call whose body was read has disconnected."""
    while (await receive())["type"] != "http.disconnect":
        pass


class Watch:
    """Waits for work, but no longer than client and relay are there.

    Use it as a context manager around the waiting of one call.
    """

    def __init__(self, receive: Receive, shutdown: Shutdown) -> None:
        """Watch the client behind ``receive``, and the relay."""
        self._ends = (
            asyncio.ensure_future(client_left(receive)),
            asyncio.ensure_future(shutdown.wait()),
        )

    def __enter__(self) -> Self:
        """Start watching."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop watching."""
        for end in self._ends:
            end.cancel()

    @property
    def client_left(self) -> bool:
        """Whether there is nobody left to answer."""
        return self._ends[0].done()

    async def first(self, work: asyncio.Future[T], timeout: float | None = None) -> bool:  # noqa: ASYNC109 - returns early, raises nothing
        """Wait for ``work``; False when client or relay went, or the time ran out, before it."""
        await asyncio.wait((work, *self._ends), timeout=timeout, return_when=FIRST_COMPLETED)
        return work.done()

    def is_over(self) -> bool:
        """Tell whether client or relay have gone."""
        return any(end.done() for end in self._ends)


async def abandon(work: asyncio.Future[T]) -> None:
    """Cancel ``work`` and return when it has stopped."""
    if work.cancel():
        await asyncio.wait((work,))
