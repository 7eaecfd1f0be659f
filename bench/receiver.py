"""A webhook's receiver: ``python -m bench.receiver CERTIFICATE`` answers every POST with 204.

It prints ``{"url": …}`` once it answers; ``GET /`` says how many events it got, and when
(``time.time``) the first and the last came.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
from dataclasses import asdict, dataclass
from typing import Final, cast

import httptools
import uvloop

_ACCEPTED: Final = b"HTTP/1.1 204 No Content\r\n\r\n"


@dataclass
class Tally:
    """What has come."""

    events: int = 0
    connections: int = 0
    first: float = 0.0
    last: float = 0.0


class Receiver(asyncio.Protocol):
    """One connection; calls come one after the other, as HTTP/1.1 has them."""

    def __init__(self, tally: Tally) -> None:
        """Count into ``tally``."""
        self._tally = tally
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count it."""
        # uvloop's transports are of the right kind without deriving from it.
        self._transport = cast("asyncio.Transport", transport)
        self._tally.connections += 1

    def data_received(self, data: bytes) -> None:
        """Read on."""
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer a call that is here in full."""
        if self._transport is None:
            return
        if self._parser.get_method() == b"POST":
            self._tally.last = time.time()
            self._tally.first = self._tally.first or self._tally.last
            self._tally.events += 1
            self._transport.write(_ACCEPTED)
            return
        body = json.dumps(asdict(self._tally)).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(body)}\r\n\r\n"
        self._transport.write(head.encode() + body)


async def serve(certificate: str) -> None:
    """Serve until SIGTERM, with a PEM file of a certificate and its key."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    tally = Tally()
    server = await asyncio.get_running_loop().create_server(
        lambda: Receiver(tally), "127.0.0.1", 0, ssl=context
    )
    port = server.sockets[0].getsockname()[1]
    print(json.dumps({"url": f"https://localhost:{port}"}), flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(*sys.argv[1:]))
