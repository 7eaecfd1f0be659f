"""uvicorn's protocols with what they leave open closed.

They read heads of any size, wait for the rest of a request for ever, and answer what is no HTTP
and no WebSocket in plain text or not at all. Here a head is bounded, a request must arrive in
time, and the answer has the shape and the id that every answer has. Requests that arrive whole
pay nothing for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from quorumkey_relay.api.answers import Refused, refusal_answer
from quorumkey_relay.mint import SystemMint

if TYPE_CHECKING:
    from asyncio import TimerHandle, Transport
    from collections.abc import Iterable

    from websockets.http11 import Request

#: How much of a head may come in after the first read, which the event loop bounds (256 KiB).
MAX_HEAD_BYTES: Final = 65_536

#: How long a request may take to arrive, from its first byte or the connection's start.
ARRIVAL_SECONDS: Final = 60.0

_CALL_ID_BYTES: Final = 12
_SWITCHING: Final = 101


def _bad_request(message: str, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return the bytes of a 400 that has the shape and the id of every answer."""
    answer = refusal_answer(Refused("invalid_request", message).refusal)
    headers = (
        *default_headers,
        *answer.headers,
        (b"x-request-id", SystemMint().random(_CALL_ID_BYTES).hex().encode()),
        (b"content-length", str(len(answer.body)).encode()),
        (b"connection", b"close"),
    )
    head = b"".join(b"%b: %b\r\n" % header for header in headers)
    return b"HTTP/1.1 400 Bad Request\r\n%b\r\n%b" % (head, answer.body)


class BoundedProtocol(HttpToolsProtocol):
    """One connection whose requests are bounded in size of head and in time of arrival."""

    _head_bytes = 0
    _in_head = False
    _is_first_read = False
    _is_incomplete = True
    _timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride] - as uvicorn's own
        """Start the clock for the first request."""
        super().connection_made(transport)
        self._timer = self.loop.call_later(ARRIVAL_SECONDS, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what came in; start the clock when a request is still incomplete after it."""
        super().data_received(data)
        if not self._is_incomplete:
            return
        if self._timer is None:
            self._timer = self.loop.call_later(ARRIVAL_SECONDS, self._give_up)
        if self._in_head:
            if not self._is_first_read:
                self._head_bytes += len(data)
            self._is_first_read = False
            if self._head_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too large.")

    def on_message_begin(self) -> None:
        """Start a head."""
        super().on_message_begin()
        self._head_bytes = 0
        self._in_head = self._is_first_read = self._is_incomplete = True

    def on_headers_complete(self) -> None:
        """End a head."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """Stop the clock: the request is here."""
        self._is_incomplete = False
        self._stop_timer()
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Stop the clock: the connection is no longer HTTP."""
        self._is_incomplete = False
        self._stop_timer()
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no request of HTTP/1.1, and close."""
        if self.transport.is_closing():
            return
        self.transport.write(_bad_request(msg, self.server_state.default_headers))
        self.transport.close()

    def _give_up(self) -> None:
        self._timer = None
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


class BoundedSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket whose handshake, when it is none, is answered like any other call."""

    def data_received(self, data: bytes) -> None:
        """Take what came in; answer a handshake that cannot be read, which uvicorn forgets."""
        super().data_received(data)
        if not self.handshake_initiated and self.conn.handshake_exc is not None:
            self._refuse()

    def handle_connect(self, event: Request) -> None:
        """Take a handshake, or refuse what RFC 6455 does not allow."""
        # The library's own refusal is plain text; asking it twice costs some microseconds.
        if self.conn.accept(event).status_code == _SWITCHING:
            super().handle_connect(event)
        else:
            self._refuse()

    def _refuse(self) -> None:
        message = "This is no WebSocket handshake that the relay understands (RFC 6455)."
        self.handshake_initiated = self.handshake_complete = self.close_sent = True
        self.transport.write(_bad_request(message, self.default_headers))
        self.transport.close()
