"""The load generator: calls that were built beforehand, over connections that are kept.

Each connection has one call on the way; when its answer is complete it takes the next call. A
call costs some ten microseconds here, so that one core asks for several times of what a server
on another core can answer; ``Burst.busy`` says how much of its core it needed.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

CONNECTIONS: Final = 64
BURST_SECONDS: Final = 60.0
OK_STATUSES: Final = frozenset({200, 201, 204})

_HEAD_END: Final = b"\r\n\r\n"
_LENGTH: Final = b"content-length: "


class LoadError(Exception):
    """The server closed a connection, answered with an error, or took too long."""


def quantile(values: Sequence[float], share: float) -> float:
    """Return the least value that at least ``share`` of all values do not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(slots=True)
class Burst:
    """What came of a sequence of calls.

    ``seconds`` from the first call to the last answer; ``sent`` (``time.perf_counter``) and
    ``latencies`` (from writing a call to its whole answer) in seconds by call; ``bodies`` by
    call; ``busy`` the share of the time in which the load generator's own core was working.
    """

    seconds: float
    sent: list[float]
    latencies: list[float]
    statuses: Counter[int]
    bodies: list[bytes]
    busy: float

    @property
    def rate(self) -> float:
        """Return answers per second."""
        return len(self.latencies) / self.seconds

    def succeeded(self) -> list[bytes]:
        """Return the bodies; raises LoadError when a call was refused."""
        refused = {status for status in self.statuses if status not in OK_STATUSES}
        if refused:
            shown = next((body for body in self.bodies if b'"error"' in body), b"")
            message = f"calls were refused: {dict(self.statuses)}; such as {shown[:300]!r}"
            raise LoadError(message)
        return self.bodies


@dataclass(slots=True)
class _Work:
    """The calls of one burst and what has become of them."""

    calls: Sequence[bytes]
    done: asyncio.Future[None]
    next: int = 0
    left: int = 0
    sent: list[float] = field(default_factory=list[float])
    latencies: list[float] = field(default_factory=list[float])
    bodies: list[bytes] = field(default_factory=list[bytes])
    statuses: Counter[int] = field(default_factory=Counter[int])

    @classmethod
    def on(cls, calls: Sequence[bytes]) -> _Work:
        """Begin with nothing sent."""
        count = len(calls)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return cls(
            calls,
            done,
            left=count,
            sent=[0.0] * count,
            latencies=[0.0] * count,
            bodies=[b""] * count,
        )

    async def finish(self, started: float, worked: float) -> Burst:
        """Wait for the last answer."""
        try:
            async with asyncio.timeout(BURST_SECONDS):
                await self.done
        except TimeoutError:
            message = (
                f"{self.left} of {len(self.calls)} calls had no answer after {BURST_SECONDS} s"
            )
            raise LoadError(message) from None
        seconds = time.perf_counter() - started
        busy = (time.process_time() - worked) / seconds
        return Burst(seconds, self.sent, self.latencies, self.statuses, self.bodies, busy)


class _Connection(asyncio.Protocol):
    """One kept connection."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._work: _Work | None = None
        self._call = 0
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of the right kind without deriving from it.
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._work is not None and not self._work.done.done():
            message = f"the server closed a connection in the middle of a call: {exc}"
            self._work.done.set_exception(LoadError(message))

    def close(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.close()

    def start(self, work: _Work) -> None:
        """Take the next call of the work, if any is left."""
        if work.next < len(work.calls):
            self._work = work
            self._send(work)

    def _send(self, work: _Work) -> None:
        if self._transport is None:
            message = "the server closed a connection"
            raise LoadError(message)
        self._call = work.next
        work.next += 1
        work.sent[self._call] = time.perf_counter()
        self._transport.write(work.calls[self._call])

    def data_received(self, data: bytes) -> None:
        """Take a part of an answer; uvicorn writes the names of headers in lower case."""
        if self._rest:
            data = self._rest + data
        body_at = data.find(_HEAD_END) + len(_HEAD_END)
        if body_at < len(_HEAD_END):
            self._rest = data
            return
        length = 0
        length_at = data.find(_LENGTH, 0, body_at)
        if length_at >= 0:
            length_at += len(_LENGTH)
            length = int(data[length_at : data.find(b"\r", length_at)])
        if len(data) < body_at + length:
            self._rest = data
            return
        self._rest = b""
        self._answered(int(data[9:12]), data[body_at:])

    def _answered(self, status: int, body: bytes) -> None:
        work = self._work
        if work is None:
            return
        work.latencies[self._call] = time.perf_counter() - work.sent[self._call]
        work.bodies[self._call] = body
        work.statuses[status] += 1
        work.left -= 1
        if work.next < len(work.calls):
            self._send(work)
            return
        self._work = None
        if not work.left and not work.done.done():
            work.done.set_result(None)


class Load:
    """Open connections to one server."""

    def __init__(self, connections: Sequence[_Connection]) -> None:
        """Use connections that are open."""
        self._connections = connections

    async def run(self, calls: Sequence[bytes]) -> Burst:
        """Send every call once, one on the way per connection.

        Raises LoadError when the server closes a connection or takes longer than BURST_SECONDS.
        """
        work = _Work.on(calls)
        worked, started = time.process_time(), time.perf_counter()
        for connection in self._connections:
            connection.start(work)
        return await work.finish(started, worked)

    async def pace(self, calls: Sequence[bytes], per_second: float) -> list[Burst]:
        """Send one call after the other at this pace, each when its time has come.

        Returns a burst of one for each call.
        """
        loop = asyncio.get_running_loop()
        begun = loop.time()
        pending: list[asyncio.Task[Burst]] = []
        for number, each in enumerate(calls):
            await asyncio.sleep(begun + number / per_second - loop.time())
            work = _Work.on([each])
            worked, started = time.process_time(), time.perf_counter()
            self._connections[number % len(self._connections)].start(work)
            pending.append(asyncio.create_task(work.finish(started, worked)))
        return [await task for task in pending]


@asynccontextmanager
async def connected(port: int, connections: int = CONNECTIONS) -> AsyncGenerator[Load, None]:
    """Keep connections to a server open for as long as the context lasts."""
    loop = asyncio.get_running_loop()
    opened = [
        (await loop.create_connection(_Connection, "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    try:
        yield Load(opened)
    finally:
        for connection in opened:
            connection.close()
