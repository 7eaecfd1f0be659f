"""A strict reader of DER (ITU-T X.690 section 10) that keeps what it does not know.

Schema libraries either die at an unknown tag or take a BOOLEAN of 0x01 in silence; genuine Android
devices send both. This reader hands out one element after another; what an element means, and
which deviations are tolerable, is the caller's to say.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.audit import Audit

__all__ = [
    "BOOLEAN",
    "ENUMERATED",
    "INTEGER",
    "NULL",
    "OCTET_STRING",
    "SEQUENCE",
    "SET",
    "Element",
    "Reader",
    "context",
    "context_number",
    "decode_integer",
    "read_only",
    "require_shallow",
]

BOOLEAN: Final = 0x01
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
NULL: Final = 0x05
ENUMERATED: Final = 0x0A
SEQUENCE: Final = 0x30
SET: Final = 0x31

MAX_DEPTH: Final = 16  # levels of nesting inside an element that nobody here understands
MAX_TAG_NUMBER: Final = (1 << 28) - 1  # four octets of a high tag number
MAX_INTEGER_BYTES: Final = 9  # an unsigned 64-bit value with its sign octet

_CONSTRUCTED: Final = 0x20
_CONTEXT_CONSTRUCTED: Final = 0xA0
_HIGH_TAG: Final = 0x1F
_HIGH_TAG_SHIFT: Final = 8
_LONG_FORM: Final = 0x80
_MAX_LENGTH_OCTETS: Final = 4


class Element(NamedTuple):
    """One tag, length and value.

    Attributes:
        tag: the identifier octet; for a tag number above 30, ``number << 8 | identifier octet``.
        content: the value's octets.
    """

    tag: int
    content: bytes


def context(number: int) -> int:
    """Return the tag of ``[number] EXPLICIT``: context-specific and constructed."""
    if number < _HIGH_TAG:
        return _CONTEXT_CONSTRUCTED | number
    return number << _HIGH_TAG_SHIFT | _CONTEXT_CONSTRUCTED | _HIGH_TAG


def context_number(tag: int) -> int | None:
    """Return the number of a context-specific constructed tag, or None for any other tag."""
    identifier = tag & 0xFF
    if identifier & 0xE0 != _CONTEXT_CONSTRUCTED:
        return None
    if identifier & _HIGH_TAG == _HIGH_TAG:
        return tag >> _HIGH_TAG_SHIFT
    return identifier & _HIGH_TAG


def _malformed(detail: str, check: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=check)


class Reader:
    """Reads the elements of ``data`` one after another.

    Args:
        data: the octets; nothing before or after them is looked at.
        what: what they are, for the messages: ``"KeyDescription"``.
    """

    __slots__ = ("_data", "_position", "_what")

    def __init__(self, data: bytes, what: str) -> None:
        self._data = data
        self._position = 0
        self._what = what

    @property
    def at_end(self) -> bool:
        """Whether every octet has been read."""
        return self._position == len(self._data)

    def finish(self, audit: Audit) -> None:
        """Refuse octets that follow the last element.

        Raises:
            AttestationError: ``malformed``.
        """
        audit.require(
            "der/5-trailing",
            self._position == len(self._data),
            Reason.MALFORMED,
            f"{self._what}: something follows the last element.",
        )

    def read(self, expected: int | None = None) -> Element:
        """Return the next element.

        1. A tag number above 30 is in its shortest form and has at most four octets.
        2. The length is definite and in its shortest form.
        3. The content lies within the data.
        4. The tag is the expected one.

        Args:
            expected: the tag it must have; None takes any.

        Raises:
            AttestationError: ``malformed``.
        """
        data = self._data
        position = self._position
        try:
            tag = data[position]
            position += 1
            if tag & _HIGH_TAG == _HIGH_TAG:
                tag, position = self._high_tag(tag, position)
            length = data[position]
            position += 1
            if length >= _LONG_FORM:
                length, position = self._long_length(length & 0x7F, position)
        except IndexError:
            raise _malformed(f"{self._what}: an element is cut off.", "der/3-bounds") from None
        end = position + length
        if end > len(data):
            raise _malformed(
                f"{self._what}: an element is longer than what holds it.", "der/3-bounds"
            )
        if expected is not None and tag != expected:
            raise _malformed(
                f"{self._what}: tag 0x{expected:X} is expected, not 0x{tag:X}.", "der/4-tag"
            )
        self._position = end
        return Element(tag, data[position:end])

    def content(self, expected: int) -> bytes:
        """Return the content of the next element, whose tag is below 31.

        Raises:
            AttestationError: as :meth:`read`.
        """
        # The usual forms in one go; whatever is not one of them, errors included, is read below.
        data = self._data
        start = self._position + 2
        if start + 2 <= len(data) and data[start - 2] == expected:
            length = data[start - 1]
            if length == _LONG_FORM | 1 and data[start] >= _LONG_FORM:
                length = data[start]
                start += 1
            elif length == _LONG_FORM | 2 and data[start]:
                length = data[start] << 8 | data[start + 1]
                start += 2
            elif length >= _LONG_FORM:
                return self.read(expected).content
            end = start + length
            if end <= len(data):
                self._position = end
                return data[start:end]
        return self.read(expected).content

    def read_explicit(self) -> tuple[int | None, bytes]:
        """Return the number of an ``[n] EXPLICIT`` element and the octets inside it.

        Returns:
            ``(None, content)`` for an element with any other tag.

        Raises:
            AttestationError: as :meth:`read`.
        """
        # Nearly every tag of an authorization list has two octets of number and one of length;
        # what does not is left to the general reader, errors included.
        data = self._data
        head = data[self._position : self._position + 4]
        if (
            len(head) == 4  # noqa: PLR2004  # identifier, two octets of number, length
            and head[0] == _CONTEXT_CONSTRUCTED | _HIGH_TAG
            and head[1] > _LONG_FORM > head[2]
            and head[3] < _LONG_FORM
        ):
            start = self._position + 4
            end = start + head[3]
            if end <= len(data):
                self._position = end
                return (head[1] & 0x7F) << 7 | head[2], data[start:end]
        element = self.read()
        return context_number(element.tag), element.content

    def read_encoded(self, expected: int) -> bytes:
        """Return the next element as it is encoded: tag, length and content.

        Raises:
            AttestationError: as :meth:`read`.
        """
        start = self._position
        self.content(expected)
        return self._data[start : self._position]

    def _high_tag(self, identifier: int, position: int) -> tuple[int, int]:
        number = 0
        while True:
            octet = self._data[position]
            position += 1
            if number == 0 and octet == _LONG_FORM:
                raise _malformed(f"{self._what}: a tag is not in its shortest form.", "der/1-tag")
            number = number << 7 | octet & 0x7F
            if number > MAX_TAG_NUMBER:
                raise _malformed(f"{self._what}: a tag number is too large.", "der/1-tag")
            if octet < _LONG_FORM:
                break
        if number < _HIGH_TAG:
            raise _malformed(f"{self._what}: a tag is not in its shortest form.", "der/1-tag")
        return number << _HIGH_TAG_SHIFT | identifier, position

    def _long_length(self, octets: int, position: int) -> tuple[int, int]:
        if not 1 <= octets <= _MAX_LENGTH_OCTETS:
            raise _malformed(
                f"{self._what}: a length is indefinite or beyond four octets.", "der/2-length"
            )
        if position + octets > len(self._data):
            raise IndexError
        length = int.from_bytes(self._data[position : position + octets])
        if length < _LONG_FORM or self._data[position] == 0:
            raise _malformed(f"{self._what}: a length is not in its shortest form.", "der/2-length")
        return length, position + octets


def read_only(data: bytes, expected: int, what: str, audit: Audit) -> bytes:
    """Return the content of the one element that ``data`` holds.

    Args:
        data: the element, and nothing else.
        expected: the tag it must have.
        what: what it is, for the messages.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    if len(data) > 1 and data[0] == expected and data[1] == len(data) - 2 < _LONG_FORM:
        return data[2:]  # the short form of nearly every element
    reader = Reader(data, what)
    content = reader.read(expected).content
    reader.finish(audit)
    return content


def decode_integer(content: bytes, what: str) -> int:
    """Return the value of an INTEGER or ENUMERATED.

    Args:
        content: its octets, two's complement, in the shortest form.
        what: its name, for the message.

    Raises:
        AttestationError: ``malformed``: empty, not in its shortest form, or beyond 64 bits.
    """
    if not 1 <= len(content) <= MAX_INTEGER_BYTES:
        raise _malformed(f"{what}: an integer is empty or beyond 64 bits.", "der/6-integer")
    if len(content) > 1 and (
        (content[0] == 0 and content[1] < _LONG_FORM)
        or (content[0] == 0xFF and content[1] >= _LONG_FORM)  # noqa: PLR2004  # all bits of the sign
    ):
        raise _malformed(f"{what}: an integer is not in its shortest form.", "der/6-integer")
    return int.from_bytes(content, signed=True)


def require_shallow(content: bytes, what: str) -> None:
    """Refuse an element of unknown meaning that is not DER or nests more than ``MAX_DEPTH`` deep.

    Args:
        content: the octets inside an ``EXPLICIT`` tag.
        what: what they belong to, for the messages.

    Raises:
        AttestationError: ``malformed``.
    """
    pending = [(content, 1)]
    while pending:
        data, depth = pending.pop()
        if depth > MAX_DEPTH:
            raise _malformed(f"{what}: elements are nested deeper than {MAX_DEPTH}.", "der/7-depth")
        reader = Reader(data, what)
        while not reader.at_end:
            element = reader.read()
            if element.tag & _CONSTRUCTED:
                pending.append((element.content, depth + 1))
