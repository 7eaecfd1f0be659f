"""Tests of quorumkey_attestation.der."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.der import (
    INTEGER,
    MAX_DEPTH,
    MAX_TAG_NUMBER,
    NULL,
    OCTET_STRING,
    SEQUENCE,
    Element,
    Reader,
    context,
    context_number,
    decode_integer,
    read_only,
    require_shallow,
)
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing.der_encoding import (
    declared,
    element,
    explicit,
    integer,
    nested,
    null,
    octet_string,
    sequence,
    with_long_length,
)

if TYPE_CHECKING:
    from collections.abc import Callable


def refused(call: Callable[[], object]) -> str | None:
    """The check that refuses what ``call`` reads, as malformed."""
    with pytest.raises(AttestationError) as caught:
        call()
    assert Reason.MALFORMED is caught.value.reason
    return caught.value.check


SIZES: Final = (0, 1, 127, 128, 255, 256, 65_535, 65_536)


@pytest.mark.parametrize("size", SIZES)
def test_every_way_to_read(size: int) -> None:
    """Each way to read an element gives the same content, whatever form its length has."""
    content = bytes(size)
    data = octet_string(content)

    assert Element(OCTET_STRING, content) == Reader(data, "x").read()
    assert content == Reader(data, "x").content(OCTET_STRING)
    assert content == read_only(data, OCTET_STRING, "x", Audit())
    assert data == Reader(data + null(), "x").read_encoded(OCTET_STRING)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("number", [0, 30, 31, 127, 128, 704, 16_383, 16_384, MAX_TAG_NUMBER])
def test_explicit(number: int, size: int) -> None:
    """An [n] EXPLICIT element is read with its number, whatever forms number and length have."""
    reader = Reader(explicit(number, bytes(size)) + null(), "x")

    assert (number, bytes(size)) == reader.read_explicit()
    assert (None, b"") == reader.read_explicit()
    assert reader.at_end


def test_elements_follow_one_another() -> None:
    """Elements are read in their order, each once."""
    reader = Reader(integer(1) + octet_string(b"two") + null(), "x")

    assert b"\x01" == reader.content(INTEGER)
    assert b"two" == reader.content(OCTET_STRING)
    assert Element(NULL, b"") == reader.read(NULL)
    assert reader.at_end


def test_trailing() -> None:
    """What follows the last element is refused, unless that check is ignored."""
    reader = Reader(null() + b"\0", "x")
    reader.read()

    assert "der/5-trailing" == refused(lambda: reader.finish(Audit()))
    reader.finish(Audit(ignored={"der/5-trailing"}))
    assert "der/5-trailing" == refused(lambda: read_only(null() + b"\0", NULL, "x", Audit()))


MALFORMED: Final = {
    "empty": (b"", "der/3-bounds"),
    "tag-alone": (b"\x04", "der/3-bounds"),
    "length-cut-off": (b"\x04\x82\x01", "der/3-bounds"),
    "content-cut-off": (b"\x04\x02\x00", "der/3-bounds"),
    "long-content-cut-off": (b"\x04\x82\x01\x00" + bytes(255), "der/3-bounds"),
    "length-beyond": (declared(OCTET_STRING, 1 << 31, b""), "der/3-bounds"),
    "length-indefinite": (b"\x04\x80\x00\x00", "der/2-length"),
    "length-of-five-octets": (with_long_length(OCTET_STRING, b"", 5), "der/2-length"),
    "length-of-short-in-one": (with_long_length(OCTET_STRING, bytes(127), 1), "der/2-length"),
    "length-of-byte-in-two": (with_long_length(OCTET_STRING, bytes(255), 2), "der/2-length"),
    "length-with-zeros": (with_long_length(OCTET_STRING, bytes(256), 3), "der/2-length"),
    "tag-other": (null(), "der/4-tag"),
}


@pytest.mark.parametrize(("data", "check"), MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed(data: bytes, check: str) -> None:
    """Each way to read an element refuses each defect by the same check."""
    assert check == refused(lambda: Reader(data, "x").read(OCTET_STRING))
    assert check == refused(lambda: Reader(data, "x").content(OCTET_STRING))
    assert check == refused(lambda: Reader(data, "x").read_encoded(OCTET_STRING))
    assert check == refused(lambda: read_only(data, OCTET_STRING, "x", Audit()))


@pytest.mark.parametrize(
    ("data", "check"),
    [
        (b"\xbf\x80\x01\x00", "der/1-tag"),
        (b"\xbf\x1e\x00", "der/1-tag"),
        (b"\xbf\xff\xff\xff\xff\x7f\x00", "der/1-tag"),
        (b"\xbf\x85", "der/3-bounds"),
        (b"\xbf\x85\x40", "der/3-bounds"),
        (b"\xbf\x85\x40\x01", "der/3-bounds"),
        (b"\xbf\x85\x40\x80", "der/2-length"),
    ],
    ids=[
        "zeros-first",
        "below-31",
        "too-large",
        "cut-off",
        "no-length",
        "no-content",
        "indefinite",
    ],
)
def test_malformed_high_tag(data: bytes, check: str) -> None:
    """A tag number above 30 has its shortest form, and at most four octets."""
    assert check == refused(lambda: Reader(data, "x").read())
    assert check == refused(lambda: Reader(data, "x").read_explicit())


def test_context_numbers() -> None:
    """Only a context-specific constructed tag has a number."""
    assert (3, 704) == (context_number(context(3)), context_number(context(704)))
    assert context_number(SEQUENCE) is None
    assert context_number(0x83) is None


@pytest.mark.parametrize("value", [0, 1, 127, 128, -1, -128, -129, 255, (1 << 63), (1 << 64) - 1])
def test_integer(value: int) -> None:
    """An integer of up to 64 bits is read, signed or not."""
    assert value == decode_integer(integer(value)[2:], "x")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\x01", b"\xff\x80", bytes(10), b"\x01" + bytes(9)],
    ids=["empty", "zeros-first", "ones-first", "long-zero", "beyond-64-bits"],
)
def test_malformed_integer(content: bytes) -> None:
    """An integer that is empty, too long or not in its shortest form is refused."""
    assert "der/6-integer" == refused(lambda: decode_integer(content, "x"))


def test_depth() -> None:
    """What nobody knows may be nested so deep, and not deeper."""
    require_shallow(nested(MAX_DEPTH - 1), "x")

    assert "der/7-depth" == refused(lambda: require_shallow(nested(MAX_DEPTH + 1), "x"))
    assert "der/7-depth" == refused(lambda: require_shallow(nested(1000), "x"))


def test_width() -> None:
    """What nobody knows may be as wide as its certificate lets it."""
    require_shallow(sequence(*(null() for _ in range(4000))), "x")


@given(st.binary(max_size=64))
def test_ways_to_read_agree(data: bytes) -> None:
    """For any octets every way to read gives the same, or the same refusal."""

    def outcome(call: Callable[[Reader], bytes]) -> bytes | str | None:
        try:
            return call(Reader(data, "x"))
        except AttestationError as error:
            return error.check

    assert outcome(lambda reader: reader.read(OCTET_STRING).content) == outcome(
        lambda reader: reader.content(OCTET_STRING)
    )


@given(st.integers(0, MAX_TAG_NUMBER), st.binary(max_size=300), st.binary(max_size=4))
def test_explicit_agrees_with_the_general_way(number: int, inner: bytes, after: bytes) -> None:
    """The quick way to read [n] EXPLICIT gives what the general one gives, and stops there."""
    data = explicit(number, inner) + after
    quick, general = Reader(data, "x"), Reader(data, "x")

    tag, content = general.read()

    assert (context_number(tag), content) == quick.read_explicit()
    assert quick.at_end is general.at_end is (not after)


@given(st.binary(max_size=64))
def test_any_octets(data: bytes) -> None:
    """Any octets are shallow DER or refused, and no other exception."""
    with suppress(AttestationError):
        require_shallow(data, "x")


def test_primitive_content_is_not_looked_into() -> None:
    """The content of an element that is not constructed may be anything."""
    require_shallow(element(OCTET_STRING, b"\x30\x05"), "x")
