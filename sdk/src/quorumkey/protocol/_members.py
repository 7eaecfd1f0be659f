"""Reading the members of a decoded JSON object strictly.

Each reader takes what `quorumkey.protocol.strict_json.loads` made and answers the typed value or
raises `ProtocolError` ``invalid_request`` naming the member. JSON ``null`` is no value anywhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from quorumkey.errors import ProtocolError
from quorumkey.protocol.encoding import b64decode, check_text
from quorumkey.protocol.limits import (
    MAX_ID_CHARS,
    MAX_NAME_CHARS,
    MIN_ID_CHARS,
    MIN_NAME_CHARS,
    NONCE_BYTES,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol.encoding import JsonValue

Members: TypeAlias = "dict[str, JsonValue]"
_Choice = TypeVar("_Choice", bound=str)

_is_fingerprint: Final = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch
_is_digest: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII).fullmatch


def refuse(message: str) -> ProtocolError:
    """An ``invalid_request`` with this message."""
    return ProtocolError("invalid_request", message)


def members_of(
    value: JsonValue, *, field: str, required: frozenset[str], allowed: frozenset[str]
) -> Members:
    """Check that `value` is an object with every required and only allowed members, none null."""
    if not isinstance(value, dict):
        message = f"{field} must be a JSON object."
        raise refuse(message)
    names = value.keys()
    # Most objects have the required members and no other, and equality is the faster question.
    if names != required and not required <= names <= allowed:
        missing = sorted(required - names)
        message = (
            f"{field} must have the member {missing[0]}."
            if missing
            else f"{field} has a member the protocol does not know."
        )
        raise refuse(message)
    if None in value.values():
        message = f"{field} has a member that is null; leave it out instead."
        raise refuse(message)
    return value


def text_of(value: object, *, field: str) -> str:
    """A string, whatever is in it."""
    if type(value) is str:
        return value
    message = f"{field} must be a string."
    raise refuse(message)


def integer_of(value: object, *, field: str) -> int:
    """An integer; True and False are none."""
    if type(value) is int:
        return value
    message = f"{field} must be an integer."
    raise refuse(message)


def flag_of(value: object, *, field: str) -> bool:
    """True or false."""
    if type(value) is bool:
        return value
    message = f"{field} must be true or false."
    raise refuse(message)


def list_of(value: JsonValue, *, field: str) -> list[JsonValue]:
    """A JSON array."""
    if isinstance(value, list):
        return value
    message = f"{field} must be a JSON array."
    raise refuse(message)


def object_of(value: JsonValue, *, field: str) -> Members:
    """A JSON object with any members."""
    if isinstance(value, dict):
        return value
    message = f"{field} must be a JSON object."
    raise refuse(message)


def choice_of(value: object, choices: Mapping[str, _Choice], *, field: str) -> _Choice:
    """One of the named values of a closed list."""
    if type(value) is str and value in choices:
        return choices[value]
    message = f"{field} must be one of {', '.join(choices)}."
    raise refuse(message)


def fingerprint_in(value: object, *, field: str) -> str:
    """A fingerprint inside a signed document: 64 lower-case hex digits."""
    if type(value) is str and _is_fingerprint(value):
        return value
    message = f"{field} must be 64 lower-case hex digits."
    raise refuse(message)


def digest_in(value: object, *, field: str) -> str:
    """A digest: ``sha256:`` and 64 lower-case hex digits."""
    if type(value) is str and _is_digest(value):
        return value
    message = f"{field} must be sha256: and 64 lower-case hex digits."
    raise refuse(message)


def nonce_in(value: object, *, field: str = "nonce") -> str:
    """A nonce: 32 bytes in base64."""
    b64decode(value, field=field, length=NONCE_BYTES)
    return text_of(value, field=field)


def name_in(value: object, *, field: str) -> str:
    """A name people see: 1 to 80 characters."""
    return check_text(value, field=field, minimum=MIN_NAME_CHARS, maximum=MAX_NAME_CHARS)


def id_in(value: object, *, field: str) -> str:
    """An id of an approver, requester or integrator: 1 to 128 characters, compared exactly."""
    return check_text(value, field=field, minimum=MIN_ID_CHARS, maximum=MAX_ID_CHARS)
