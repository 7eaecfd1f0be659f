"""Reading bodies: bounded while they arrive, strict when they are parsed (PROTOCOL §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import msgspec
from msgspec import Struct

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Envelope, JsonValue, parse_envelope, strict_json
from quorumkey.protocol.limits import MAX_BODY_BYTES
from quorumkey_relay.api.answers import Refused
from quorumkey_relay.usecases.commands import AttestationBody, EnrollBody, EnvelopeBody

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.types import Receive

B = TypeVar("B")
S = TypeVar("S", bound=Struct)
B_co = TypeVar("B_co", covariant=True)

_JSON: Final = b"application/json"
_ENVELOPE_ONLY: Final = frozenset({"envelope"})
_ENROLL_MEMBERS: Final = frozenset({"envelope", "push", "attestation"})


class ClientGone(Exception):  # noqa: N818 - nothing went wrong here
    """The client left before its body was complete; there is nobody to answer."""


@dataclass(frozen=True, slots=True)
class Body(Generic[B_co]):
    """What a call's body must be: ``read`` makes the value, ``document`` describes it."""

    read: Callable[[bytes], B_co]
    document: type[Struct] | None
    max_bytes: int


@dataclass(frozen=True, slots=True)
class Enrolment:
    """The parts of ``POST /v1/device/enroll``."""

    envelope: Envelope
    push: Envelope | None
    attestation: AttestationBody | None


def is_json(headers: Mapping[bytes, bytes]) -> bool:
    """Say whether a body is ``application/json``, optionally with ``charset=utf-8``."""
    given = headers.get(b"content-type", b"")
    if given == _JSON:
        return True
    kind, _, parameter = given.lower().partition(b";")
    charset = parameter.replace(b'"', b"").strip()
    return kind.strip() == _JSON and charset in (b"", b"charset=utf-8")


def check_media_type(headers: Mapping[bytes, bytes]) -> None:
    """Accept JSON, and no encoding of it; raises Refused with ``unsupported_media_type``."""
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Refused("unsupported_media_type", "The body must not be compressed.")
    if not is_json(headers):
        raise Refused("unsupported_media_type")


async def read_body(
    headers: Mapping[bytes, bytes],
    receive: Receive,
    *,
    max_bytes: int,
    check: Callable[[Mapping[bytes, bytes]], None] | None = check_media_type,
) -> bytes:
    """Return the whole body of a call.

    Raises Refused with ``payload_too_large`` as soon as it is known to be longer than
    ``max_bytes``, then what ``check`` finds in the headers of one that is not empty; ClientGone
    when it never became complete.
    """
    announced = headers.get(b"content-length")
    if announced is None:
        if b"transfer-encoding" not in headers:
            return b""
    elif announced == b"0":
        return b""
    elif not announced.isdigit() or int(announced[:20]) > max_bytes:
        raise _too_large(max_bytes)
    message = await receive()
    body: bytes = message.get("body", b"")
    if message.get("more_body"):
        body = await _read_on(body, receive, max_bytes=max_bytes)
    elif message["type"] == "http.disconnect":
        raise ClientGone
    if len(body) > max_bytes:
        raise _too_large(max_bytes)
    if body and check is not None:
        check(headers)
    return body


async def _read_on(start: bytes, receive: Receive, *, max_bytes: int) -> bytes:
    parts = [start]
    size = len(start)
    while size <= max_bytes:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        part: bytes = message.get("body", b"")
        parts.append(part)
        size += len(part)
        if not message.get("more_body"):
            break
    return b"".join(parts)


def _too_large(max_bytes: int) -> Refused:
    return Refused("payload_too_large", f"The body may have at most {max_bytes} bytes.")


def _parse(body: bytes, *, max_bytes: int) -> JsonValue:
    return strict_json.loads(body, max_bytes=max_bytes)


def _members(body: bytes, allowed: frozenset[str], *, max_bytes: int) -> dict[str, JsonValue]:
    """Return the members of an object that has an ``envelope`` and nothing beside ``allowed``."""
    value = _parse(body, max_bytes=max_bytes)
    if not isinstance(value, dict):
        raise ProtocolError("invalid_request", "The body must be a JSON object.")
    if not value.keys() <= allowed:
        unknown = min(value.keys() - allowed)[:64]
        raise ProtocolError("invalid_request", f"The body has an unknown member {unknown!r}.")
    if "envelope" not in value:
        raise ProtocolError("invalid_request", "The body lacks its member 'envelope'.")
    return value


def _convert(value: JsonValue, kind: type[S]) -> S:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        raise ProtocolError("invalid_request", f"The body is not valid: {error}.") from None


def structured(kind: type[S], *, max_bytes: int = MAX_BODY_BYTES) -> Body[S]:
    """Return the body that is one object of ``kind``."""

    def read(body: bytes) -> S:
        return _convert(_parse(body, max_bytes=max_bytes), kind)

    return Body(read, kind, max_bytes)


def _read_envelope(body: bytes) -> Envelope:
    return parse_envelope(_members(body, _ENVELOPE_ONLY, max_bytes=MAX_BODY_BYTES)["envelope"])


def _read_enrolment(body: bytes) -> Enrolment:
    members = _members(body, _ENROLL_MEMBERS, max_bytes=MAX_BODY_BYTES)
    envelope = parse_envelope(members["envelope"])
    push = parse_envelope(members["push"], field="push") if "push" in members else None
    attestation = (
        _convert(members["attestation"], AttestationBody) if "attestation" in members else None
    )
    return Enrolment(envelope, push, attestation)


def _read_nothing(body: bytes) -> None:
    if body and _parse(body, max_bytes=MAX_BODY_BYTES) != {}:
        raise ProtocolError("invalid_request", "This call takes no body, or an empty object.")


#: ``{"envelope": …}``, read by the kernel alone.
ENVELOPE: Final[Body[Envelope]] = Body(_read_envelope, EnvelopeBody, MAX_BODY_BYTES)
ENROLMENT: Final[Body[Enrolment]] = Body(_read_enrolment, EnrollBody, MAX_BODY_BYTES)
#: No body, or ``{}``.
NO_BODY: Final[Body[None]] = Body(_read_nothing, None, MAX_BODY_BYTES)
