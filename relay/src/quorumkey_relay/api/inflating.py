"""Compressed bodies, inflated as far as a bound: what a small body hides is never made whole.

gzip is RFC 1952. One member is read; whatever follows it is refused.
"""

from __future__ import annotations

import zlib
from typing import Final

_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class MalformedGzipError(Exception):
    """The bytes are not one whole gzip member."""


class InflatedTooLargeError(Exception):
    """What the bytes inflate to is larger than the bound."""


def gunzip(data: bytes, *, max_bytes: int) -> bytes:
    """Return what ``data`` inflates to; at most one byte more than ``max_bytes`` is ever made.

    Raises:
        InflatedTooLargeError: it is more than ``max_bytes``.
        MalformedGzipError: it is not one whole gzip member.
    """
    inflater = zlib.decompressobj(_GZIP_WINDOW)
    try:
        inflated = inflater.decompress(data, max_bytes + 1)
    except zlib.error:
        raise MalformedGzipError from None
    if len(inflated) > max_bytes:
        raise InflatedTooLargeError
    if not inflater.eof or inflater.unused_data:
        raise MalformedGzipError
    return inflated
