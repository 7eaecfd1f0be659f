"""The relay's clock: the only reader of time in the relay (PROTOCOL §2)."""

from __future__ import annotations

import time
from typing import Final, Protocol

SECONDS_PER_DAY: Final = 86_400


class Clock(Protocol):
    """Wall clock and monotonic clock; tests pass their own."""

    def now(self) -> int:
        """Return seconds since the epoch, cut to whole seconds."""
        ...

    def monotonic(self) -> float:
        """Return seconds of a clock that never goes back, for rates and leases in memory."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> int:
        """Return seconds since the epoch, cut to whole seconds."""
        return int(time.time())

    def monotonic(self) -> float:
        """Return seconds of the machine's monotonic clock."""
        return time.monotonic()
