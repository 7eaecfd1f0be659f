"""When an event is tried again at a webhook: a pure function of how often it was tried."""

from __future__ import annotations

from typing import Final

FIRST_DELAY_SECONDS: Final = 5
MAX_DELAY_SECONDS: Final = 3_600
MAX_DOUBLINGS: Final = 10


def next_attempt(
    *, now: int, attempts: int, jitter: float, retry_after_seconds: int | None = None
) -> int:
    """Return when to try again (seconds since the epoch) after ``attempts`` tries, 1 or more.

    Exponential with full jitter: between 5 seconds and ``min(3600, 5 * 2^attempts)``; ``jitter``
    is in [0, 1). What the endpoint asked for is a floor, up to an hour.
    """
    ceiling = min(MAX_DELAY_SECONDS, FIRST_DELAY_SECONDS << min(attempts, MAX_DOUBLINGS))
    delay = max(FIRST_DELAY_SECONDS, round(ceiling * jitter))
    floor = min(retry_after_seconds or 0, MAX_DELAY_SECONDS)
    return now + max(delay, floor)
