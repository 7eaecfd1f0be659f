"""Write CBOR (RFC 8949) for test evidence, and the encodings that a strict reader has to refuse."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BREAK",
    "Encodable",
    "Encoded",
    "array_head",
    "encode",
    "encode_float",
    "encode_head",
    "encode_indefinite",
    "encode_pairs",
    "encode_simple",
    "encode_tagged",
]

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FIRST_LONG_FORM: Final = 24  # smaller arguments stand in the initial byte itself
_INDEFINITE: Final = 31
_FALSE: Final = 20
_TRUE: Final = 21
_DOUBLE: Final = 27

BREAK: Final = b"\xff"
"""What ends an item of indefinite length."""


class Encoded(NamedTuple):
    """An item that is encoded already, well or not.

    Attributes:
        octets: its encoding.
    """

    octets: bytes


Encodable: TypeAlias = (
    int
    | str
    | bytes
    | Encoded
    | Sequence["Encodable"]
    | Mapping[int, "Encodable"]
    | Mapping[str, "Encodable"]
)


def encode_head(major: int, argument: int, *, octets: int | None = None) -> bytes:
    """Return an item's initial byte and argument (RFC 8949 section 3).

    Args:
        major: the major type, 0 to 7.
        argument: the value, length, count or tag number.
        octets: how many octets the argument takes after the initial byte: 0, 1, 2, 4 or 8. By
            default as few as possible; more is what a strict reader refuses.
    """
    if octets is None:
        octets = 0 if argument < _FIRST_LONG_FORM else 1
        while octets and argument >= 1 << 8 * octets:
            octets *= 2
    short = argument if octets == 0 else _FIRST_LONG_FORM + octets.bit_length() - 1
    return bytes([major << 5 | short]) + (argument.to_bytes(octets) if octets else b"")


def encode(value: Encodable) -> bytes:  # noqa: PLR0911  # one return for each major type
    """Return the deterministic encoding of ``value``; a map keeps the order of its members."""
    if isinstance(value, Encoded):
        return value.octets
    if isinstance(value, bool):
        return encode_simple(_TRUE if value else _FALSE)
    if isinstance(value, int):
        return encode_head(_UNSIGNED, value) if value >= 0 else encode_head(_NEGATIVE, -1 - value)
    if isinstance(value, bytes):
        return encode_head(_BYTES, len(value)) + value
    if isinstance(value, str):
        text = value.encode()
        return encode_head(_TEXT, len(text)) + text
    if isinstance(value, Mapping):
        return encode_pairs(value.items())
    return array_head(len(value)) + b"".join(encode(item) for item in value)


def array_head(count: int) -> bytes:
    """Return what stands before the ``count`` items of an array."""
    return encode_head(_ARRAY, count)


def encode_pairs(pairs: Iterable[tuple[Encodable, Encodable]]) -> bytes:
    """Return a map with these members, in this order, a key twice if it comes twice."""
    members = [encode(key) + encode(value) for key, value in pairs]
    return encode_head(_MAP, len(members)) + b"".join(members)


def encode_indefinite(
    value: bytes | str | Sequence[Encodable] | Mapping[str, Encodable],
) -> bytes:
    """Return ``value`` as an item of indefinite length; a string becomes a single chunk."""
    if isinstance(value, bytes | str):
        major, content = (_BYTES if isinstance(value, bytes) else _TEXT), encode(value)
    elif isinstance(value, Mapping):
        major = _MAP
        content = b"".join(encode(key) + encode(each) for key, each in value.items())
    else:
        major, content = _ARRAY, b"".join(encode(item) for item in value)
    return bytes([major << 5 | _INDEFINITE]) + content + BREAK


def encode_tagged(number: int, value: Encodable) -> bytes:
    """Return ``value`` behind the tag ``number``."""
    return encode_head(_TAG, number) + encode(value)


def encode_simple(value: int) -> bytes:
    """Return a simple value, 0 to 23: 20 is false, 21 true, 22 null, 23 undefined."""
    return encode_head(_SIMPLE, value)


def encode_float(value: float) -> bytes:
    """Return ``value`` as a double-precision float."""
    return bytes([_SIMPLE << 5 | _DOUBLE]) + struct.pack(">d", value)
