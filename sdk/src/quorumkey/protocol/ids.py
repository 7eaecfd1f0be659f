"""UUIDv7 identifiers (RFC 9562, section 5.7), lower case, as the protocol's section 2 has them."""

from __future__ import annotations

import re
from typing import Final

from quorumkey.errors import ProtocolError

__all__ = ["check_uuid7", "uuid7"]

#: Bytes of randomness one id takes: 74 bits are used.
UUID7_RANDOM_BYTES: Final = 10

_UUID7: Final = re.compile(
    r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.ASCII
)
_MAX_MILLISECONDS: Final = 2**48 - 1


def uuid7(*, milliseconds: int, random: bytes) -> str:
    """Make a UUIDv7.

    Args:
        milliseconds: time since the epoch, in milliseconds; its 48 bits lead the id.
        random: ten random bytes, of which 74 bits are used.

    Raises:
        ValueError: an argument is out of its range (a bug of the caller, not input).
    """
    if not 0 <= milliseconds <= _MAX_MILLISECONDS or len(random) != UUID7_RANDOM_BYTES:
        message = "uuid7 takes a time of 48 bits in milliseconds and 10 random bytes"
        raise ValueError(message)
    noise = int.from_bytes(random, "big")
    rand_a = noise >> 68
    rand_b = noise & (2**62 - 1)
    number = milliseconds << 80 | 0x7 << 76 | rand_a << 64 | 0b10 << 62 | rand_b
    digits = f"{number:032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def check_uuid7(text: object, *, field: str) -> str:
    """Check that `text` is a UUIDv7 in lower case; answers it.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if type(text) is str and _UUID7.fullmatch(text):
        return text
    raise ProtocolError("invalid_request", f"{field} must be a UUIDv7 in lower case.")
