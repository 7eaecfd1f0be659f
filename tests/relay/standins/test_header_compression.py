"""HPACK as the stand-ins read and write it, beside ``hpack`` itself."""

from __future__ import annotations

import pytest
from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError
from hypothesis import example, given
from hypothesis import strategies as st

from quorumkey_relay.standins.header_compression import (
    PlainEncoder,
    QuickDecoder,
    huffman_decoded,
)

NAMES = st.sampled_from([b":path", b":status", b"apns-id", b"authorization", b"x-any"])
HEADERS = st.lists(st.tuples(NAMES, st.binary(max_size=200)), max_size=12)


def read_by(decoder: Decoder, block: bytes) -> list[tuple[bytes, bytes]] | None:
    """What a decoder reads, or None where it refuses."""
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except HPACKError:
        return None


@given(st.lists(st.tuples(HEADERS, st.booleans()), max_size=5))
def test_it_reads_what_hpack_writes(
    blocks: list[tuple[list[tuple[bytes, bytes]], bool]],
) -> None:
    """All blocks of one connection are read, with tables and Huffman codes or without."""
    encoder, decoder = Encoder(), QuickDecoder()
    for headers, is_coded in blocks:
        assert headers == read_by(decoder, encoder.encode(headers, huffman=is_coded))


@given(HEADERS)
@example(
    [(b":status", b"404"), (b"x-any", b"x" * 126), (b"x-any", b"x" * 127), (b"x-any", b"x" * 400)]
)
def test_hpack_reads_what_it_writes(headers: list[tuple[bytes, bytes]]) -> None:
    """Blocks of literals are read by any decoder."""
    assert headers == read_by(Decoder(), PlainEncoder().encode(headers))


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=3))
def test_it_refuses_what_hpack_refuses(blocks: list[bytes]) -> None:
    """Whatever the bytes, both read the same, or both refuse."""
    ours, theirs = QuickDecoder(), Decoder()
    for block in blocks:
        assert read_by(theirs, block) == read_by(ours, block)


@pytest.mark.parametrize(
    "text",
    [b"", b"/3/device/57a9d1", bytes(range(256)), b"x" * 300],
    ids=["empty", "path", "every-byte", "long"],
)
def test_huffman_codes(text: bytes) -> None:
    """Every byte has a code, and long strings are read as short ones are."""
    coded = Encoder().huffman_coder.encode(text)

    assert text == huffman_decoded(coded)


@pytest.mark.parametrize(
    "block",
    [
        b"\x41",
        b"\x41\x05ab",
        b"\xff",
        b"\x82\x3f\xe1\x1f",
        b"\x3f\xe2\xff\x7f",
        b"\x41\x81\x00",
        b"\x41\x84\xff\xff\xff\xff",
    ],
    ids=["no-value", "short", "integer", "late-update", "large-table", "padding", "end-of-string"],
)
def test_broken_blocks_are_refused(block: bytes) -> None:
    """What ends too early, or may not stand there, raises HPACKError."""
    with pytest.raises(HPACKError):
        QuickDecoder().decode(block)


def test_a_list_that_is_too_long_is_refused() -> None:
    """Headers beyond the limit raise HPACKError, however short they were written."""
    decoder = QuickDecoder()
    decoder.max_header_list_size = 100

    with pytest.raises(HPACKError, match="larger than allowed"):
        decoder.decode(b"\x82" * 3)


def test_a_table_has_to_shrink() -> None:
    """An encoder that keeps a table larger than it was allowed is refused."""
    decoder = QuickDecoder()
    decoder.max_allowed_table_size = 1

    with pytest.raises(HPACKError, match="Table not shrunk"):
        decoder.decode(b"\x82")
