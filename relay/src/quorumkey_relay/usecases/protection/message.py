"""A call's request as the relay keeps it: the digest of its one spelling, and what is seen of it.

The digest is what a call that is issued again must share (B10, B11), and what approvers sign.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from quorumkey.errors import ProtocolError
from quorumkey.protocol import b64decode, canonical_json, check_text, limits, request_binding

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import JsonValue
    from quorumkey_relay.domain.transactions import Caller
    from quorumkey_relay.usecases.protection.commands import MessageBody

_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_DIGEST_PREFIX: Final = "sha256:"
_DIGEST_CHARS: Final = 64
#: What is too large to be sent has at most a size that a JSON number can say.
_MAX_SIZE: Final = limits.MAX_SAFE_INTEGER
_FORMS: Final = "request: give one of json, protobuf with its view, and digest with its size."


class Message:
    """A request: its digest is ``sha256:…`` of its canonical bytes, its size how many they are.

    ``view`` is what conditions and approvers see of it; ``is_seen`` False where only the digest is
    known, so that no condition can be evaluated. The canonical form of JSON is made when it is
    asked for: a call whose condition is false has no need of it.
    """

    __slots__ = ("_bound", "is_seen", "view")

    def __init__(
        self, view: JsonValue, *, bound: tuple[str, int] | None = None, is_seen: bool = True
    ) -> None:
        """Take what can be seen of a request; ``bound`` is digest and size where they are known."""
        self.view = view
        self.is_seen = is_seen
        self._bound = bound

    @property
    def digest(self) -> str:
        """Return the digest of the canonical form.

        Raises:
            ProtocolError: there is none: a number that is no integer, or more than 64 KiB.
        """
        return self._canonical()[0]

    @property
    def size(self) -> int:
        """Return the bytes of the canonical form; raises as `digest`."""
        return self._canonical()[1]

    def _canonical(self) -> tuple[str, int]:
        if self._bound is None:
            canonical = canonical_json(self.view)
            if len(canonical) > limits.MAX_REQUEST_VIEW_BYTES:
                raise _too_large("request.json", "send its digest and size instead")
            self._bound = (request_binding(canonical), len(canonical))
        return self._bound


def message_of(value: JsonValue) -> Message:
    """Return a request that is JSON."""
    return Message(value)


def read_message(body: MessageBody) -> Message:
    """Return the request of a body.

    Raises:
        ProtocolError: not exactly one of the three forms, or a form that is malformed.
    """
    given = (body.json is not UNSET, body.protobuf is not UNSET, body.digest is not UNSET)
    if sum(given) != 1:
        raise ProtocolError("invalid_request", _FORMS)
    if (body.view is not UNSET) != given[1] or (body.size is not UNSET) != given[2]:
        raise ProtocolError("invalid_request", _FORMS)
    if not isinstance(body.protobuf, UnsetType):
        return _read_protobuf(body.protobuf, body.view)
    if not isinstance(body.digest, UnsetType):
        return _read_digest(body.digest, body.size)
    return message_of(body.json)


def _read_protobuf(text: str, view: dict[str, JsonValue] | UnsetType) -> Message:
    canonical = b64decode(text, field="request.protobuf")
    if len(canonical) > limits.MAX_REQUEST_VIEW_BYTES:
        raise _too_large("request.protobuf", "send its digest and size instead")
    shown = {} if isinstance(view, UnsetType) else view
    if len(canonical_json(shown)) > limits.MAX_REQUEST_VIEW_BYTES:
        raise _too_large("request.view", "send the request's digest and size instead")
    return Message(shown, bound=(request_binding(canonical), len(canonical)))


def _read_digest(digest: str, size: int | UnsetType) -> Message:
    if not is_digest(digest):
        raise ProtocolError("invalid_request", "request.digest must be sha256: and 64 hex digits.")
    if isinstance(size, UnsetType) or not 0 <= size <= _MAX_SIZE:
        raise ProtocolError("invalid_request", "request.size must be a number of bytes.")
    return Message(None, bound=(digest, size), is_seen=False)


def is_digest(text: str) -> bool:
    """Say whether a text is ``sha256:`` and 64 lower-case hex digits."""
    digits = text.removeprefix(_DIGEST_PREFIX)
    return (
        len(digits) == _DIGEST_CHARS
        and len(text) == len(_DIGEST_PREFIX) + _DIGEST_CHARS
        and _HEX_DIGITS.issuperset(digits)
    )


def resource_text(resource: Mapping[str, JsonValue] | None, *, failed: bool) -> str:
    """Return the digest of what a call acts on; another text where that is not there.

    Raises:
        ProtocolError: as for a request that is JSON, or for one that was found and was not.
    """
    if resource is None:
        return "failed" if failed else ""
    if failed:
        message = "resource must be absent where resource_failed says that it was not found."
        raise ProtocolError("invalid_request", message)
    canonical = canonical_json(dict(resource))
    if len(canonical) > limits.MAX_REQUEST_VIEW_BYTES:
        raise _too_large("resource", "have the resolver return what conditions need, no more")
    return request_binding(canonical)


def match_key(method: str, caller: Caller, request_digest: str, resource: str) -> bytes:
    """Return what the same call issued again shares with the one that was approved (B10).

    ``resource`` is its digest, or says that there is none: approvers signed that too. Each part
    is preceded by its length, so no two calls have one encoding.
    """
    hashed = hashlib.sha256(b"quorumkey match v1")
    for part in (method, caller.kind, caller.id, request_digest, resource):
        encoded = part.encode()
        hashed.update(len(encoded).to_bytes(8))
        hashed.update(encoded)
    return hashed.digest()


def claim_key_digest(claim_key: str) -> bytes:
    """Return the SHA-256 of a claim key.

    Raises:
        ProtocolError: as `check_claim_key`.
    """
    check_claim_key(claim_key)
    return hashlib.sha256(claim_key.encode()).digest()


def check_claim_key(claim_key: str) -> None:
    """Check a claim key.

    Raises:
        ProtocolError: it is not 16 to 255 printable ASCII characters.
    """
    fits = limits.MIN_CLAIM_KEY_CHARS <= len(claim_key) <= limits.MAX_CLAIM_KEY_CHARS
    if not (fits and claim_key.isascii() and claim_key.isprintable()):
        message = (
            f"claim_key must be {limits.MIN_CLAIM_KEY_CHARS} to {limits.MAX_CLAIM_KEY_CHARS}"
            " printable ASCII characters."
        )
        raise ProtocolError("invalid_request", message)


def check_caller(caller: Caller) -> None:
    """Check the texts of a caller.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    check_text(
        caller.id, field="caller.id", minimum=limits.MIN_ID_CHARS, maximum=limits.MAX_ID_CHARS
    )
    if caller.name is not None:
        check_text(
            caller.name,
            field="caller.name",
            minimum=limits.MIN_NAME_CHARS,
            maximum=limits.MAX_NAME_CHARS,
        )


def check_method(method: str) -> None:
    """Check the text of a method's name.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    check_text(method, field="method", minimum=1, maximum=limits.MAX_METHOD_NAME_CHARS)


def _too_large(what: str, advice: str) -> ProtocolError:
    message = f"{what} has more than {limits.MAX_REQUEST_VIEW_BYTES} bytes; {advice}."
    return ProtocolError("invalid_request", message)
