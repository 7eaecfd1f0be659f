"""Devices on the WebSocket: they authenticate, then note when each frame came."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final, cast

from websockets.client import ClientProtocol
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode
from websockets.typing import Subprotocol
from websockets.uri import parse_uri

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from bench.people import Phone
    from bench.servers import Server

OPEN_SECONDS: Final = 30.0
ARRIVAL_SECONDS: Final = 10.0

#: Sockets that open at the same time; the relay bounds those that have not authenticated.
OPENING: Final = 100

_SUBPROTOCOL: Final = Subprotocol("quorumkey.v1")
_POLL_SECONDS: Final = 0.002


class SocketError(Exception):
    """A socket was refused or closed, or a frame that was due did not come."""


class Listener(asyncio.Protocol):
    """One device's stream. It offers compression, as browsers and phones do."""

    def __init__(self, phone: Phone, server: Server) -> None:
        """Prepare to dial ``server`` as ``phone``."""
        self.phone = phone
        #: When (``time.perf_counter``) each ``approval_request`` came, and the text of it.
        self.challenges: list[tuple[float, str]] = []
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._audience = server.url
        self._protocol = ClientProtocol(
            parse_uri(f"ws://127.0.0.1:{server.port}/v1/device/stream"),
            subprotocols=[_SUBPROTOCOL],
            extensions=[ClientPerMessageDeflateFactory()],
        )
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        # uvloop's transports are of the right kind without deriving from it.
        self._transport = cast("asyncio.Transport", transport)
        self._protocol.send_request(self._protocol.connect())
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the stream is over."""
        self._transport = None
        if not self.ready.done():
            message = f"the socket was closed: {self._protocol.handshake_exc or exc}"
            self.ready.set_exception(SocketError(message))

    def data_received(self, data: bytes) -> None:
        """Take frames."""
        came = time.perf_counter()
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self._take(bytes(event.data).decode(), came)
        self._flush()

    def _take(self, text: str, came: float) -> None:
        if text.startswith('{"type":"approval_request"'):
            self.challenges.append((came, text))
            return
        frame = json.loads(text)
        if frame["type"] == "hello":
            envelope = self.phone.session(
                relay=frame["relay"], audience=self._audience, nonce=frame["nonce"]
            )
            self._protocol.send_text(b'{"type":"auth","envelope":%b}' % envelope)
        elif frame["type"] == "ready" and not self.ready.done():
            self.ready.set_result(None)

    def _flush(self) -> None:
        if self._transport is not None:
            for part in self._protocol.data_to_send():
                if part:
                    self._transport.write(part)

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def request_of(text: str) -> str:
    """Return the id of the request that an ``approval_request`` frame asks about."""
    payload = json.loads(base64.b64decode(json.loads(text)["challenge"]["payload"]))
    return str(payload["request_id"])


async def arrived(listeners: Sequence[Listener], count: int) -> None:
    """Wait until each listener has got ``count`` challenges; raises SocketError."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    for listener in listeners:
        while len(listener.challenges) < count:
            if time.monotonic() > deadline:
                message = f"{len(listener.challenges)} of {count} challenges came"
                raise SocketError(message)
            await asyncio.sleep(_POLL_SECONDS)


@asynccontextmanager
async def listening(
    phones: Sequence[Phone], server: Server
) -> AsyncGenerator[list[Listener], None]:
    """Keep an authenticated socket open for each phone, for as long as the context lasts."""
    loop = asyncio.get_running_loop()
    turn = asyncio.Semaphore(OPENING)

    async def opened(phone: Phone) -> Listener:
        async with turn:
            listener = Listener(phone, server)
            await loop.create_connection(lambda: listener, "127.0.0.1", server.port)
            await listener.ready
        return listener

    listeners: list[Listener] = []
    try:
        async with asyncio.timeout(OPEN_SECONDS):
            listeners += await asyncio.gather(*map(opened, phones))
        yield listeners
    finally:
        for listener in listeners:
            listener.close()
