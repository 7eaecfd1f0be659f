"""Senders of the tests' own, which share no code with the stand-ins or with the relay."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from uuid import uuid4

import jwt
import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from hyperframe.frame import Frame, GoAwayFrame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from quorumkey_relay.standins import StandIns

PATIENCE_SECONDS = 10

#: For what the fixture ``sender`` is to do over each protocol.
BOTH_PROTOCOLS = pytest.mark.parametrize("is_http2", [True, False], ids=["http2", "http1"])


@dataclass
class Answer:
    """What came back on one stream."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""
    has_ended: bool = False
    reset: int | None = None


class RawClient:
    """One HTTP/2 connection, frame by frame; windows are given back only when the test says so."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.h2 = H2Connection(H2Configuration(client_side=True, header_encoding="utf-8"))
        # h2 takes any GOAWAY for the end; streams that it covers are still to be answered.
        table: dict[Any, Any] = vars(self.h2)["_frame_dispatch_table"]
        table[GoAwayFrame] = self._note_goaway
        self.answers: dict[int, Answer] = {}
        self.settings: list[dict[int, int]] = []
        self.goaway: GoAwayFrame | None = None
        self.is_closed = False
        self._changed = asyncio.Condition()
        self._task = asyncio.get_running_loop().create_task(self._read())

    def flush(self) -> None:
        """Write what h2 has to say."""
        self._writer.write(self.h2.data_to_send())

    def write(self, data: bytes) -> None:
        """Write bytes as they are."""
        self._writer.write(data)

    def begin(self, headers: dict[str, str], *, path: str, end: bool = False) -> int:
        """Send HEADERS; the stream."""
        stream = self.h2.get_next_available_stream_id()
        head = {":method": "POST", ":scheme": "https", ":path": path, ":authority": "localhost"}
        self.h2.send_headers(stream, [*head.items(), *headers.items()], end_stream=end)
        self.answers[stream] = Answer()
        self.flush()
        return stream

    def send(self, headers: dict[str, str], body: bytes, *, path: str) -> int:
        """Send a whole request; the stream."""
        stream = self.begin(headers, path=path)
        self.h2.send_data(stream, body, end_stream=True)
        self.flush()
        return stream

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait until it holds."""
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(holds)

    async def answer(self, stream: int) -> Answer:
        """Wait for the whole answer, or for a reset."""
        answer = self.answers[stream]
        await self.until(lambda: answer.has_ended or answer.reset is not None)
        return answer

    async def close(self) -> None:
        """End the connection."""
        self._writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await self._writer.wait_closed()
        await self._task

    async def _read(self) -> None:
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            while data := await self._reader.read(65_536):
                for event in self.h2.receive_data(data):
                    self._handle(event)
                self.flush()
                async with self._changed:
                    self._changed.notify_all()
        self.is_closed = True
        async with self._changed:
            self._changed.notify_all()

    def _handle(self, event: Event) -> None:
        if isinstance(event, RemoteSettingsChanged):
            changed = event.changed_settings.items()
            self.settings.append({int(code): one.new_value for code, one in changed})
        elif isinstance(event, ResponseReceived):
            headers = dict(event.headers)
            answer = self.answers[event.stream_id]
            answer.headers = {str(name): str(text) for name, text in headers.items()}
            answer.status = int(answer.headers[":status"])
        elif isinstance(event, DataReceived):
            self.answers[event.stream_id].body += event.data
        elif isinstance(event, StreamEnded):
            self.answers[event.stream_id].has_ended = True
        elif isinstance(event, StreamReset):
            self.answers[event.stream_id].reset = int(event.error_code)

    def _note_goaway(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        self.goaway = frame
        return [], []


@contextlib.asynccontextmanager
async def connected(stands: StandIns, url: str) -> AsyncGenerator[RawClient, None]:
    """A connection by ALPN ``h2``, whose settings have been exchanged."""
    context = ssl.create_default_context(cafile=stands.files.ca_file)
    context.set_alpn_protocols(["h2"])
    port = urlsplit(url).port
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    client = RawClient(reader, writer)
    client.h2.initiate_connection()
    client.flush()
    await client.until(lambda: bool(client.settings))
    try:
        yield client
    finally:
        await client.close()


def provider_token(stands: StandIns, **changes: Any) -> str:  # noqa: ANN401 - claims of any kind
    """An ``authorization`` for APNs; ``changes`` are other claims, ``kid`` or ``key``."""
    key = changes.pop("key", stands.files.apns_key_file.read_text())
    kid = changes.pop("kid", stands.files.apns_key_id)
    claims = {"iss": stands.files.apns_team_id, "iat": int(time.time())} | changes
    return "bearer " + jwt.encode(claims, key, algorithm="ES256", headers={"kid": kid})


def apns_headers(stands: StandIns, token: str, **changes: str | None) -> dict[str, str]:
    """The headers of a good alert; ``changes`` have underscores, and None leaves one out."""
    headers: dict[str, str | None] = {
        "authorization": token,
        "apns-id": str(uuid4()),
        "apns-topic": stands.files.apns_topic,
        "apns-push-type": "alert",
        "apns-priority": "10",
        "apns-expiration": "0",
    }
    headers |= {name.replace("_", "-"): text for name, text in changes.items()}
    return {name: text for name, text in headers.items() if text is not None}


ALERT = b'{"aps":{"alert":{"title":"x"}},"type":"approval_request","request_id":"r"}'
