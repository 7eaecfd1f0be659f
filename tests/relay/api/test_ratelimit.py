"""Token buckets: how many calls fit, when the next one does, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_relay.api.ratelimit import RateLimiter


@dataclass
class Stopwatch:
    """A monotonic clock that the test moves."""

    seconds: float = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.seconds


@pytest.mark.parametrize("per_minute", [1, 7, 60, 600, 100_000_000])
def test_a_full_bucket_at_one_instant(per_minute: int) -> None:
    """As many calls as a minute has fit at one instant, and not one more."""
    limiter = RateLimiter(per_minute=per_minute, monotonic=Stopwatch())
    tried = min(per_minute, 1_000)

    assert [limiter.charge("a") for _ in range(tried)] == [None] * tried
    assert (limiter.charge("a") is None) == (per_minute > tried)


def test_keys_do_not_share() -> None:
    """One key's bucket is no other's."""
    limiter = RateLimiter(per_minute=1, monotonic=Stopwatch())

    assert limiter.charge("a") is None
    assert limiter.charge("b") is None
    assert limiter.charge("a") == 60


def test_it_refills_evenly() -> None:
    """A token comes back after its share of a minute, and the answer says when."""
    clock = Stopwatch()
    limiter = RateLimiter(per_minute=6, monotonic=clock)
    for _ in range(6):
        limiter.charge("a")

    assert limiter.charge("a") == 10
    clock.seconds += 9
    assert limiter.charge("a") == 1
    clock.seconds += 1
    assert limiter.charge("a") is None
    assert limiter.charge("a") == 10


def test_refusals_cost_nothing() -> None:
    """A refused call does not push the next one away."""
    clock = Stopwatch()
    limiter = RateLimiter(per_minute=1, monotonic=clock)
    limiter.charge("a")
    for _ in range(100):
        limiter.charge("a")
    clock.seconds += 60

    assert limiter.charge("a") is None


def test_asking_takes_nothing() -> None:
    """Asking how long to wait answers as a call would, and takes no token."""
    clock = Stopwatch()
    limiter = RateLimiter(per_minute=1, monotonic=clock)

    assert limiter.wait_seconds("a") is None
    assert limiter.charge("a") is None
    assert limiter.wait_seconds("a") == 60
    clock.seconds += 60
    assert limiter.wait_seconds("a") is None
    assert limiter.charge("a") is None


def test_memory_is_bounded() -> None:
    """Beyond the bound, the bucket that was used longest ago gives way."""
    limiter = RateLimiter(per_minute=1, monotonic=Stopwatch(), max_buckets=2)
    limiter.charge("a")
    limiter.charge("b")
    limiter.charge("a")
    limiter.charge("c")

    assert [limiter.wait_seconds(key) for key in "abc"] == [60, None, 60]


def test_full_buckets_are_forgotten() -> None:
    """A bucket that is full again takes no room."""
    clock = Stopwatch()
    limiter = RateLimiter(per_minute=60, monotonic=clock, max_buckets=3)
    for key in "abc":
        limiter.charge(key)
    clock.seconds += 1
    limiter.charge("d")
    for _ in range(60):
        limiter.charge("e")
    limiter.charge("f")

    assert limiter.wait_seconds("e") == 1


@given(
    per_minute=st.integers(1, 100),
    steps=st.lists(st.floats(0, 30, allow_nan=False), min_size=1, max_size=200),
)
def test_no_minute_holds_more_than_two_buckets(per_minute: int, steps: list[float]) -> None:
    """Whatever the rhythm, a bucket and its refill bound the calls of any minute."""
    clock = Stopwatch()
    limiter = RateLimiter(per_minute=per_minute, monotonic=clock)
    allowed: list[float] = []
    for step in steps:
        clock.seconds += step
        if limiter.charge("a") is None:
            allowed.append(clock.seconds)

    for start in allowed:
        assert sum(start <= time < start + 60 for time in allowed) <= 2 * per_minute
