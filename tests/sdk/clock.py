"""A clock that only moves when somebody sleeps or a test says so."""

from __future__ import annotations

START = 1_777_026_942


class ManualClock:
    """Wall clock, monotonic clock and sleep in one; `slept` keeps what was slept."""

    def __init__(self, start: float = START) -> None:
        self.time = start
        self.slept: list[float] = []

    def now(self) -> float:
        """The time."""
        return self.time

    def sleep(self, seconds: float) -> None:
        """Let that much time pass."""
        self.slept.append(seconds)
        self.time += seconds

    async def asleep(self, seconds: float) -> None:
        """The same in an event loop."""
        self.sleep(seconds)
