"""The only part of the client that touches sockets: drives flows over httpx2, blocking or not.

httpx2 is kept on a short lead: no redirects (a relay never needs one, and following one would
hand the API key to another address), no compression (a small answer must not become a large one),
a bounded number of bytes an answer, and no proxy from the environment for this very machine.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final, TypeVar

import httpx2

from quorumkey.client._exchange import (
    MAX_ANSWER_BYTES,
    Answer,
    Lost,
    Outgoing,
    Reply,
    Running,
    Send,
)
from quorumkey.errors import ConfigurationError, UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping

    from quorumkey.client._exchange import Flow, Step
    from quorumkey.client.address import RelayAddress

__all__ = ["DEFAULT_TIMEOUT_SECONDS", "AsyncDriver", "SyncDriver"]

T = TypeVar("T")

DEFAULT_TIMEOUT_SECONDS: Final = 10.0
_OK: Final = 200
#: Silence after which an event stream counts as broken; the relay speaks at least every 25 s.
STREAM_SILENCE_SECONDS: Final = 75.0

#: A timeout is for each of these: a connection is free, is made, the request is sent, and every
#: piece of the answer comes. What all of it may take ends an answer that comes byte by byte.
_PHASES: Final = 4

#: What happens before a request is on its way.
_NOT_SENT: Final = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.LocalProtocolError,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)


def _headers(headers: Mapping[str, str]) -> dict[str, str]:
    return {"accept": "application/json", "accept-encoding": "identity", **headers}


def _lost(error: httpx2.RequestError) -> Lost:
    timed_out = isinstance(error, httpx2.TimeoutException)
    what = "did not answer in time" if timed_out else "could not be reached"
    reason = f"The relay {what} ({type(error).__name__})."
    return Lost(reason=reason, sent=not isinstance(error, _NOT_SENT), timed_out=timed_out)


def _check_encoding(response: httpx2.Response) -> None:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise UnexpectedAnswerError("The relay's answer is compressed, which was not asked for.")


def _answer(response: httpx2.Response, body: bytes) -> Answer:
    return Answer(response.status_code, {k.lower(): v for k, v in response.headers.items()}, body)


def _grow(body: bytearray, chunk: bytes) -> None:
    body += chunk
    if len(body) > MAX_ANSWER_BYTES:
        raise UnexpectedAnswerError(f"The relay's answer is larger than {MAX_ANSWER_BYTES} bytes.")


class _Timeouts:
    def __init__(self, address: RelayAddress, seconds: float) -> None:
        if not seconds > 0:
            raise ConfigurationError("The timeout must be a positive number of seconds.")
        self._address = address
        self._seconds = seconds

    def url(self, outgoing: Outgoing) -> httpx2.URL:
        url = httpx2.URL(self._address.base + outgoing.path)
        return url.copy_merge_params(list(outgoing.query)) if outgoing.query else url

    def of(self, outgoing: Outgoing) -> httpx2.Timeout:
        return httpx2.Timeout(self._seconds, read=self._seconds + outgoing.extra_seconds)

    def whole(self, outgoing: Outgoing) -> float:
        """How long one exchange may take, however steadily its answer comes."""
        return _PHASES * self._seconds + outgoing.extra_seconds

    def of_stream(self) -> httpx2.Timeout:
        return httpx2.Timeout(self._seconds, read=STREAM_SILENCE_SECONDS)


class SyncDriver:
    """Drives flows with blocking calls."""

    def __init__(
        self,
        address: RelayAddress,
        *,
        headers: Mapping[str, str],
        timeout_seconds: float,
        transport: httpx2.BaseTransport | None,
        sleep: Callable[[float], None],
    ) -> None:
        self._requests = _Timeouts(address, timeout_seconds)
        self._sleep = sleep
        self._client = httpx2.Client(
            headers=_headers(headers),
            follow_redirects=False,
            trust_env=not address.loopback,
            transport=transport,
        )

    def close(self) -> None:
        """Close every connection."""
        self._client.close()

    def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        running = Running(flow)
        reply: Reply = None
        try:
            while True:
                reply = self._take(running.steps.send(reply))
        except StopIteration:
            return running.result
        finally:
            running.steps.close()

    def _take(self, step: Step) -> Reply:
        if isinstance(step, Send):
            return self._send(step.outgoing)
        self._sleep(step.seconds)
        return None

    def _send(self, outgoing: Outgoing) -> Answer | Lost:
        try:
            with self._open(outgoing, self._requests.of(outgoing)) as response:
                body = bytearray()
                for chunk in response.iter_bytes():
                    _grow(body, chunk)
                return _answer(response, bytes(body))
        except httpx2.RequestError as error:
            return _lost(error)

    @contextmanager
    def _open(self, outgoing: Outgoing, limits: httpx2.Timeout) -> Generator[httpx2.Response]:
        with self._client.stream(
            outgoing.method,
            self._requests.url(outgoing),
            headers=list(outgoing.headers),
            content=outgoing.body,
            timeout=limits,
        ) as response:
            _check_encoding(response)
            yield response

    def stream(self, outgoing: Outgoing) -> Generator[httpx2.ServerSentEvent | Answer | Lost]:
        """Yield server-sent events; last, what ended them: an error answer or a lost one."""
        try:
            with self._open(outgoing, self._requests.of_stream()) as response:
                if response.status_code != _OK:
                    yield _answer(response, response.read()[:MAX_ANSWER_BYTES])
                    return
                yield from httpx2.EventSource(response)
        except httpx2.RequestError as error:
            yield _lost(error)
        else:
            yield Lost(reason="The relay ended the event stream.", sent=True)


class AsyncDriver:
    """Drives flows in an event loop."""

    def __init__(
        self,
        address: RelayAddress,
        *,
        headers: Mapping[str, str],
        timeout_seconds: float,
        transport: httpx2.AsyncBaseTransport | None,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self._requests = _Timeouts(address, timeout_seconds)
        self._sleep = sleep
        self._client = httpx2.AsyncClient(
            headers=_headers(headers),
            follow_redirects=False,
            trust_env=not address.loopback,
            transport=transport,
        )

    async def close(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def run(self, flow: Flow[T]) -> T:
        """Drive a flow to its end."""
        running = Running(flow)
        reply: Reply = None
        try:
            while True:
                reply = await self._take(running.steps.send(reply))
        except StopIteration:
            return running.result
        finally:
            running.steps.close()

    async def _take(self, step: Step) -> Reply:
        if isinstance(step, Send):
            return await self._send(step.outgoing)
        await self._sleep(step.seconds)
        return None

    async def _send(self, outgoing: Outgoing) -> Answer | Lost:
        try:
            async with (
                asyncio.timeout(self._requests.whole(outgoing)),
                self._open(outgoing, self._requests.of(outgoing)) as response,
            ):
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    _grow(body, chunk)
                return _answer(response, bytes(body))
        except httpx2.RequestError as error:
            return _lost(error)
        except TimeoutError:
            reason = "The relay did not answer whole in time."
            return Lost(reason=reason, sent=True, timed_out=True)

    @asynccontextmanager
    async def _open(
        self, outgoing: Outgoing, limits: httpx2.Timeout
    ) -> AsyncGenerator[httpx2.Response]:
        async with self._client.stream(
            outgoing.method,
            self._requests.url(outgoing),
            headers=list(outgoing.headers),
            content=outgoing.body,
            timeout=limits,
        ) as response:
            _check_encoding(response)
            yield response

    async def stream(
        self, outgoing: Outgoing
    ) -> AsyncGenerator[httpx2.ServerSentEvent | Answer | Lost]:
        """Yield server-sent events; last, what ended them: an error answer or a lost one."""
        try:
            async with self._open(outgoing, self._requests.of_stream()) as response:
                if response.status_code != _OK:
                    yield _answer(response, (await response.aread())[:MAX_ANSWER_BYTES])
                    return
                async for event in httpx2.EventSource(response):
                    yield event
        except httpx2.RequestError as error:
            yield _lost(error)
        else:
            yield Lost(reason="The relay ended the event stream.", sent=True)
