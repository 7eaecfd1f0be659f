"""What has just become durable, told inside the process: to waiting reads and event streams."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from weakref import WeakSet

from quorumkey_relay.domain.model import Resolved
from quorumkey_relay.store.writes import AdvanceRequest, AppendEvent, Commit

if TYPE_CHECKING:
    from collections.abc import Generator

    from quorumkey_relay.store.records import EventRecord

MAX_QUEUED_EVENTS: Final = 1_000


class Ended:
    """One reader's wait for the end of a request."""

    def __init__(self) -> None:
        """Not ended yet."""
        self._event = asyncio.Event()

    def set(self) -> None:
        """The request has ended, or the relay is shutting down."""
        self._event.set()

    async def wait(self, seconds: float) -> None:
        """Return when the request has ended, at the latest after ``seconds``."""
        try:
            async with asyncio.timeout(seconds):
                await self._event.wait()
        except TimeoutError:
            return


class EventFeed:
    """One subscriber's queue of events; ``overrun`` when it was too slow to keep up."""

    def __init__(self) -> None:
        """Start empty."""
        self._queue: deque[EventRecord] = deque()
        self._ready = asyncio.Event()
        self.closed = False

    def offer(self, event: EventRecord) -> None:
        """Queue an event; a feed that is full closes, and its reader resumes by id."""
        if self.closed or len(self._queue) >= MAX_QUEUED_EVENTS:
            self.close()
            return
        self._queue.append(event)
        self._ready.set()

    def close(self) -> None:
        """End the feed after what is queued."""
        self.closed = True
        self._ready.set()

    async def next(self) -> EventRecord | None:
        """Return the next event, or None when the feed has ended."""
        while not self._queue:
            if self.closed:
                return None
            self._ready.clear()
            await self._ready.wait()
        return self._queue.popleft()


class Bulletin:
    """Hears every durable commit and wakes those who wait for it."""

    def __init__(self) -> None:
        """Start with nobody waiting."""
        self._waits: dict[str, list[Ended]] = {}
        # A feed is followed for as long as somebody holds it: nobody has to say goodbye.
        self._feeds: dict[str, WeakSet[EventFeed]] = {}

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit."""
        for write in commit:
            if isinstance(write, AppendEvent):
                if write.only_for is None:
                    self.offer(write.event)
            elif isinstance(write, AdvanceRequest) and isinstance(write.events[-1], Resolved):
                for ended in self._waits.get(write.terms.request_id, ()):
                    ended.set()

    def offer(self, event: EventRecord) -> None:
        """Tell an event to those who follow its integrator."""
        for feed in self._feeds.get(event.integrator_id, ()):
            feed.offer(event)

    def close(self) -> None:
        """Let everybody go: the relay is shutting down."""
        for waits in self._waits.values():
            for ended in waits:
                ended.set()
        self.end_feeds()

    def end_feeds(self) -> None:
        """Let those who follow events go; they may come again and resume by id."""
        for feeds in self._feeds.values():
            for feed in feeds:
                feed.close()

    @contextmanager
    def watch_request(self, request_id: str) -> Generator[Ended]:
        """Watch for the end of a request."""
        ended = Ended()
        self._waits.setdefault(request_id, []).append(ended)
        try:
            yield ended
        finally:
            _leave(self._waits, request_id, ended)

    def follow(self, integrator_id: str) -> EventFeed:
        """Return a feed of an integrator's events from now on."""
        feed = EventFeed()
        self._feeds.setdefault(integrator_id, WeakSet()).add(feed)
        return feed


def _leave(waits: dict[str, list[Ended]], request_id: str, one: Ended) -> None:
    waits[request_id].remove(one)
    if not waits[request_id]:
        del waits[request_id]
