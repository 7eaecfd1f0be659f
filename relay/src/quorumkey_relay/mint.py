"""Where new ids, nonces and secrets come from: the only reader of randomness in the relay."""

from __future__ import annotations

import secrets
import time
from typing import Final, Protocol

from quorumkey.protocol import ids

_TAIL_BITS: Final = 74
_REST_BITS: Final = 62
_HEAD_SHIFT: Final = 68
_STEP_BITS: Final = 32


class Mint(Protocol):
    """Makes ids and random bytes; tests pass their own."""

    def uuid7(self) -> str:
        """Return a new UUIDv7, never smaller than the one before it."""
        ...

    def random(self, size: int) -> bytes:
        """Return ``size`` unpredictable bytes."""
        ...


class SystemMint:
    """Ids and bytes from the machine's generator."""

    def __init__(self) -> None:
        """Start with no id given out."""
        self._milliseconds = 0
        self._tail = 0

    def uuid7(self) -> str:
        """Return a new UUIDv7, greater than every one before it in this process.

        Within a millisecond the random part counts up from a random start (RFC 9562, section
        6.2, method 2), and a clock that steps back is waited out by counting on.
        """
        now = time.time_ns() // 1_000_000
        if now > self._milliseconds:
            self._milliseconds = now
            self._tail = secrets.randbits(_TAIL_BITS - 1)
        else:
            self._tail += 1 + secrets.randbits(_STEP_BITS)
        # uuid7 takes its 12 + 62 random bits from both ends of ten bytes.
        head, rest = self._tail >> _REST_BITS, self._tail & ((1 << _REST_BITS) - 1)
        noise = (head << _HEAD_SHIFT) | rest
        return ids.uuid7(milliseconds=self._milliseconds, random=noise.to_bytes(10, "big"))

    def random(self, size: int) -> bytes:
        """Return ``size`` bytes of the operating system's generator."""
        return secrets.token_bytes(size)
