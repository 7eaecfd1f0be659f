"""The Connect protocol, unary and JSON, as far as its server has a part in it.

https://connectrpc.com/docs/protocol: a call is a POST to ``/<service>/<method>`` whose body is
the message in proto3 JSON, alone or compressed; an error is ``{"code", "message"}`` under the HTTP
status that its code has there. What is wrong with a call as HTTP has the status of HTTP: 404 for
an unknown method, 405, and 415 for another content type or encoding (RFC 9110 §15.5.16).
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from quorumkey.errors import ERRORS
from quorumkey.protocol.limits import TXID_HEADER
from quorumkey_relay.api.answers import JSON_HEADERS, Answer, Headers, Refused, retry_headers
from quorumkey_relay.api.bodies import is_json, read_body
from quorumkey_relay.api.dialect import Dialect
from quorumkey_relay.api.inflating import InflatedTooLargeError, MalformedGzipError, gunzip
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive

SERVICE: Final = "quorumkey.mpa.v1.MultipartyApprovalService"
SERVICE_PREFIX: Final = f"/{SERVICE}/"
#: What the relay's own code for a refusal is, beside the wider one of Connect.
ERROR_HEADER: Final = b"x-quorumkey-error"

_NOT_FOUND_STATUS: Final = 404
_TXID_HEADER: Final = TXID_HEADER.encode()
_ACCEPT_POST: Final[Headers] = ((b"accept-post", b"application/json"),)
_ACCEPT_ENCODING: Final[Headers] = ((b"accept-encoding", b"gzip, identity"),)
# "Timeout-Milliseconds → {positive integer as ASCII string of at most 10 digits}".
_TIMEOUT: Final = re.compile(rb"[0-9]{1,10}")
_VERSION: Final = b"1"

#: HTTP status by code: connectrpc.com/docs/protocol#error-codes; those that the relay uses.
_STATUS: Final[Mapping[str, int]] = MappingProxyType(
    {
        "invalid_argument": 400,
        "failed_precondition": 400,
        "out_of_range": 400,
        "unauthenticated": 401,
        "permission_denied": 403,
        "not_found": 404,
        "already_exists": 409,
        "aborted": 409,
        "resource_exhausted": 429,
        "internal": 500,
        "unimplemented": 501,
        "unavailable": 503,
    }
)

#: What each of the relay's codes is called there.
CONNECT_CODES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "invalid_request": "invalid_argument",
        "invalid_json": "invalid_argument",
        "invalid_fingerprint": "invalid_argument",
        "invalid_public_key": "invalid_argument",
        "invalid_signature": "invalid_argument",
        "clock_skew": "invalid_argument",
        "wrong_code": "invalid_argument",
        "duplicate_approver": "invalid_argument",
        "attestation_rejected": "invalid_argument",
        "unauthorized": "unauthenticated",
        "forbidden": "permission_denied",
        "attestation_required": "permission_denied",
        "device_revoked": "permission_denied",
        "insufficient_assurance": "permission_denied",
        "requester_cannot_approve": "permission_denied",
        "not_found": "not_found",
        "unknown_device": "not_found",
        "pairing_not_found": "not_found",
        "method_not_allowed": "unimplemented",
        "not_acceptable": "invalid_argument",
        "payload_too_large": "resource_exhausted",
        "unsupported_media_type": "unimplemented",
        "already_decided": "failed_precondition",
        "request_completed": "failed_precondition",
        "idempotency_conflict": "aborted",
        "not_completed": "failed_precondition",
        "device_conflict": "already_exists",
        "failed_precondition": "failed_precondition",
        "approval_required": "failed_precondition",
        "nonce_expired": "failed_precondition",
        "pairing_expired": "failed_precondition",
        "cursor_expired": "out_of_range",
        "rate_limited": "resource_exhausted",
        "internal_error": "internal",
        "not_configured": "failed_precondition",
        "backend_failed": "unavailable",
        "store_unavailable": "unavailable",
    }
)
#: These say what is wrong with the call as HTTP, so they keep the status they have there.
_KEEP_STATUS: Final = frozenset({"method_not_allowed", "unsupported_media_type"})


class ConnectError(Struct, frozen=True):
    """The body of an error."""

    code: str
    message: str


def refuse(refusal: Refusal, headers: Headers = ()) -> Answer:
    """Return a refusal as Connect writes it; of a gated call with its transaction in a header."""
    code = CONNECT_CODES[refusal.code]
    status = ERRORS[refusal.code].status if refusal.code in _KEEP_STATUS else _STATUS[code]
    more = [*headers, *retry_headers(refusal)]
    txid = (refusal.details or {}).get("txid")
    if isinstance(txid, str):
        more.append((_TXID_HEADER, txid.encode()))
    return _error(status, code, refusal, tuple(more))


def no_such_method() -> Answer:
    """Return the answer to a call of a method that the service does not have."""
    refusal = Refusal("not_found", "This service has no such method.")
    return _error(_NOT_FOUND_STATUS, "unimplemented", refusal, ())


def txid_headers(txid: str | None) -> Headers:
    """Return the header that tells which approval a call ran under."""
    return () if txid is None else ((_TXID_HEADER, txid.encode()),)


async def read_message(
    headers: Mapping[bytes, bytes], receive: Receive, *, max_bytes: int
) -> bytes:
    """Return the message of a call, inflated; it has at most ``max_bytes`` either way.

    Raises:
        Refused: another content type, encoding or version of the protocol, or too many bytes.
        ClientGone: it never became complete.
    """
    if not is_json(headers):
        message = "Send application/json; this service has no other codec."
        raise Refused("unsupported_media_type", message, headers=_ACCEPT_POST)
    _check_protocol(headers)
    encoding = headers.get(b"content-encoding", b"identity").lower()
    if encoding not in (b"identity", b"gzip"):
        message = "This encoding is unknown; send gzip or identity."
        raise Refused("unsupported_media_type", message, headers=_ACCEPT_ENCODING)
    body = await read_body(headers, receive, max_bytes=max_bytes, check=None)
    if encoding == b"identity" or not body:
        return body
    try:
        return gunzip(body, max_bytes=max_bytes)
    except InflatedTooLargeError:
        message = f"The message may have at most {max_bytes} bytes, inflated."
        raise Refused("payload_too_large", message) from None
    except MalformedGzipError:
        raise Refused("invalid_request", "The message is not gzip, as it says.") from None


def _check_protocol(headers: Mapping[bytes, bytes]) -> None:
    """Check the headers of the protocol; both may be absent.

    The timeout is the client's own: no call of the service waits for anything but the disk.
    """
    if headers.get(b"connect-protocol-version", _VERSION) != _VERSION:
        raise Refused("invalid_request", "Connect-Protocol-Version must be 1.")
    timeout = headers.get(b"connect-timeout-ms")
    if timeout is not None and _TIMEOUT.fullmatch(timeout) is None:
        raise Refused("invalid_request", "Connect-Timeout-Ms must be at most 10 digits.")


CONNECT: Final = Dialect(read_message, refuse)


def _error(status: int, code: str, refusal: Refusal, headers: Headers) -> Answer:
    body = msgspec.json.encode(ConnectError(code, refusal.message))
    own_code = (ERROR_HEADER, refusal.code.encode())
    return Answer(status, body, (*JSON_HEADERS, own_code, *headers), refusal.code)
