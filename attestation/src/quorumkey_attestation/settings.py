"""Tables of settings: read strictly by a list of known keys, and written as TOML.

A policy file decides what is trusted, so nothing in one is passed over: an unknown key, a value of
another type and a value outside its closed list are errors that name the key and the file.
"""

from __future__ import annotations

import base64
import binascii
import json
import tomllib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar, cast

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import IntEnum

__all__ = [
    "MAX_POLICY_BYTES",
    "PolicyFileError",
    "Reader",
    "UnsuitableError",
    "base64_bytes",
    "boolean",
    "choice",
    "digests_by_name",
    "hex_bytes",
    "integer",
    "member",
    "moment",
    "parse_toml",
    "read_table",
    "seconds",
    "set_of",
    "signed_integer",
    "text",
    "texts",
    "write_toml",
]

MAX_POLICY_BYTES: Final = 65_536  # bytes of one policy file

Reader: TypeAlias = "Callable[[object], object]"
"""Gives the value that a setting stands for, or raises UnsuitableError saying what it has to be."""

_T = TypeVar("_T")
_E = TypeVar("_E", bound="IntEnum")


class UnsuitableError(ValueError):
    """A value is not what it has to be; the message says, in a few words, what that is."""


class PolicyFileError(ValueError):
    """A policy cannot be used as it is written; the message names the key and the file."""


def parse_toml(data: bytes, where: str) -> Mapping[str, object]:
    """Return the table that a policy file holds.

    Args:
        data: the file's bytes, TOML 1.0 in UTF-8.
        where: the file's name, for the messages.

    Raises:
        PolicyFileError: it is too large, or no TOML.
    """
    if len(data) > MAX_POLICY_BYTES:
        raise PolicyFileError(f"{where}: more than {MAX_POLICY_BYTES} bytes")
    try:
        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        raise PolicyFileError(f"{where}: not TOML: {error}") from None


def read_table(
    table: object, known: Mapping[str, Reader], where: str, *, required: Sequence[str] = ()
) -> dict[str, object]:
    """Return the values of a table of settings, those that are absent left out.

    Args:
        table: what stands in the place of the table.
        known: every key that may occur, and how its value is read.
        where: the file, and the table's name in it, for the messages.
        required: keys that have to be there.

    Raises:
        PolicyFileError: a key is unknown or missing, or a value is not what it has to be.
    """
    if not isinstance(table, Mapping):
        raise PolicyFileError(f"{where}: a table is expected")
    members = cast("Mapping[str, object]", table)
    for key in members:
        if key not in known:
            names = ", ".join(sorted(known))
            raise PolicyFileError(f"{where}: unknown key {key!r}; known are {names}")
    for key in required:
        if key not in members:
            raise PolicyFileError(f"{where}: {key} is missing")
    values: dict[str, object] = {}
    for key, value in members.items():
        try:
            values[key] = known[key](value)
        except UnsuitableError as error:
            raise PolicyFileError(f"{where}: {key} must be {error}") from None
    return values


def text(value: object) -> str:
    """Read a string."""
    if not isinstance(value, str):
        raise UnsuitableError("a string")
    return value


def boolean(value: object) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise UnsuitableError("true or false")
    return value


def integer(value: object) -> int:
    """Read an integer that is not negative."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise UnsuitableError("an integer that is not negative")
    return value


def signed_integer(value: object) -> int:
    """Read an integer."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise UnsuitableError("an integer")
    return value


def seconds(value: object) -> timedelta:
    """Read a number of seconds."""
    try:
        return timedelta(seconds=integer(value))
    except (UnsuitableError, OverflowError):
        raise UnsuitableError("a number of seconds") from None


def hex_bytes(value: object) -> bytes:
    """Read bytes written as lower-case hex."""
    try:
        data = bytes.fromhex(text(value))
    except ValueError:
        data = None
    if data is None or data.hex() != value:
        raise UnsuitableError("lower-case hex")
    return data


def base64_bytes(value: object) -> bytes:
    """Read bytes written as base64 or base64url, padded or not."""
    try:
        compact = text(value).replace("-", "+").replace("_", "/").rstrip("=")
        return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
    except (ValueError, binascii.Error):
        raise UnsuitableError("base64") from None


def moment(value: object) -> datetime:
    """Read a date and time with its offset: TOML's own type, or a string as of RFC 3339."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            value = None
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise UnsuitableError("a time with its offset, such as 2026-06-01T12:00:00Z")
    return value.astimezone(UTC)


def choice(*allowed: str) -> Callable[[object], str]:
    """Return a reader of one of ``allowed``."""

    def read(value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise UnsuitableError("one of " + ", ".join(f'"{each}"' for each in allowed))
        return value

    return read


def member(kind: type[_E]) -> Callable[[object], _E]:
    """Return a reader of a member of ``kind`` by its name in lower case."""
    read_name = choice(*(each.name.lower() for each in kind))

    def read(value: object) -> _E:
        return kind[read_name(value).upper()]

    return read


def texts(value: object) -> tuple[str, ...]:
    """Read an array of strings; their order counts."""
    return _items(value, text)


def set_of(read: Callable[[object], _T]) -> Callable[[object], frozenset[_T]]:
    """Return a reader of an array whose items ``read`` reads; their order does not count."""

    def read_all(value: object) -> frozenset[_T]:
        return frozenset(_items(value, read))

    return read_all


def digests_by_name(value: object) -> Mapping[str, frozenset[bytes]]:
    """Read a table of names, each with an array of SHA-256 digests in hex."""
    if not isinstance(value, Mapping):
        raise UnsuitableError("a table: package name = array of SHA-256 digests in hex")
    table = cast("Mapping[str, object]", value)
    return {name: set_of(hex_bytes)(digests) for name, digests in table.items()}


def _items(value: object, read: Callable[[object], _T]) -> tuple[_T, ...]:
    if not isinstance(value, list | tuple):
        raise UnsuitableError("an array")
    try:
        return tuple(read(item) for item in cast("Sequence[object]", value))
    except UnsuitableError as error:
        raise UnsuitableError(f"an array, each item {error}") from None


def write_toml(table: Mapping[str, object]) -> str:
    """Return ``table`` as TOML: values first, then the tables in it, in the order given.

    Args:
        table: strings, integers, booleans, aware datetimes, arrays of them, and tables.

    Raises:
        TypeError: a value is something else.
    """
    return "\n\n".join(_sections(table, ())) + "\n"


def _sections(table: Mapping[str, object], path: tuple[str, ...]) -> list[str]:
    lines = [f"[{'.'.join(_key(part) for part in path)}]"] if path else []
    sections: list[str] = []
    for key, value in table.items():
        if isinstance(value, Mapping):
            sections += _sections(cast("Mapping[str, object]", value), (*path, key))
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    return ["\n".join(lines), *sections] if lines else sections


def _key(key: str) -> str:
    bare = key.isascii() and key.replace("_", "").replace("-", "").isalnum()
    return key if bare else _value(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, str):
        # A JSON string is a TOML basic string, but for the one control character JSON lets stand.
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, datetime):
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, list | tuple | frozenset):
        items = [_value(item) for item in cast("Sequence[object]", value)]
        return f"[{', '.join(sorted(items) if isinstance(value, frozenset) else items)}]"
    raise TypeError(f"no TOML for {type(value).__name__}")
