"""The clients of the egress guard: one for each host, port and address, made off the event loop.

A client costs several milliseconds to make, most of them for the public certificates. An event
that goes to two hundred new endpoints would hold up every decision for a second, were they made
where they are needed. So a thread makes them, one at a time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from quorumkey_relay.delivery.transport import HttpClient

#: A client costs 6 ms to make and 130 kB to keep.
MAX_CLIENTS: Final = 1_024


class Connect(Protocol):
    """Makes a client that reaches ``host`` at ``address`` and nowhere else; in any thread."""

    def __call__(self, *, host: str, address: str, roots: bytes | None) -> HttpClient:
        """Return a client, which is closed by whoever asked for it."""
        ...


_Key = tuple[str, int, str]


class PinnedClients:
    """Keeps the clients that were used last."""

    def __init__(self, connect: Connect, roots: bytes | None) -> None:
        """Make clients with ``connect``, which trust ``roots`` too."""
        self._connect = connect
        self._roots = roots
        self._kept: OrderedDict[_Key, HttpClient] = OrderedDict()
        self._made: dict[_Key, asyncio.Task[HttpClient]] = {}
        self._one_at_a_time = asyncio.Lock()
        self._retiring: set[asyncio.Task[None]] = set()

    async def get(self, host: str, port: int, address: str) -> HttpClient:
        """Return the client for an address of a host; use it before anything else is awaited."""
        key = (host, port, address)
        client = self._kept.get(key)
        if client is None:
            making = self._made.get(key)
            if making is None:
                making = self._made[key] = asyncio.create_task(self._make(key))
                making.add_done_callback(lambda _: self._made.pop(key, None))
            client = await asyncio.shield(making)
        if key in self._kept:
            self._kept.move_to_end(key)
        return client

    async def close(self) -> None:
        """Close every client; calls under way fail."""
        making = tuple(self._made.values())
        for task in making:
            task.cancel()
        clients = tuple(self._kept.values())
        self._kept.clear()
        await asyncio.gather(
            *(client.close() for client in clients),
            *making,
            *self._retiring,
            return_exceptions=True,
        )

    async def _make(self, key: _Key) -> HttpClient:
        host, _, address = key
        async with self._one_at_a_time:
            client = await asyncio.to_thread(
                self._connect, host=host, address=address, roots=self._roots
            )
        self._kept[key] = client
        if len(self._kept) > MAX_CLIENTS:
            self._retire(self._kept.popitem(last=False)[1])
        return client

    def _retire(self, client: HttpClient) -> None:
        """Have the client that was not used for the longest time finish its calls and close."""
        retiring = asyncio.create_task(client.retire())
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)
