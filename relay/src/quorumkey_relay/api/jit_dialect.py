"""How calls of just-in-time access are read and refused: ``/jit/api``.

Every call but the one that answers old pages has the header ``X-JITACCESS: 1``. No page of another
origin can send it without asking first, and the relay never agrees, so a browser's session cookie
alone moves nothing. A refusal is ``{"code", "message"}`` beside the relay's usual headers.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from msgspec import UNSET, Struct, UnsetType

from quorumkey.errors import ERRORS
from quorumkey_relay.api.answers import JSON_HEADERS, Answer, Headers, Refused, encode
from quorumkey_relay.api.answers import retry_headers as _retry_headers
from quorumkey_relay.api.bodies import read_body
from quorumkey_relay.api.dialect import Dialect

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

    from quorumkey_relay.domain.refusal import Refusal

API_PATH: Final = "/jit/api"
#: The header that only the relay's own page and programs send.
CALL_HEADER: Final = "X-JITACCESS"

_CALL_HEADER: Final = CALL_HEADER.lower().encode()
_CALL_HEADER_VALUE: Final = b"1"
#: Codes that have another status here: what the caller chose does not go with how things stand.
_STATUS: Final[Mapping[str, int]] = MappingProxyType({"failed_precondition": 400})
_MAX_ACCEPT_BYTES: Final = 4_096

#: Media ranges that take JSON, the closest first (RFC 9110 §12.5.1).
_RANGES: Final = (b"application/json", b"application/*", b"*/*")


class JitErrorDocument(Struct, frozen=True):
    """The body of a refusal; ``message`` is a sentence a person can act on."""

    code: str
    message: str
    details: dict[str, Any] | UnsetType = UNSET  # any JSON


def status_of(code: str) -> int:
    """Return the HTTP status of a refusal."""
    return _STATUS.get(code, ERRORS[code].status)


def refuse(refusal: Refusal, headers: Headers = ()) -> Answer:
    """Return a refusal as these calls write it."""
    document = JitErrorDocument(
        refusal.code, refusal.message, dict(refusal.details) if refusal.details else UNSET
    )
    more = (*JSON_HEADERS, *headers, *_retry_headers(refusal))
    return Answer(status_of(refusal.code), encode(document), more, refusal.code)


async def read_any(headers: Mapping[bytes, bytes], receive: Receive, *, max_bytes: int) -> bytes:
    """Return the body of a call that needs no header of its own."""
    if not accepts_json(headers.get(b"accept", b"")):
        raise Refused("not_acceptable")
    return await read_body(headers, receive, max_bytes=max_bytes)


async def read_call(headers: Mapping[bytes, bytes], receive: Receive, *, max_bytes: int) -> bytes:
    """Return the body of a call that says that it comes from the relay's page or a program.

    Raises:
        Refused: it does not say so, or accepts no JSON, or has too large or another body.
        ClientGone: it never became complete.
    """
    if headers.get(_CALL_HEADER) != _CALL_HEADER_VALUE:
        raise Refused("invalid_request", f"Send the header {CALL_HEADER}: 1.")
    return await read_any(headers, receive, max_bytes=max_bytes)


def accepts_json(accept: bytes) -> bool:
    """Say whether a caller that sent this ``Accept`` takes JSON."""
    if not accept.strip():
        return True
    weights: dict[bytes, bool] = {}
    for item in accept[:_MAX_ACCEPT_BYTES].lower().split(b","):
        kind, *parameters = (part.strip() for part in item.split(b";"))
        weights[kind] = not any(map(_is_refusal, parameters))
    return next((weights[kind] for kind in _RANGES if kind in weights), False)


def _is_refusal(parameter: bytes) -> bool:
    """Say whether a parameter is the weight 0, with which a caller refuses what it names."""
    name, _, value = parameter.partition(b"=")
    return name.strip() == b"q" and value.strip(b" 0.") == b"" and b"0" in value


JIT: Final = Dialect(read_call, refuse, JitErrorDocument, status_of)
#: The same without the header: for those who cannot know of it.
JIT_ANYONE: Final = Dialect(read_any, refuse, JitErrorDocument, status_of)
