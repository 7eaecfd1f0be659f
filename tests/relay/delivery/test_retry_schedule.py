"""When a delivery is tried again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_relay.delivery.schedule import next_try

NOW = 1_800_000_000


@pytest.mark.parametrize(
    ("attempts", "ceiling"), [(1, 2), (2, 4), (3, 8), (4, 16), (5, 30), (6, 30), (100, 30)]
)
def test_waiting_doubles_up_to_half_a_minute(attempts: int, ceiling: int) -> None:
    """With the greatest jitter a try waits for ``min(30, 2^attempts)`` seconds."""
    assert NOW + ceiling == next_try(now=NOW, attempts=attempts, jitter=0.999_99)


def test_a_try_waits_for_a_second_at_least() -> None:
    """With the least jitter there is still a second in between."""
    assert NOW + 1 == next_try(now=NOW, attempts=9, jitter=0.0)


def test_a_providers_own_time_is_a_floor() -> None:
    """Who says when to come again is not asked before."""
    assert NOW + 77 == next_try(now=NOW, attempts=1, jitter=0.5, after_seconds=77)


@given(
    attempts=st.integers(0, 10_000),
    jitter=st.floats(0, 1, exclude_max=True),
    after=st.none() | st.integers(0, 86_400),
)
def test_a_try_is_always_later_and_never_much(
    attempts: int, jitter: float, after: int | None
) -> None:
    """Between one second and the greater of half a minute and the provider's time."""
    waited = next_try(now=NOW, attempts=attempts, jitter=jitter, after_seconds=after) - NOW

    assert max(1, after or 0) <= waited <= max(30, after or 0)
