"""Where new ids, nonces and secrets come from: the only reader of randomness in the relay."""

from __future__ import annotations

import secrets
import time
from typing import Protocol

from quorumkey.protocol import ids


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
        self._last = 0

    def uuid7(self) -> str:
        """Return a new UUIDv7; ids of one process grow strictly with their milliseconds."""
        # Never going back keeps cursors and oldest-first order right when the wall clock steps.
        self._last = max(self._last, time.time_ns() // 1_000_000)
        return ids.uuid7(milliseconds=self._last, random=secrets.token_bytes(10))

    def random(self, size: int) -> bytes:
        """Return ``size`` bytes of the operating system's generator."""
        return secrets.token_bytes(size)
