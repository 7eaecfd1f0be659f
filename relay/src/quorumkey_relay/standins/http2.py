"""HTTP/2 as a push provider's front end speaks it (RFC 9113), on top of ``h2``.

``h2`` keeps frames, header compression and the states of streams. Here stands what ``h2`` would do
otherwise than a provider does: a stream too many is refused and not the end of the connection, a
GOAWAY leaves the streams that it covers time to be answered, and bodies wait for the peer's
windows. The windows granted to the peer are never larger than ``Faults.window_bytes``.
"""

from __future__ import annotations

import asyncio
import struct
from typing import TYPE_CHECKING, Final, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from quorumkey_relay.standins.exchange import MAX_BODY_BYTES, Reply, Request, json_bytes
from quorumkey_relay.standins.header_compression import PlainEncoder, QuickDecoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.standins.listener import Front

#: How long a connection stays after its last answer under a GOAWAY, for the peer to leave first.
LINGER_SECONDS: Final = 1.0

_STREAMS_UNTIL_TRUSTED: Final = 1
_MAX_HEADER_LIST_BYTES: Final = 8_000
_SETTINGS_FRAME: Final = 4
_GOAWAY_FRAME: Final = 7
#: So many HEADERS between two sweeps of h2's table of streams, which is long.
_SWEEP_EVERY: Final = 256
_NO_LIMIT: Final = 2**31 - 1
_PSEUDO_HEADERS: Final = frozenset((":method", ":scheme", ":path"))
_KNOWN: Final = _PSEUDO_HEADERS | {":authority"}
_OF_ONE_HOP: Final = frozenset(
    ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade")
)


class _Connection(H2Connection):
    """h2's connection, which counts no streams: who is refused is decided below."""

    def __init__(self) -> None:
        super().__init__(
            H2Configuration(
                client_side=False,
                validate_inbound_headers=False,  # see _is_malformed
                normalize_inbound_headers=False,
                validate_outbound_headers=False,
                normalize_outbound_headers=False,
            )
        )
        self.decoder = QuickDecoder()
        self.decoder.max_header_list_size = _MAX_HEADER_LIST_BYTES
        self.encoder = PlainEncoder()
        # The limits are announced by hand: what h2 announces it would also enforce, by GOAWAY.
        self.local_settings = Settings(
            client=False, initial_values={SettingCodes.MAX_CONCURRENT_STREAMS: _NO_LIMIT}
        )
        self._begun = 0

    @property
    def open_inbound_streams(self) -> int:
        """As few as h2 needs to hear; closed streams are swept now and then."""
        self._begun += 1
        return super().open_inbound_streams if self._begun % _SWEEP_EVERY == 0 else 0


class _Stream:
    """A request on its way in, or an answer on its way out."""

    __slots__ = ("body", "is_silent", "is_whole", "outgoing", "request", "timer")

    def __init__(self, request: Request) -> None:
        self.request = request
        self.body: list[bytes] = []
        self.is_whole = False
        self.is_silent = False
        self.outgoing = b""
        self.timer: asyncio.TimerHandle | asyncio.Task[None] | None = None


class Http2Connection(asyncio.Protocol):
    """One connection of a sender."""

    def __init__(self, front: Front, transport: asyncio.Transport) -> None:
        """Greet the peer on a transport whose handshake has chosen ``h2``."""
        self._front = front
        self._faults = front.faults
        self._transport = transport
        self._caller = front.arrived(self)
        self._h2 = _Connection()
        self._streams: dict[int, _Stream] = {}
        self._requests = 0
        self._newest = 0
        self._limit = _STREAMS_UNTIL_TRUSTED
        self._last: int | None = None  # what our GOAWAY said
        self._flushing = False
        self._loop = asyncio.get_running_loop()
        self._idle: asyncio.TimerHandle | None = None
        self._is_lost = False
        self._greet()

    def _greet(self) -> None:
        if not self._faults.first_success_streams:
            self._limit = self._faults.max_streams
        window = self._faults.window_bytes
        self._h2.initiate_connection()
        self._h2.data_to_send()  # h2's own SETTINGS, which are not ours
        # h2 has to count with the window that the peer is told; it applies before any stream.
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.MAX_CONCURRENT_STREAMS: _NO_LIMIT,
                SettingCodes.INITIAL_WINDOW_SIZE: window,
            },
        )
        self._transport.write(
            _settings(
                (SettingCodes.MAX_CONCURRENT_STREAMS, self._limit),
                (SettingCodes.INITIAL_WINDOW_SIZE, window),
                (SettingCodes.MAX_HEADER_LIST_SIZE, _MAX_HEADER_LIST_BYTES),
                (SettingCodes.ENABLE_PUSH, 0),
            )
        )
        self._rest()

    # ------------------------------------------------------------ asyncio

    def data_received(self, data: bytes) -> None:
        """Take in what the peer sent."""
        if self._is_lost:
            return
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:
            self._front.counters.goaways += 1  # h2 has written one
            self._flush()
            self._transport.close()
            return
        for event in events:
            self._handle(event)
        self._flush()
        self._front.changed()

    def _handle(self, event: Event) -> None:
        if self._is_lost:
            return
        if isinstance(event, RequestReceived):
            self._begin(event)
        elif isinstance(event, DataReceived):
            self._take(event)
        elif isinstance(event, StreamEnded):
            self._end(event.stream_id)
        elif isinstance(event, (WindowUpdated, RemoteSettingsChanged)):
            self._pump_all()
        elif isinstance(event, StreamReset):
            self._cancelled(event.stream_id)
        elif isinstance(event, ConnectionTerminated):
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what the connection leaves behind."""
        del exc
        self._is_lost = True
        counters = self._front.counters
        for stream in self._streams.values():
            self._stop(stream)
            if not stream.is_whole:
                counters.half_open += 1
            elif not stream.is_silent:
                counters.unanswered += 1
        self._streams.clear()
        if self._idle is not None:
            self._idle.cancel()
        self._front.left(self)

    def lose(self) -> None:
        """End the connection at once, without a word."""
        self._is_lost = True
        self._transport.abort()

    # ------------------------------------------------------------ in

    def _begin(self, event: RequestReceived) -> None:
        stream_id = event.stream_id
        self._front.counters.streams += 1
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None
        if self._last is not None and stream_id > self._last:
            self._front.counters.unprocessed += 1
            return
        if len(self._streams) >= self._limit:
            self._front.counters.refused_streams += 1
            self._reset(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        pairs = event.headers
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in pairs}
        if _is_malformed(headers):
            self._front.counters.reset += 1
            self._reset(stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        request = Request(
            self._caller,
            headers[":method"],
            headers[":path"],
            headers,
            b"",
            has_duplicates=len(headers) != len(pairs),
        )
        self._streams[stream_id] = _Stream(request)
        counters = self._front.counters
        counters.most_concurrent = max(counters.most_concurrent, len(self._streams))

    def _take(self, event: DataReceived) -> None:
        stream_id = event.stream_id
        self._h2.acknowledge_received_data(event.flow_controlled_length or 0, stream_id)
        stream = self._streams.get(stream_id)
        if stream is not None:
            stream.body.append(event.data or b"")
            if sum(map(len, stream.body)) > MAX_BODY_BYTES:
                del self._streams[stream_id]
                self._reset(stream_id, ErrorCodes.CANCEL)

    def _end(self, stream_id: int) -> None:
        stream = self._streams.get(stream_id)
        if stream is None:
            return
        stream.is_whole = True
        stream.request.body = stream.body[0] if len(stream.body) == 1 else b"".join(stream.body)
        self._requests += 1
        self._newest = max(self._newest, stream_id)
        if self._requests == self._faults.lose_connection_after:
            self.lose()
            return
        if self._requests == self._faults.goaway_after and self._last is None:
            self.go_away(reason=self._faults.goaway_reason)
        made = self._front.service.answer(stream.request)
        if isinstance(made, Reply):
            self._treat(stream_id, stream, made)
        else:
            stream.timer = self._loop.create_task(self._later(stream_id, stream, made))

    async def _later(self, stream_id: int, stream: _Stream, made: object) -> None:
        reply = await cast("asyncio.Future[Reply]", made)
        stream.timer = None
        self._treat(stream_id, stream, reply)

    def _cancelled(self, stream_id: int) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            self._stop(stream)
            self._front.counters.cancelled += 1
            self._front.changed()
            self._rest()

    @staticmethod
    def _stop(stream: _Stream) -> None:
        if stream.timer is not None:
            stream.timer.cancel()

    # ------------------------------------------------------------ out

    def _treat(self, stream_id: int, stream: _Stream, reply: Reply) -> None:
        delay = reply.delay_seconds + self._faults.delay_seconds
        if reply.action == "silence":
            stream.is_silent = True
            self._front.counters.unanswered += 1
            self._front.changed()
            return
        if delay:
            stream.timer = self._loop.call_later(delay, self._respond, stream_id, stream, reply)
        else:
            self._respond(stream_id, stream, reply)

    def _respond(self, stream_id: int, stream: _Stream, reply: Reply) -> None:
        if self._is_lost:
            return
        stream.timer = None
        if reply.action == "close":
            self.lose()
            return
        if reply.action == "reset":
            del self._streams[stream_id]
            self._front.counters.reset += 1
            self._reset(stream_id, ErrorCodes.INTERNAL_ERROR)
        else:
            head = [(":status", str(reply.status)), *reply.headers]
            self._h2.send_headers(stream_id, head, end_stream=not reply.body)
            stream.outgoing = reply.body
            if not reply.body or self._pump(stream_id, stream):
                del self._streams[stream_id]
            if reply.is_trusted and self._limit < self._faults.max_streams:
                self._widen()
        self._soon()
        self._rest()

    def _pump(self, stream_id: int, stream: _Stream) -> bool:
        """Send as much of a body as the peer's windows take; tell whether all is out."""
        while stream.outgoing:
            room = self._h2.local_flow_control_window(stream_id)
            size = min(room, self._h2.max_outbound_frame_size, len(stream.outgoing))
            if size <= 0:
                return False
            chunk, stream.outgoing = stream.outgoing[:size], stream.outgoing[size:]
            self._h2.send_data(stream_id, chunk, end_stream=not stream.outgoing)
        return True

    def _pump_all(self) -> None:
        for stream_id, stream in list(self._streams.items()):
            if stream.outgoing and self._pump(stream_id, stream):
                del self._streams[stream_id]
        self._rest()

    def _widen(self) -> None:
        self._flush()
        self._limit = self._faults.max_streams
        self._transport.write(_settings((SettingCodes.MAX_CONCURRENT_STREAMS, self._limit)))

    def _reset(self, stream_id: int, code: ErrorCodes) -> None:
        self._h2.reset_stream(stream_id, code)
        self._soon()

    def go_away(self, *, reason: str | None = None) -> None:
        """Say that nothing beyond the newest request so far will be answered, and answer those."""
        if self._last is not None or self._is_lost:
            return
        self._flush()
        self._last = self._newest
        debug = b"" if reason is None else json_bytes({"reason": reason})
        frame = struct.pack(">LL", self._last, ErrorCodes.NO_ERROR) + debug
        self._transport.write(_frame(_GOAWAY_FRAME, frame))
        self._front.counters.goaways += 1
        for stream_id in [one for one in self._streams if one > self._last]:
            self._stop(self._streams.pop(stream_id))
            self._front.counters.unprocessed += 1
        self._front.changed()
        self._rest()

    def _rest(self) -> None:
        """With nothing under way, wait for what ends an idle connection."""
        if self._streams or self._idle is not None or self._is_lost:
            return
        if self._last is not None:
            self._idle = self._loop.call_later(LINGER_SECONDS, self._transport.close)
        elif self._faults.idle_close_seconds is not None:
            self._idle = self._loop.call_later(self._faults.idle_close_seconds, self._tire)

    def _tire(self) -> None:
        self._idle = None
        self.go_away()

    def _soon(self) -> None:
        """Write once for all that this turn of the loop answers."""
        if not self._flushing:
            self._flushing = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flushing = False
        if not self._is_lost:
            data = self._h2.data_to_send()
            if data:
                self._transport.write(data)


def _is_malformed(headers: Mapping[str, str]) -> bool:
    """Tell whether a request breaks the rules for its headers (RFC 9113, sections 8.2 and 8.3)."""
    if ":authority" not in headers and "host" not in headers:
        return True
    return not headers.keys() >= _PSEUDO_HEADERS or any(
        not name.islower() or name in _OF_ONE_HOP or (name[0] == ":" and name not in _KNOWN)
        for name in headers
    )


def _frame(kind: int, payload: bytes) -> bytes:
    """Return a frame without flags of the connection itself (RFC 9113, section 4.1)."""
    return struct.pack(">HBBBL", len(payload) >> 8, len(payload) & 255, kind, 0, 0) + payload


def _settings(*values: tuple[SettingCodes, int]) -> bytes:
    payload = b"".join(struct.pack(">HL", code, value) for code, value in values)
    return _frame(_SETTINGS_FRAME, payload)
