"""The HTTP client of everything that the relay sends by itself: pushes and webhooks.

It is pyreqwest (Rust's reqwest) with every default decided: no redirects, no proxies of the
environment, no cookies, no decompression, bounded time, bounded answers. Whatever goes wrong is a
`TransportFailed` that says whether the other side may have acted on the request.

The library retries by itself what HTTP/2 says was not processed (a refused stream, a stream above
the last one of a GOAWAY; RFC 9113, sections 6.8 and 8.7), up to three sends in all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from importlib.metadata import version
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import (
    ClientClosedError,
    PyreqwestError,
    RequestError,
    RequestTimeoutError,
)

from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from pyreqwest.request import RequestBuilder
    from pyreqwest.response import ResponseBodyReader

MAX_ANSWER_BYTES: Final = 65_536
MAX_ROOTS_BYTES: Final = 1_048_576
CONNECT_TIMEOUT_SECONDS: Final = 5
#: What a request gets that asks for just so long; any other time costs a setting of its own.
DEFAULT_TIMEOUT_SECONDS: Final = 10.0
KEEP_ALIVE_INTERVAL_SECONDS: Final = 60
KEEP_ALIVE_TIMEOUT_SECONDS: Final = 5
# A quiet hour must not cost a new connection; the keep-alive finds out that an idle one is dead.
PINNED_IDLE_SECONDS: Final = 60

_OK: Final = int(HTTPStatus.OK)  # bound here: looking an enum up costs as much as the comparison

FailureReason = Literal["timeout", "unreachable", "broken"]

# What the library's causes say where the request did not reach the other side, or is known not to
# have been acted on. It has no other sign of these than words, and its exception types mislead: a
# connection that is lost after sending is a ConnectError too. A release that words them otherwise
# makes them unknown, which is the safe side, and fails the tests that hold them.
_NOT_CONNECTED: Final = "client error (Connect)"
_NOT_PROCESSED: Final = (
    "stream error received: refused stream before processing any application logic",
    "connection error received: ",  # a GOAWAY whose last stream is an earlier one
)


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer: header names are lower-case; the body is cut where the client stops."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


_SUCCESS: Final = Answer(_OK, MappingProxyType({}), b"")


class TransportFailed(Exception):  # noqa: N818 - says what happened, as the outcomes do
    """There is no answer.

    Attributes:
        reason: ``timeout``, ``unreachable`` (no connection) or ``broken`` (it ended too early).
        processed: False where the other side surely has not acted on it, None where nobody knows.
    """

    def __init__(self, reason: FailureReason, *, processed: Literal[False] | None) -> None:
        """Keep what is known; never the address, which is a secret on some channels."""
        super().__init__(reason)
        self.reason: FailureReason = reason
        self.processed: Literal[False] | None = processed


class HttpClient:
    """Sends requests, any number at once, over as few connections as there can be.

    A caller that is cancelled harms no other. Its request, which may be on its way, ends by
    itself: with its answer, or at its timeout.
    """

    def __init__(
        self,
        client: Client,
        *,
        skims_success: bool = False,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """Use ``client``, which belongs to this object from now on.

        With ``skims_success`` the status is all that is looked at in an answer 200. No more than
        ``max_answer_bytes`` of a body are read.
        """
        self._client = client
        self._max_answer_bytes = max_answer_bytes
        self._skims_success = skims_success
        self._calls = 0
        self._is_retired = False

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """Send one request and return its answer, whatever its status.

        ``timeout_seconds`` covers everything from connecting to the end of the answer; an answer
        that has not ended by then is none. Raises TransportFailed only.
        """
        return await self._call(
            lambda: self._client.post(url).headers(headers).body_bytes(body), timeout_seconds
        )

    async def get(self, url: str, *, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
        """Ask for what is at an address; otherwise as ``post``."""
        return await self._call(lambda: self._client.get(url).headers(headers), timeout_seconds)

    async def _call(self, build: Callable[[], RequestBuilder], timeout_seconds: float) -> Answer:
        if timeout_seconds <= 0:
            raise TransportFailed("timeout", processed=False)
        self._calls += 1
        try:
            request = build()
            if timeout_seconds != DEFAULT_TIMEOUT_SECONDS:
                request.timeout(timedelta(seconds=timeout_seconds))
            async with request.build_streamed() as response:
                if self._skims_success and response.status == _OK:
                    return _SUCCESS
                text = await _read(response.body_reader, self._max_answer_bytes)
                return Answer(response.status, response.headers, text)
        except (PyreqwestError, ValueError) as error:
            failure = _failure(error)
        finally:
            self._calls -= 1
            if self._is_retired and self._calls == 0:
                await self._client.close()
        # Raised out here so that it drags along no exception whose text has the address.
        raise failure

    async def retire(self) -> None:
        """Close once the calls under way have ended; no new ones may be made."""
        self._is_retired = True
        if self._calls == 0:
            await self._client.close()

    async def close(self) -> None:
        """Close now; calls under way fail."""
        await self._client.close()


async def _read(reader: ResponseBodyReader, limit: int) -> bytes:
    body = bytearray()
    while len(body) < limit:
        chunk = await reader.read(limit - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body)


def _failure(error: Exception) -> TransportFailed:
    if not isinstance(error, RequestError):
        # An address or a header that HTTP cannot carry: nothing was sent.
        return TransportFailed("broken", processed=False)
    causes = [cause["message"] for cause in error.details["causes"] or ()]
    if _NOT_CONNECTED in causes:
        is_late = isinstance(error, RequestTimeoutError)
        return TransportFailed("timeout" if is_late else "unreachable", processed=False)
    if isinstance(error, RequestTimeoutError):
        return TransportFailed("timeout", processed=None)
    if isinstance(error, ClientClosedError):
        return TransportFailed("broken", processed=None)
    is_unprocessed = any(cause.startswith(_NOT_PROCESSED) for cause in causes)
    return TransportFailed("broken", processed=False if is_unprocessed else None)


def http2_client(
    *,
    roots: bytes | None,
    headers: Mapping[str, str] | None = None,
    skims_success: bool = False,
    max_answer_bytes: int = MAX_ANSWER_BYTES,
) -> HttpClient:
    """Return a client for push services: HTTP/2 from the first byte, kept open while idle.

    ``roots`` are certificates in PEM that count beside the public ones, ``headers`` what every
    request has; ``skims_success`` and ``max_answer_bytes`` as for `HttpClient`.
    """
    builder = (
        _builder(roots)
        .default_headers(headers or {})
        .http2_prior_knowledge()
        .pool_idle_timeout(None)
        .http2_keep_alive_interval(timedelta(seconds=KEEP_ALIVE_INTERVAL_SECONDS))
        .http2_keep_alive_timeout(timedelta(seconds=KEEP_ALIVE_TIMEOUT_SECONDS))
        .http2_keep_alive_while_idle(enabled=True)
    )
    return HttpClient(
        builder.build(), skims_success=skims_success, max_answer_bytes=max_answer_bytes
    )


def web_client(*, roots: bytes | None) -> HttpClient:
    """Return a client for addresses of the operator's own: HTTP/2 where it is offered, else 1.1.

    ``roots`` are certificates in PEM that count beside the public ones.
    """
    builder = (
        _builder(roots).http2(enable=True).pool_idle_timeout(timedelta(seconds=PINNED_IDLE_SECONDS))
    )
    return HttpClient(builder.build())


def pinned_client(*, host: str, address: str, roots: bytes | None) -> HttpClient:
    """Return a client that reaches ``host`` at ``address`` (an IP address) and asks no resolver.

    HTTP/2 where the other side offers it, else HTTP/1.1; the certificate must be ``host``'s. Use
    it for that host only: it would ask the system's resolver for any other.
    """
    builder = (
        _builder(roots)
        .http2(enable=True)
        .pool_idle_timeout(timedelta(seconds=PINNED_IDLE_SECONDS))
        .resolve(host, address, 0)  # 0: the port is the one of the address that is called
    )
    return HttpClient(builder.build())


def _builder(roots: bytes | None) -> ClientBuilder:
    builder = (
        ClientBuilder()
        .follow_redirects(enable=False)
        .no_proxy()
        .referer(enable=False)
        .default_cookie_store(enable=False)
        .gzip(enable=False)
        .brotli(enable=False)
        .zstd(enable=False)
        .deflate(enable=False)
        .connect_timeout(timedelta(seconds=CONNECT_TIMEOUT_SECONDS))
        .timeout(timedelta(seconds=DEFAULT_TIMEOUT_SECONDS))
        .user_agent(f"quorumkey-relay/{version('quorumkey-relay')}")
    )
    return builder if roots is None else builder.add_root_certificate_pem(roots)


def extra_roots(path: Path | None) -> bytes | None:
    """Read the setting ``ca_file``: certificates in PEM, None where it is not set.

    Raises ConfigError: the file cannot be read, or holds no certificate. The client itself would
    pass over what it cannot read.
    """
    if path is None:
        return None
    try:
        with path.open("rb") as file:
            text = file.read(MAX_ROOTS_BYTES + 1)
        roots = x509.load_pem_x509_certificates(text) if len(text) <= MAX_ROOTS_BYTES else []
    except OSError as error:
        raise ConfigError((f"{path} cannot be read: {error.strerror}.",)) from None
    except ValueError:
        roots = []
    if not roots:
        raise ConfigError(
            (f"{path} must hold certificates in PEM, at most {MAX_ROOTS_BYTES} bytes.",)
        )
    return b"".join(root.public_bytes(Encoding.PEM) for root in roots)
