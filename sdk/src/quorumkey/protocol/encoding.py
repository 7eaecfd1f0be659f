"""Strict text encodings of the protocol, section 2: base64, times and the text people see.

Each reader accepts exactly one spelling of a value, so nothing that was signed or compared can
be written in a second way.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, TypeAlias

from quorumkey.errors import ProtocolError

__all__ = [
    "JsonValue",
    "b64decode",
    "b64encode",
    "b64url_decode",
    "b64url_encode",
    "check_text",
    "check_time",
    "cut_text",
    "escape_text",
    "format_time",
    "json_equal",
    "parse_time",
]

#: A JSON value as the strict reader makes it: integers are the only numbers.
JsonValue: TypeAlias = "bool | int | str | list[JsonValue] | dict[str, JsonValue] | None"

# The functions themselves: looking them up again would be a good part of what a check costs.
_is_time: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z", re.ASCII
).fullmatch
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
# 0001-01-01T00:00:00Z and 9999-12-31T23:59:59Z.
_MIN_TIME: Final = -62_135_596_800
_MAX_TIME: Final = 253_402_300_799

# Categories Cc, Cs, Zl and Zp in full (Unicode keeps all four fixed), then the listed invisible
# and direction-changing characters of section 2.
_REFUSED: Final = re.compile(
    "[\\x00-\\x1f\\x7f-\\x9f\\ud800-\\udfff\\u2028\\u2029"
    "\\u061c\\u200b\\u200e\\u200f\\u202a-\\u202e\\u2060\\u2066-\\u2069\\ufeff]"
)


def b64encode(data: bytes) -> str:
    """Encode as standard base64 with padding (RFC 4648, section 4)."""
    return b2a_base64(data, newline=False).decode("ascii")


def b64decode(text: object, *, field: str, length: int | None = None) -> bytes:
    """Decode standard padded base64, accepting only what `b64encode` would have written.

    Args:
        text: the encoded value, as it came out of the JSON.
        field: the member's name, for the message.
        length: the exact number of bytes wanted, or None for any.

    Raises:
        ProtocolError: ``invalid_request``; not a string, not canonical base64, wrong length.
    """
    if type(text) is str:
        try:
            # Python's own check lets spare bits through ("YR=="), so encode again and compare.
            data = a2b_base64(text)
            if b2a_base64(data, newline=False) == text.encode("ascii"):
                if length is None or len(data) == length:
                    return data
                message = f"{field} must be {length} bytes in base64."
                raise ProtocolError("invalid_request", message)
        except ValueError:  # binascii.Error, and UnicodeError for what is not ASCII
            pass
    raise ProtocolError("invalid_request", f"{field} must be standard base64 with padding.")


def b64url_encode(data: bytes) -> str:
    """Encode as base64url without padding (RFC 4648, section 5)."""
    return b64encode(data).rstrip("=").replace("+", "-").replace("/", "_")


def b64url_decode(text: object, *, field: str, length: int | None = None) -> bytes:
    """Decode unpadded base64url, accepting only what `b64url_encode` would have written.

    Raises:
        ProtocolError: ``invalid_request``; not a string, not canonical, wrong length.
    """
    if type(text) is str:
        try:
            standard = text.replace("-", "+").replace("_", "/")
            data = a2b_base64(standard + "=" * (-len(text) % 4))
            if b64url_encode(data) == text:
                if length is None or len(data) == length:
                    return data
                message = f"{field} must be {length} bytes in base64url."
                raise ProtocolError("invalid_request", message)
        except ValueError:
            pass
    raise ProtocolError("invalid_request", f"{field} must be base64url without padding.")


def check_time(seconds: object, *, field: str) -> int:
    """Check that `seconds` since the epoch can be written as a time; answers them.

    Raises:
        ProtocolError: ``invalid_request``; not an int, or outside the years 1 to 9999.
    """
    if type(seconds) is int and _MIN_TIME <= seconds <= _MAX_TIME:
        return seconds
    message = f"{field} must be whole seconds in the years 1 to 9999."
    raise ProtocolError("invalid_request", message)


def format_time(seconds: int) -> str:
    """Write epoch seconds as RFC 3339 in UTC with ``Z`` and whole seconds.

    Raises:
        ProtocolError: ``invalid_request``; outside the years 1 to 9999.
    """
    return _written(check_time(seconds, field="A time"))


@lru_cache(maxsize=1_024)
def _written(seconds: int) -> str:
    """Write a time; the same few (now, and an end some minutes later) are written all the time."""
    moment = _EPOCH + timedelta(seconds=seconds)
    # isoformat() pads the year on every platform, which strftime("%Y") does not.
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def parse_time(text: object, *, field: str) -> int:
    """Read an RFC 3339 time in UTC with ``Z`` and whole seconds; answers epoch seconds.

    Raises:
        ProtocolError: ``invalid_request``; any other form, or a day that does not exist.
    """
    if type(text) is str and _is_time(text):
        try:
            return _read(text)
        except ValueError:
            pass
    message = f"{field} must be a time like 2026-04-24T10:35:42Z."
    raise ProtocolError("invalid_request", message)


@lru_cache(maxsize=1_024)
def _read(text: str) -> int:
    """Read a time in the right form; many devices say the same second."""
    return int(datetime.fromisoformat(text).timestamp())


def check_text(value: object, *, field: str, minimum: int, maximum: int) -> str:
    """Check text that people see; answers it unchanged.

    Section 2: no control characters, surrogates, line or paragraph separators, none of the
    listed invisible or direction-changing characters, no white space at either end.

    Args:
        value: the text, as it came out of the JSON.
        field: the member's name, for the message.
        minimum: the least number of code points.
        maximum: the greatest number of code points.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if type(value) is not str:
        raise ProtocolError("invalid_request", f"{field} must be a string.")
    if not minimum <= len(value) <= maximum:
        message = f"{field} must have {minimum} to {maximum} characters."
        raise ProtocolError("invalid_request", message)
    if not (value.isascii() and value.isprintable()) and _REFUSED.search(value):
        message = f"{field} must not have control, invisible or direction-changing characters."
        raise ProtocolError("invalid_request", message)
    if value != value.strip():
        message = f"{field} must not begin or end with white space."
        raise ProtocolError("invalid_request", message)
    return value


def escape_text(text: str) -> str:
    r"""Write every character that section 2 refuses in text people see as ``\uXXXX``."""
    return _REFUSED.sub(_escaped, text)


def cut_text(text: str, maximum: int) -> str:
    """At most `maximum` characters, ending in a mark where some were left out."""
    return text if len(text) <= maximum else text[: maximum - 1].rstrip() + "…"


def _escaped(match: re.Match[str]) -> str:
    return f"\\u{ord(match[0]):04x}"


def json_equal(one: JsonValue, other: JsonValue) -> bool:
    """Whether two JSON values are equal in type and value (section 5).

    ``1``, ``true`` and ``"1"`` are three values; member order does not matter, list order does.
    """
    if isinstance(one, dict):
        return (
            isinstance(other, dict)
            and one.keys() == other.keys()
            and all(json_equal(value, other[name]) for name, value in one.items())
        )
    if isinstance(one, list):
        return (
            isinstance(other, list) and len(one) == len(other) and all(map(json_equal, one, other))
        )
    return type(one) is type(other) and one == other
