"""Server-sent events (WHATWG HTML §9.2) of one integrator's webhook events (PROTOCOL §5)."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from quorumkey_relay.api.shutdown import Watch, abandon

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.types import Receive

    from quorumkey_relay.api.ports import EventPort
    from quorumkey_relay.api.shutdown import Shutdown

#: A comment goes out after so long without an event, so that proxies keep the connection.
HEARTBEAT_SECONDS: Final = 15.0

#: Sent at once: answers the head, and tells the client to reconnect after so many milliseconds.
_PREAMBLE: Final = b"retry: 2000\n\n"
_HEARTBEAT: Final = b":\n\n"


def _written(event: EventPort) -> bytes:
    return b"id: %b\nevent: %b\ndata: %b\n\n" % (event.id.encode(), event.type.encode(), event.body)


async def event_chunks(
    events: AsyncIterator[EventPort],
    receive: Receive,
    shutdown: Shutdown,
    *,
    heartbeat_seconds: float = HEARTBEAT_SECONDS,
) -> AsyncGenerator[bytes, None]:
    """Yield the stream's bytes until the events, the client or the relay end."""
    yield _PREAMBLE
    with Watch(receive, shutdown) as watch:
        while not watch.is_over():
            upcoming = asyncio.ensure_future(_next(events))
            try:
                while not await watch.first(upcoming, heartbeat_seconds):
                    if watch.is_over():
                        return
                    yield _HEARTBEAT
            finally:
                await abandon(upcoming)
            event = upcoming.result()
            if event is None:
                return
            yield _written(event)


async def _next(events: AsyncIterator[EventPort]) -> EventPort | None:
    return await anext(events, None)
