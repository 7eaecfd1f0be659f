"""A small writer of DER (ITU-T X.690) for tests, which can also write what DER forbids.

Every function returns the octets of one element. Nothing is checked: an encoding is wrong where
its caller says so, and nowhere else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_attestation import der

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "TRUE",
    "boolean",
    "declared",
    "element",
    "enumerated",
    "explicit",
    "integer",
    "length",
    "nested",
    "null",
    "octet_string",
    "sequence",
    "set_of",
    "with_long_length",
]

TRUE: Final = 0xFF
"""The octet of TRUE in DER; some genuine devices write 0x01."""

_LONG_FORM: Final = 0x80
_HIGH_TAG: Final = 0x1F
_CONTEXT_CONSTRUCTED: Final = 0xA0
_SEVEN_BITS: Final = 0x7F


def length(size: int) -> bytes:
    """Return the shortest length octets for ``size`` octets of content."""
    if size < _LONG_FORM:
        return bytes([size])
    octets = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([_LONG_FORM | len(octets)]) + octets


def element(tag: int, content: bytes) -> bytes:
    """Return an element whose identifier is the one octet ``tag``."""
    return bytes([tag]) + length(len(content)) + content


def with_long_length(tag: int, content: bytes, octets: int) -> bytes:
    """Return an element whose length takes ``octets`` octets after the first: BER, not DER."""
    return bytes([tag, _LONG_FORM | octets]) + len(content).to_bytes(octets) + content


def declared(tag: int, size: int, content: bytes) -> bytes:
    """Return an element that says it has ``size`` octets of content, and has ``content``."""
    return bytes([tag]) + length(size) + content


def integer(value: int) -> bytes:
    """Return an INTEGER."""
    return element(der.INTEGER, value.to_bytes(_signed_size(value), signed=True))


def enumerated(value: int) -> bytes:
    """Return an ENUMERATED."""
    return element(der.ENUMERATED, value.to_bytes(_signed_size(value), signed=True))


def boolean(value: bool, *, true: int = TRUE) -> bytes:  # noqa: FBT001  # the value itself
    """Return a BOOLEAN; ``true`` is the octet that TRUE is written with."""
    return element(der.BOOLEAN, bytes([true if value else 0]))


def octet_string(content: bytes) -> bytes:
    """Return an OCTET STRING."""
    return element(der.OCTET_STRING, content)


def null() -> bytes:
    """Return a NULL."""
    return element(der.NULL, b"")


def sequence(*parts: bytes) -> bytes:
    """Return a SEQUENCE of elements that are encoded already."""
    return element(der.SEQUENCE, b"".join(parts))


def set_of(parts: Iterable[bytes]) -> bytes:
    """Return a SET OF, its elements in the ascending order that DER asks for."""
    return element(der.SET, b"".join(sorted(parts)))


def explicit(number: int, content: bytes) -> bytes:
    """Return ``[number] EXPLICIT`` around an element that is encoded already."""
    if number < _HIGH_TAG:
        return element(_CONTEXT_CONSTRUCTED | number, content)
    digits = [number & _SEVEN_BITS]
    while number := number >> 7:
        digits.append(_LONG_FORM | number & _SEVEN_BITS)
    identifier = bytes([_CONTEXT_CONSTRUCTED | _HIGH_TAG, *reversed(digits)])
    return identifier + length(len(content)) + content


def nested(depth: int) -> bytes:
    """Return ``depth`` SEQUENCEs, each the only content of the one around it."""
    encoded = b""
    for _ in range(depth):
        encoded = sequence(encoded)
    return encoded


def _signed_size(value: int) -> int:
    return (value if value >= 0 else ~value).bit_length() // 8 + 1
