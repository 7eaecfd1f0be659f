"""An HTTP client that gives up a connection on which nothing is answered any more."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from quorumkey_relay.delivery.transport import TransportFailed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quorumkey_relay.delivery.transport import Answer, HttpClient

#: A call that waited so long, with no answer to any other meanwhile, was made to a dead connection.
#: The keep-alive waits as long for its answer.
DEAD_AFTER_SECONDS: Final = 5.0
#: How often what surely was not processed is sent again at once, beyond what the library does by
#: itself: its stream was refused, or is above the last one of a GOAWAY.
MAX_RESENDS: Final = 2


class ReconnectingClient:
    """One client at a time; the keep-alive of an idle connection takes longer to see its end."""

    def __init__(self, connect: Callable[[], HttpClient]) -> None:
        """Make the first client; it connects when it is used."""
        self._connect = connect
        self._client = connect()
        self._answers = 0
        self._retiring: set[asyncio.Task[None]] = set()

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """Send one request, and again what surely was not processed; see `HttpClient`."""
        return await self._call(
            lambda client: client.post(
                url, headers=headers, body=body, timeout_seconds=timeout_seconds
            ),
            timeout_seconds,
        )

    async def get(self, url: str, *, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
        """Ask for what is at an address; otherwise as ``post``."""
        return await self._call(
            lambda client: client.get(url, headers=headers, timeout_seconds=timeout_seconds),
            timeout_seconds,
        )

    async def _call(
        self, send: Callable[[HttpClient], Awaitable[Answer]], timeout_seconds: float
    ) -> Answer:
        resends = 0
        while True:
            client, answers = self._client, self._answers
            try:
                answer = await send(client)
            except TransportFailed as failure:
                is_silent = answers == self._answers and timeout_seconds >= DEAD_AFTER_SECONDS
                if failure.reason == "timeout" and is_silent and client is self._client:
                    self._replace(client)
                is_turned_back = failure.reason == "broken" and failure.processed is False
                if not is_turned_back or resends == MAX_RESENDS:
                    raise
            else:
                self._answers += 1
                return answer
            resends += 1

    def _replace(self, old: HttpClient) -> None:
        self._client = self._connect()
        task = asyncio.create_task(old.retire())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)

    async def close(self) -> None:
        """Close now; calls under way fail."""
        await self._client.close()
        if self._retiring:
            await asyncio.wait(self._retiring)
