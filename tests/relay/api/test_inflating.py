"""gzip that comes from anybody: inflated as far as a bound, and no further."""

from __future__ import annotations

import gzip
import tracemalloc

import pytest

from quorumkey_relay.api.inflating import InflatedTooLargeError, MalformedGzipError, gunzip

LIMIT = 65_536


def test_as_much_as_allowed() -> None:
    """What inflates to exactly the bound is read."""
    assert gunzip(gzip.compress(b"a" * LIMIT), max_bytes=LIMIT) == b"a" * LIMIT


def test_nothing() -> None:
    """A member of no bytes is read as that."""
    assert gunzip(gzip.compress(b""), max_bytes=LIMIT) == b""


def test_one_byte_more() -> None:
    """One byte beyond the bound is refused."""
    with pytest.raises(InflatedTooLargeError):
        gunzip(gzip.compress(b"a" * (LIMIT + 1)), max_bytes=LIMIT)


def test_a_bomb_is_not_made_whole() -> None:
    """Of 256 MiB of zeros, no more memory is used than the bound allows."""
    bomb = gzip.compress(bytes(256 * 1024 * 1024))
    tracemalloc.start()
    try:
        with pytest.raises(InflatedTooLargeError):
            gunzip(bomb, max_bytes=LIMIT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert peak < 16 * LIMIT


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        gzip.compress(b"{}")[:-1],
        gzip.compress(b"{}")[:-8] + bytes(8),
        gzip.compress(b"{}") + b"x",
        gzip.compress(b"{") + gzip.compress(b"}"),
    ],
    ids=["nothing", "plain", "cut", "wrong-checksum", "followed", "two-members"],
)
def test_what_is_no_member(data: bytes) -> None:
    """What is not exactly one whole member is refused."""
    with pytest.raises(MalformedGzipError):
        gunzip(data, max_bytes=LIMIT)
