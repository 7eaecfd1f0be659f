"""The mass-drop guard: single addresses may go, a twentieth of all of them may not."""

from __future__ import annotations

import pytest

from quorumkey_relay.delivery.eviction import (
    ALWAYS_ALLOWED_EVICTIONS,
    MAX_EVICTED_SHARE,
    SLOT_SECONDS,
    WINDOW_SECONDS,
    EvictionGuard,
)


def after(sends: int, evictions: int, *, now: float = 0.0) -> EvictionGuard:
    """A guard that has seen so many sends, of which the last ones asked for evictions."""
    guard = EvictionGuard()
    for number in range(sends):
        guard.sent(now)
        if number >= sends - evictions:
            guard.allows(now)
    return guard


def test_single_addresses_may_always_go() -> None:
    """However few sends there were."""
    guard, allowed = EvictionGuard(), list[bool]()
    for _ in range(ALWAYS_ALLOWED_EVICTIONS + 1):
        guard.sent(0.0)
        allowed.append(guard.allows(0.0))

    assert [True] * ALWAYS_ALLOWED_EVICTIONS + [False] == allowed


@pytest.mark.parametrize(
    ("sends", "over"), [(199, True), (200, False)], ids=["more than a share", "just the share"]
)
def test_the_share_itself_is_still_allowed(sends: int, *, over: bool) -> None:
    """More than 5 % is too much; 5 % is not."""
    guard = after(sends, 10)

    assert (0.05, over) == (MAX_EVICTED_SHARE, guard.over(0.0))


def test_an_eviction_that_was_stopped_counts_too() -> None:
    """The rate is of what is asked for, or stopping would end the reason to stop."""
    guard = after(100, 50)

    assert [False, False] == [guard.allows(0.0), guard.allows(0.0)]


def test_the_rate_is_back_under_when_good_sends_outnumber_it() -> None:
    """Enough sends that ask for nothing."""
    guard = after(20, 10)
    before = guard.over(0.0)
    for _ in range(180):
        guard.sent(1.0)

    assert (True, False) == (before, guard.over(1.0))


def test_what_is_older_than_the_window_is_forgotten() -> None:
    """After five minutes, in steps of ten seconds."""
    guard = after(20, 10)

    assert [True, True, False] == [
        guard.over(seconds)
        for seconds in (0.0, WINDOW_SECONDS - 1.0, float(WINDOW_SECONDS + SLOT_SECONDS))
    ]


def test_a_guard_that_has_seen_nothing_lately_is_idle() -> None:
    """Nothing is lost with it."""
    guard = after(1, 0)

    assert [False, True] == [
        guard.is_idle(0.0),
        guard.is_idle(float(WINDOW_SECONDS + SLOT_SECONDS)),
    ]
