"""When a delivery is tried again: a pure function of how often it was tried."""

from __future__ import annotations

from typing import Final

FIRST_DELAY_SECONDS: Final = 1
MAX_DELAY_SECONDS: Final = 30
MAX_DOUBLINGS: Final = 5


def next_try(*, now: int, attempts: int, jitter: float, after_seconds: int | None = None) -> int:
    """Return when to try again (seconds since the epoch) after ``attempts`` tries.

    Exponential with full jitter: between 1 second and ``min(30, 2^attempts)``; ``jitter`` is in
    [0, 1). A provider's own ``after_seconds`` is a floor.
    """
    ceiling = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS << min(attempts, MAX_DOUBLINGS))
    delay = max(FIRST_DELAY_SECONDS, round(ceiling * jitter))
    return now + max(delay, after_seconds or 0)
