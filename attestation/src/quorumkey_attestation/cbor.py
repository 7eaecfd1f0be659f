"""A strict reader for the small part of CBOR (RFC 8949) that attestation evidence is made of.

Integers, byte and text strings, arrays, maps, false and true, in the deterministic encoding of
section 4.2.1 except for the order of map keys, which Apple's own objects do not keep. Anything else
is refused: the general decoders accept duplicate keys, trailing bytes, tags and longer forms.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.audit import Audit

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_ITEMS", "CborKey", "CborValue", "decode", "decode_first"]

CborKey: TypeAlias = int | str | bytes
CborValue: TypeAlias = int | str | bytes | bool | list["CborValue"] | dict[CborKey, "CborValue"]

MAX_DEPTH: Final = 8  # levels of arrays and maps
MAX_BYTES: Final = 65_536  # bytes of one encoded item; real evidence has about 6,000
MAX_ITEMS: Final = 2048  # items within one; real evidence has about 30, and each takes its time

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_FALSE: Final = 20
_TRUE: Final = 21
_INDEFINITE: Final = 31
_FIRST_LONG_FORM: Final = 24


def _malformed(detail: str, check: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=check)


def decode(data: bytes, audit: Audit, *, what: str) -> CborValue:
    """Return the one item that ``data`` holds.

    1. It is at most ``MAX_BYTES`` long, has at most ``MAX_ITEMS`` items within it, and nests at
       most ``MAX_DEPTH`` deep.
    2. Every length is definite, and within the data.
    3. Every integer and length is in its shortest form.
    4. Only integers, strings, arrays, maps, false and true; text is UTF-8.
    5. No map has a key twice; keys are integers and strings.
    6. Nothing follows the item.

    Args:
        data: the encoded item.
        audit: the trail of this verification.
        what: what it is, for the messages: ``"attestation object"``.

    Raises:
        AttestationError: ``malformed``.
    """
    value, end = decode_first(data, 0, audit, what=what)
    audit.require(
        "cbor/6-trailing",
        end == len(data),
        Reason.MALFORMED,
        f"{what}: {len(data) - end} bytes follow the CBOR item.",
    )
    return value


def decode_first(data: bytes, start: int, audit: Audit, *, what: str) -> tuple[CborValue, int]:
    """Return the item that begins at ``start``, and the position after it.

    The rules are 1 to 5 of :func:`decode`.

    Raises:
        AttestationError: ``malformed``.
    """
    if len(data) > MAX_BYTES:
        raise _malformed(f"{what}: more than {MAX_BYTES} bytes.", "cbor/1-size")
    try:
        return _Decoder(data, audit, what).item(start, 0)
    except IndexError:
        raise _malformed(f"{what}: the CBOR item is cut off.", "cbor/2-length") from None


class _Decoder:
    __slots__ = ("_audit", "_data", "_items", "_what")

    def __init__(self, data: bytes, audit: Audit, what: str) -> None:
        self._data = data
        self._audit = audit
        self._what = what
        self._items = 0

    def item(self, position: int, depth: int) -> tuple[CborValue, int]:
        initial = self._data[position]
        major = initial >> 5
        short = initial & 0x1F
        if major == _SIMPLE:
            return self._simple(short, position + 1)
        argument, position = self._argument(short, position + 1)
        if major in (_ARRAY, _MAP, _TAG):
            return self._compound(major, argument, position, depth)
        if major == _UNSIGNED:
            return argument, position
        if major == _NEGATIVE:
            return -1 - argument, position
        return self._string(major, argument, position)

    def _compound(
        self, major: int, argument: int, position: int, depth: int
    ) -> tuple[CborValue, int]:
        if depth == MAX_DEPTH:
            raise _malformed(f"{self._what}: nested deeper than {MAX_DEPTH}.", "cbor/1-depth")
        if major == _ARRAY:
            return self._array(argument, position, depth + 1)
        if major == _MAP:
            return self._map(argument, position, depth + 1)
        self._audit.require(
            "cbor/4-tag", major != _TAG, Reason.MALFORMED, "A CBOR tag is not allowed."
        )
        return self.item(position, depth + 1)

    def _argument(self, short: int, position: int) -> tuple[int, int]:
        if short < _FIRST_LONG_FORM:
            return short, position
        if short == _INDEFINITE:
            raise _malformed(f"{self._what}: a length is indefinite.", "cbor/2-length")
        octets = 1 << (short - _FIRST_LONG_FORM)
        if octets > 8:  # noqa: PLR2004  # RFC 8949 section 3: the values 28 to 30 are reserved
            raise _malformed(f"{self._what}: a reserved length form.", "cbor/2-length")
        end = position + octets
        if end > len(self._data):
            raise IndexError
        value = int.from_bytes(self._data[position:end])
        least = _FIRST_LONG_FORM if octets == 1 else 1 << 4 * octets
        self._audit.require(
            "cbor/3-shortest",
            value >= least,
            Reason.MALFORMED,
            "A CBOR number is not in its shortest form.",
        )
        return value, end

    def _string(self, major: int, length: int, position: int) -> tuple[str | bytes, int]:
        end = position + length
        if end > len(self._data):
            raise IndexError
        content = self._data[position:end]
        if major == _BYTES:
            return content, end
        try:
            return content.decode(), end
        except UnicodeDecodeError:
            raise _malformed(f"{self._what}: a text is not UTF-8.", "cbor/4-kind") from None

    def _require_few(self, more: int) -> None:
        self._items += more
        if self._items > MAX_ITEMS:
            raise _malformed(f"{self._what}: more than {MAX_ITEMS} items.", "cbor/1-size")

    def _array(self, count: int, position: int, depth: int) -> tuple[CborValue, int]:
        if count > len(self._data) - position:
            raise IndexError
        self._require_few(count)
        values: list[CborValue] = []
        for _ in range(count):
            value, position = self.item(position, depth)
            values.append(value)
        return values, position

    def _map(self, count: int, position: int, depth: int) -> tuple[CborValue, int]:
        if 2 * count > len(self._data) - position:
            raise IndexError
        self._require_few(2 * count)
        members: dict[CborKey, CborValue] = {}
        for _ in range(count):
            key, position = self.item(position, depth)
            # bool is an int: without this, {1: …, true: …} would fold into one key.
            if isinstance(key, bool | list | dict):
                raise _malformed(
                    f"{self._what}: a map's key is neither integer nor string.", "cbor/5-keys"
                )
            self._audit.require(
                "cbor/5-duplicate",
                key not in members,
                Reason.MALFORMED,
                "A CBOR map has a key twice.",
            )
            members[key], position = self.item(position, depth)
        return members, position

    def _simple(self, value: int, position: int) -> tuple[bool, int]:
        if value not in (_FALSE, _TRUE):
            raise _malformed(
                f"{self._what}: a float, null or other simple value is not allowed.",
                "cbor/4-kind",
            )
        return value == _TRUE, position
