"""Reading the members of a decoded JSON object strictly.

Each reader takes what `quorumkey.protocol.strict_json.loads` made and answers the typed value or
raises `ProtocolError` ``invalid_request`` naming the member. JSON ``null`` is no value anywhere.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.errors import ProtocolError
from quorumkey.protocol.encoding import JsonValue, b64decode, check_text
from quorumkey.protocol.limits import (
    MAX_ID_CHARS,
    MAX_NAME_CHARS,
    MIN_ID_CHARS,
    MIN_NAME_CHARS,
    NONCE_BYTES,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Members = dict[str, JsonValue]
_Choice = TypeVar("_Choice", bound=str)

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)


def refuse(message: str) -> ProtocolError:
    """An ``invalid_request`` with this message."""
    return ProtocolError("invalid_request", message)


def members_of(
    value: object, *, field: str, required: Collection[str], allowed: frozenset[str]
) -> Members:
    """Check that `value` is an object with every required and only allowed members."""
    if not isinstance(value, dict):
        message = f"{field} must be a JSON object."
        raise refuse(message)
    members: Members = value
    for name in required:
        if name not in members:
            message = f"{field} must have the member {name}."
            raise refuse(message)
    if not members.keys() <= allowed:
        message = f"{field} has a member the protocol does not know."
        raise refuse(message)
    return members


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


def list_of(value: object, *, field: str) -> list[JsonValue]:
    """A JSON array."""
    if isinstance(value, list):
        items: list[JsonValue] = value
        return items
    message = f"{field} must be a JSON array."
    raise refuse(message)


def object_of(value: object, *, field: str) -> Members:
    """A JSON object with any members."""
    if isinstance(value, dict):
        members: Members = value
        return members
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
    if type(value) is str and _FINGERPRINT.fullmatch(value):
        return value
    message = f"{field} must be 64 lower-case hex digits."
    raise refuse(message)


def digest_in(value: object, *, field: str) -> str:
    """A digest: ``sha256:`` and 64 lower-case hex digits."""
    if type(value) is str and _DIGEST.fullmatch(value):
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
