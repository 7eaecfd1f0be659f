"""``/v1/device/stream``: the devices' WebSocket (PROTOCOL §7).

A socket is accepted, told a nonce, and has ten seconds to answer with a session envelope. From
then on the relay pushes and the device only acknowledges. Sockets that have not authenticated are
counted and bounded; an authenticated one is the hub's.
"""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol import JsonValue, b64encode, parse_envelope, strict_json
from quorumkey.protocol.limits import AUTH_WITHIN_SECONDS, MAX_FRAME_BYTES, NONCE_BYTES
from quorumkey_relay.api.answers import Answer, Headers, Refused, refusal_answer
from quorumkey_relay.api.connection import Connection
from quorumkey_relay.api.endpoint import UUID
from quorumkey_relay.api.gate import FAILURE_CODES
from quorumkey_relay.api.routes import STREAM_PATH
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

    from quorumkey_relay.api.gate import Gate
    from quorumkey_relay.api.ports import RelayPort
    from quorumkey_relay.api.shutdown import Shutdown

SUBPROTOCOL: Final = "quorumkey.v1"

# Close codes of §7, and two of RFC 6455's registry for trouble that passes.
UNEXPECTED_MESSAGE: Final = 4400
BAD_AUTH: Final = 4401
REVOKED: Final = 4403
AUTH_TIMEOUT: Final = 4408
SHUTTING_DOWN: Final = 4503
INTERNAL_ERROR: Final = 1011
TRY_AGAIN_LATER: Final = 1013

_READY: Final = b'{"type":"ready"}'
_REQUEST_ID: Final = re.compile(UUID)

#: What a refused authentication closes with; every other code is a bad authentication.
_CLOSE_CODES: Final = {
    "device_revoked": REVOKED,
    "rate_limited": TRY_AGAIN_LATER,
    "store_unavailable": INTERNAL_ERROR,
}


class _Closed(Exception):  # noqa: N818 - ends a conversation, expected
    """The conversation is over: close with ``code``, or None when the peer has left."""

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Streams:
    """All sockets of the relay."""

    def __init__(
        self,
        relay: RelayPort,
        gate: Gate,
        shutdown: Shutdown,
        *,
        auth_within_seconds: float = AUTH_WITHIN_SECONDS,
    ) -> None:
        """Take limits from the relay's settings."""
        self._usecases = relay.usecases
        self._hub = relay.hub
        self._mint = relay.mint
        self._metrics = relay.metrics
        self._max_waiting = relay.settings.max_unauthenticated_sockets
        self._auth_within_seconds = auth_within_seconds
        self._gate = gate
        self._shutdown = shutdown
        self._waiting = 0
        self._open: set[Connection] = set()
        self._all_closed = asyncio.Event()
        self._log = logs.get().bind()

    async def serve(self, scope: Scope, receive: Receive, send: Send, headers: Headers) -> None:
        """Serve one WebSocket scope; ``headers`` go with whatever it is answered."""
        await receive()  # websocket.connect
        try:
            self._check_handshake(scope)
        except Refused as refused:
            await _refuse(send, refusal_answer(refused.refusal, (*refused.headers, *headers)))
            return
        accept = {"type": "websocket.accept", "subprotocol": SUBPROTOCOL, "headers": [*headers]}
        self._waiting += 1
        try:
            await send(accept)
            connection = Connection(send)
        except OSError:
            self._waiting -= 1
            return
        self._open.add(connection)
        try:
            await self._converse(scope, receive, send, connection)
        except asyncio.CancelledError:
            if not connection.is_dropped:
                raise
            self._log.info("slow_socket_dropped")
        finally:
            self._forget(connection)

    def close_all(self) -> None:
        """Close every socket because the relay is going down."""
        for connection in tuple(self._open):
            connection.close(SHUTTING_DOWN)

    async def all_closed(self) -> None:
        """Return when no socket is open."""
        while self._open:
            self._all_closed.clear()
            await self._all_closed.wait()

    def _check_handshake(self, scope: Scope) -> None:
        """Raise Refused when this handshake is to be answered by HTTP."""
        if scope["path"] != STREAM_PATH:
            raise Refused("not_found")
        self._gate.anyone(scope, {})
        if SUBPROTOCOL not in scope["subprotocols"]:
            raise Refused("invalid_request", f"Offer the sub-protocol {SUBPROTOCOL}.")
        if scope["query_string"]:
            raise Refused("invalid_request", "This address has no query parameters.")
        if self._shutdown.begun or self._waiting >= self._max_waiting:
            raise Refused("store_unavailable", "Too many sockets wait; try again in a moment.")

    async def _converse(
        self, scope: Scope, receive: Receive, send: Send, connection: Connection
    ) -> None:
        """Authenticate, then follow the device until one side ends it."""
        device: str | None = None
        metrics = self._metrics
        metrics.sockets_waiting.inc()
        try:
            device = await self._authenticated(scope, receive, send, connection)
            # From here to attach nothing may wait: what happens in between would be missed.
            connection.begin((_READY, *self._usecases.pending_frames(device)))
            self._hub.attach(device, connection)
            self._waiting -= 1
            metrics.sockets_waiting.dec()
            metrics.sockets_live.inc()
            while True:
                await self._acknowledge(device, await _frame(receive))
        except _Closed as closed:
            if closed.code is not None:
                connection.close(closed.code)
                await _peer_left(receive)
        finally:
            if device is None:
                self._waiting -= 1
                metrics.sockets_waiting.dec()
            else:
                self._hub.detach(device, connection)
                metrics.sockets_live.dec()
                code = connection.close_code
                self._log.info("socket_closed", device=device, close_code=code or 0)

    async def _authenticated(
        self, scope: Scope, receive: Receive, send: Send, connection: Connection
    ) -> str:
        """Say hello and return the fingerprint of the device that answers rightly."""
        nonce = self._mint.random(NONCE_BYTES)
        relay = await self._usecases.info()
        hello: dict[str, JsonValue] = {
            "type": "hello",
            "nonce": b64encode(nonce),
            "relay": relay.relay,
        }
        try:
            await send({"type": "websocket.send", "text": strict_json.dumps(hello).decode()})
        except OSError:
            raise _Closed(None) from None
        try:
            async with asyncio.timeout(self._auth_within_seconds):
                frame = await _frame(receive)
        except TimeoutError:
            raise _Closed(AUTH_TIMEOUT) from None
        if frame.get("type") != "auth" or frame.keys() != {"type", "envelope"}:
            raise _Closed(UNEXPECTED_MESSAGE)
        device = await self._device_of(frame["envelope"], nonce)
        if isinstance(device, Refusal):
            if device.code in FAILURE_CODES:
                self._gate.failed(scope)
            raise _Closed(_CLOSE_CODES.get(device.code, BAD_AUTH))
        if connection.close_code is not None:
            raise _Closed(connection.close_code)
        return device

    async def _device_of(self, value: JsonValue, nonce: bytes) -> str | Refusal:
        try:
            envelope = parse_envelope(value)
            return await self._usecases.authenticate_stream(envelope=envelope, nonce=nonce)
        except ProtocolError as error:
            return Refusal(error.code, error.message)
        except StoreUnavailable:
            return Refusal("store_unavailable", "The store is not reachable.")

    async def _acknowledge(self, device: str, frame: dict[str, JsonValue]) -> None:
        """Take an ``ack``, the only message a device sends after ``ready``."""
        request_id = frame.get("request_id")
        if frame.get("type") != "ack" or frame.keys() != {"type", "request_id"}:
            raise _Closed(UNEXPECTED_MESSAGE)
        if not isinstance(request_id, str):
            raise _Closed(UNEXPECTED_MESSAGE)
        if _REQUEST_ID.fullmatch(request_id) is None:
            return  # names nothing; the device may know better next time
        try:
            # An ack that is refused (unknown, too many) is not worth the connection.
            await self._usecases.acknowledge(device=device, request_id=request_id)
        except StoreUnavailable:
            self._log.warning("ack_not_stored", device=device)

    def _forget(self, connection: Connection) -> None:
        self._open.discard(connection)
        if not self._open:
            self._all_closed.set()


async def _frame(receive: Receive) -> dict[str, JsonValue]:
    """Return the next message of the peer: one JSON object in a text frame."""
    message = await receive()
    if message["type"] == "websocket.disconnect":
        raise _Closed(None)
    text = message.get("text")
    if text is None:
        raise _Closed(UNEXPECTED_MESSAGE)
    try:
        value = strict_json.loads(text.encode(), max_bytes=MAX_FRAME_BYTES)
    except ProtocolError:
        raise _Closed(UNEXPECTED_MESSAGE) from None
    if not isinstance(value, dict):
        raise _Closed(UNEXPECTED_MESSAGE)
    return value


async def _peer_left(receive: Receive) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def _refuse(send: Send, answer: Answer) -> None:
    """Answer the handshake by HTTP (ASGI extension ``websocket.http.response``)."""
    headers = [*answer.headers, (b"content-length", str(len(answer.body)).encode())]
    start = {"type": "websocket.http.response.start", "status": answer.status, "headers": headers}
    try:
        await send(start)
        await send({"type": "websocket.http.response.body", "body": answer.body})
    except OSError:
        return  # the client has gone
