"""HTTP/1.1 for senders that speak no HTTP/2: one request after the other."""

from __future__ import annotations

import asyncio
from collections import deque
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from quorumkey_relay.standins.exchange import MAX_BODY_BYTES, Reply, Request

if TYPE_CHECKING:
    from quorumkey_relay.standins.listener import Front


class Http1Connection(asyncio.Protocol):
    """One connection of a sender; requests are answered in their order."""

    def __init__(self, front: Front, transport: asyncio.Transport) -> None:
        """Serve on a transport whose handshake, if any, is done."""
        self._front = front
        self._transport = transport
        self._caller = front.arrived(self)
        self._parser = HttpRequestParser(self)
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._timer: asyncio.TimerHandle | asyncio.Task[None] | None = None
        self._is_answering = False
        self._is_reading = False
        self._is_lost = False
        self._url = b""
        self._headers: list[tuple[str, str]] = []
        self._body = b""

    # ------------------------------------------------------------ asyncio

    def data_received(self, data: bytes) -> None:
        """Take in what the peer sent."""
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._transport.close()
        self._front.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        """Count what the connection leaves behind."""
        del exc
        self._is_lost = True
        if self._timer is not None:
            self._timer.cancel()
        self._front.counters.unanswered += len(self._waiting)
        self._front.counters.half_open += self._is_reading
        self._front.left(self)

    def lose(self) -> None:
        """End the connection at once, without a word."""
        self._is_lost = True
        self._transport.abort()

    def go_away(self, *, reason: str | None = None) -> None:
        """End the connection, if nothing is under way on it."""
        del reason
        if not self._waiting:
            self._transport.close()

    # ------------------------------------------------------------ httptools

    def on_message_begin(self) -> None:
        """Note that a request has begun."""
        self._front.counters.streams += 1
        self._is_reading = True
        self._url, self._headers, self._body = b"", [], b""

    def on_url(self, url: bytes) -> None:
        """Note the target, which may come in parts."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Note a header."""
        self._headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_body(self, body: bytes) -> None:
        """Note a part of the body."""
        self._body += body
        if len(self._body) > MAX_BODY_BYTES:
            self.lose()

    def on_message_complete(self) -> None:
        """Put the request in line."""
        self._is_reading = False
        headers = dict(self._headers)
        request = Request(
            self._caller,
            self._parser.get_method().decode(),
            self._url.decode("latin-1"),
            headers,
            self._body,
            has_duplicates=len(headers) != len(self._headers),
        )
        self._waiting.append((request, self._parser.should_keep_alive()))
        self._next()

    # ------------------------------------------------------------ out

    def _next(self) -> None:
        if self._is_answering or not self._waiting or self._is_lost:
            return
        self._is_answering = True
        made = self._front.service.answer(self._waiting[0][0])
        if isinstance(made, Reply):
            self._treat(made)
        else:
            self._timer = self._loop.create_task(self._later(made))

    async def _later(self, made: object) -> None:
        reply = await cast("asyncio.Future[Reply]", made)
        self._timer = None
        self._treat(reply)

    def _treat(self, reply: Reply) -> None:
        if reply.action == "silence":
            self._waiting.popleft()  # and nothing behind it is answered either
            self._front.counters.unanswered += 1
            self._front.changed()
            return
        delay = reply.delay_seconds + self._front.faults.delay_seconds
        if delay:
            self._timer = self._loop.call_later(delay, self._respond, reply)
        else:
            self._respond(reply)

    def _respond(self, reply: Reply) -> None:
        self._timer = None
        if self._is_lost:
            return
        if reply.action != "answer":
            self._front.counters.reset += reply.action == "reset"
            self.lose()
            return
        _, keep_alive = self._waiting.popleft()
        self._is_answering = False
        self._transport.write(_bytes_of(reply, keep_alive=keep_alive))
        if keep_alive:
            self._next()
        else:
            self._transport.close()


def _bytes_of(reply: Reply, *, keep_alive: bool) -> bytes:
    try:
        phrase = HTTPStatus(reply.status).phrase
    except ValueError:
        phrase = ""
    lines = [f"HTTP/1.1 {reply.status} {phrase}"]
    lines += [f"{name}: {value}" for name, value in reply.headers]
    lines += [f"content-length: {len(reply.body)}"]
    lines += [] if keep_alive else ["connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1") + reply.body
