"""Answers and how refusals become them (PROTOCOL §9)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from quorumkey.errors import ERRORS, ProtocolError
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from quorumkey.protocol import JsonValue

Headers = tuple[tuple[bytes, bytes], ...]

NO_CONTENT: Final = 204

_BARE_HEADERS: Final[Headers] = (
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
)
JSON_HEADERS: Final[Headers] = ((b"content-type", b"application/json"), *_BARE_HEADERS)

#: Seconds after which a call that was refused for the relay's own trouble may be tried again.
RETRY_AFTER_SECONDS: Final = 1

_RATE_LIMITED_STATUS: Final = 429
_UNAVAILABLE_STATUS: Final = 503


class ErrorView(Struct, frozen=True):
    """The inside of an error answer; ``message`` is a sentence a person can act on."""

    code: str
    message: str
    details: dict[str, Any] | UnsetType = UNSET  # any JSON


class ErrorDocument(Struct, frozen=True):
    """The body of every answer that refuses."""

    error: ErrorView


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete answer; ``code`` is the error's, for logs and limits."""

    status: int
    body: bytes = b""
    headers: Headers = JSON_HEADERS
    code: str | None = None


@dataclass(frozen=True, slots=True)
class EventStream:
    """An answer of server-sent events: each chunk goes out as it comes."""

    chunks: AsyncGenerator[bytes, None]


class Refused(Exception):  # noqa: N818 - a refusal is an expected outcome
    """Ends the reading of a call with a refusal; raised inside the HTTP layer only."""

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        retry_after: int | None = None,
        headers: Headers = (),
        details: Mapping[str, JsonValue] | None = None,
    ) -> None:
        """Refuse with a code of §9, by default with its own message."""
        super().__init__(code)
        said = message or ERRORS[code].message
        self.refusal = Refusal(code, said, details, retry_after=retry_after)
        self.headers = headers


_encoder: Final = msgspec.json.Encoder()


def encode(view: Struct) -> bytes:
    """Return a view as compact JSON."""
    return _encoder.encode(view)


def page(body: bytes, content_type: bytes, *more: tuple[bytes, bytes]) -> Answer:
    """Return an answer that is no JSON object of the API, such as a page for people."""
    return Answer(200, body, ((b"content-type", content_type), *_BARE_HEADERS, *more))


def nothing(*more: tuple[bytes, bytes]) -> Answer:
    """Return an answer without content."""
    return Answer(NO_CONTENT, b"", (*_BARE_HEADERS, *more))


def refusal_answer(refusal: Refusal, headers: Headers = ()) -> Answer:
    """Return what a refusal looks like on the wire."""
    status = ERRORS[refusal.code].status
    details: dict[str, JsonValue] | None = dict(refusal.details) if refusal.details else None
    document = ErrorDocument(
        ErrorView(refusal.code, refusal.message, UNSET if details is None else dict(details))
    )
    more = (*JSON_HEADERS, *headers, *retry_headers(refusal))
    return Answer(status, encode(document), more, refusal.code)


def retry_headers(refusal: Refusal) -> Headers:
    """Return ``Retry-After`` where a refused call may be tried again (429 and 503)."""
    if ERRORS[refusal.code].status not in (_RATE_LIMITED_STATUS, _UNAVAILABLE_STATUS):
        return ()
    seconds = max(RETRY_AFTER_SECONDS, refusal.retry_after or 0)
    return ((b"retry-after", str(seconds).encode()),)


def as_refusal(error: ProtocolError | StoreUnavailable) -> Refusal:
    """Return the refusal that an expected exception of the layers below stands for."""
    if isinstance(error, StoreUnavailable):
        code = "store_unavailable"
        return Refusal(code, ERRORS[code].message, retry_after=RETRY_AFTER_SECONDS)
    return Refusal(error.code, error.message, error.details)
