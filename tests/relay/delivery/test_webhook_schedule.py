"""When an event is tried again, and what an attempt makes of a webhook: pure functions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.relay.delivery.webhook_sending import DELIVERY, WEBHOOK
from tests.relay.simulator import START

from quorumkey_relay.delivery.webhooks.schedule import next_attempt
from quorumkey_relay.delivery.webhooks.verdicts import Tried, judged, settled, verdict_on
from quorumkey_relay.store.records import WebhookAttempt

NOW = START
DAY = 86_400
HOUR = 3_600
ATTEMPT = WebhookAttempt(at=NOW, milliseconds=1, status=None, reason="timeout")
FAILED = Tried(ATTEMPT, "failed")
DELIVERED = Tried(ATTEMPT, "delivered")
GONE = Tried(ATTEMPT, "gone")

ATTEMPTS = st.integers(1, 1_000)
JITTER = st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize(
    ("attempts", "least", "most"),
    [(1, 5, 10), (2, 5, 20), (3, 5, 40), (9, 5, 2_560), (10, 5, 3_600), (1_000, 5, 3_600)],
)
def test_the_longest_wait_doubles_up_to_an_hour(attempts: int, least: int, most: int) -> None:
    """Full jitter: from five seconds to the ceiling of this try."""
    found = [
        next_attempt(now=NOW, attempts=attempts, jitter=jitter) - NOW
        for jitter in (0.0, 1 - 2**-16)
    ]

    assert [least, most] == found


@given(ATTEMPTS, JITTER, st.none() | st.integers(0, 100_000))
def test_every_wait_is_within_bounds(
    attempts: int, jitter: float, retry_after_seconds: int | None
) -> None:
    """Never under five seconds nor over an hour, and what was asked for is a floor."""
    wait = (
        next_attempt(
            now=NOW, attempts=attempts, jitter=jitter, retry_after_seconds=retry_after_seconds
        )
        - NOW
    )

    assert 5 <= wait <= 3_600
    assert wait >= min(retry_after_seconds or 0, 3_600)


@given(st.lists(JITTER, min_size=400, max_size=400))
def test_a_day_of_failures_ends(jitters: list[float]) -> None:
    """Whatever the jitter, the tries of an event end within its 24 hours."""
    delivery, now = DELIVERY, NOW
    for jitter in jitters:
        delivery = settled(delivery, FAILED, now=now, jitter=jitter)
        if delivery.state != "queued":
            break
        now = delivery.next_at

    assert now < DELIVERY.not_after
    assert "failed" == delivery.state or len(jitters) == delivery.attempts


def test_what_is_delivered_stays_so() -> None:
    """Its time does not move."""
    assert replace(DELIVERY, state="delivered", attempts=1) == settled(
        DELIVERY, DELIVERED, now=NOW, jitter=0.5
    )


@pytest.mark.parametrize(("now", "state"), [(NOW + DAY - 6, "queued"), (NOW + DAY - 5, "failed")])
def test_the_next_try_must_come_in_time(now: int, state: str) -> None:
    """One that would come when the event is of no use any more is not waited for."""
    assert state == settled(DELIVERY, FAILED, now=now, jitter=0.0).state


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (200, "delivered"),
        (299, "delivered"),
        (300, "failed"),
        (304, "failed"),
        (400, "failed"),
        (410, "gone"),
        (500, "failed"),
        (199, "failed"),
    ],
)
def test_what_a_status_means(status: int, verdict: str) -> None:
    """Only 2xx is success, only 410 is gone."""
    assert verdict == verdict_on(status)


@pytest.mark.parametrize(
    ("since", "tried", "queued", "expected"),
    [
        (None, DELIVERED, HOUR, None),
        (9, DELIVERED, HOUR, None),
        (None, FAILED, HOUR, 0),
        (9, FAILED, HOUR, 9),
        (DAY - 1, FAILED, HOUR, DAY - 1),
        (DAY, FAILED, HOUR, "failing"),
        (DAY, FAILED, HOUR - 1, DAY),
        (9 * DAY, FAILED, 0, 9 * DAY),
        (None, GONE, 0, "gone"),
    ],
    ids=["well", "recovered", "first", "again", "nearly", "too-long", "new", "idle", "gone"],
)
def test_what_an_attempt_makes_of_a_webhook(
    since: int | None, tried: Tried, queued: int, expected: int | str | None
) -> None:
    """It is disabled if it has failed too long, and for an hour of what is tried now as well."""
    webhook = replace(WEBHOOK, failing_since=None if since is None else NOW - since)
    delivery = replace(DELIVERY, not_after=NOW - queued + DAY)

    found = judged(webhook, delivery, tried, now=NOW, disable_seconds=DAY)

    if not isinstance(found, str):
        since = found.failing_since
        assert expected == (None if since is None else NOW - since)
        return
    assert expected == found


def test_an_unchanged_webhook_is_the_same_object() -> None:
    """So that whoever asks can tell that there is nothing to write."""
    assert WEBHOOK is judged(WEBHOOK, DELIVERY, DELIVERED, now=NOW, disable_seconds=DAY)
