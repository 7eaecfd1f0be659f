"""Token buckets in bounded memory (PROTOCOL §11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Buckets held at once; the one that was used longest ago gives way (some 20 MB when full).
MAX_BUCKETS: Final = 100_000

_MINUTE_NS: Final = 60_000_000_000
_SECOND_NS: Final = 1_000_000_000


class RateLimiter:
    """A bucket of ``per_minute`` tokens for each key, refilled evenly over a minute.

    It is the generic cell rate algorithm: a bucket is one number, the time at which it will be
    full again, kept in whole nanoseconds so that exactly ``per_minute`` calls fit at one instant.
    A bucket that is full again is forgotten.
    """

    def __init__(
        self, *, per_minute: int, monotonic: Callable[[], float], max_buckets: int = MAX_BUCKETS
    ) -> None:
        """Start with every bucket full; ``monotonic`` gives seconds that never go back."""
        self._step = _MINUTE_NS // per_minute
        self._slack = self._step * (per_minute - 1)
        self._monotonic = monotonic
        self._max_buckets = max_buckets
        self._full_at: dict[str, int] = {}  # least recently charged first

    def charge(self, key: str) -> int | None:
        """Take one token; None when there was one, else whole seconds until the next."""
        now = int(self._monotonic() * _SECOND_NS)
        full_at = self._full_at.pop(key, None)
        if full_at is None:
            self._make_room(now)
            full_at = now
        missing = full_at - now
        if missing > self._slack:
            self._full_at[key] = full_at
            return _whole_seconds(missing - self._slack)
        self._full_at[key] = max(full_at, now) + self._step
        return None

    def wait_seconds(self, key: str) -> int | None:
        """Return what ``charge`` would, and take nothing."""
        full_at = self._full_at.get(key)
        if full_at is None:
            return None
        missing = full_at - int(self._monotonic() * _SECOND_NS)
        return _whole_seconds(missing - self._slack) if missing > self._slack else None

    def _make_room(self, now: int) -> None:
        """Forget up to two old buckets that are full, and more only when there are too many."""
        for _ in range(2):
            oldest = next(iter(self._full_at), None)
            if oldest is None or self._full_at[oldest] > now:
                break
            del self._full_at[oldest]
        while len(self._full_at) >= self._max_buckets:
            del self._full_at[next(iter(self._full_at))]


def _whole_seconds(nanoseconds: int) -> int:
    return -(-nanoseconds // _SECOND_NS)
