"""``Retry-After`` in both of its forms."""

from __future__ import annotations

import pytest

from quorumkey_relay.delivery.retry_after import MAX_RETRY_AFTER_SECONDS, retry_after_seconds

NOW = 1_445_412_480  # Wed, 21 Oct 2015 07:28:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("999999999", MAX_RETRY_AFTER_SECONDS),
        ("Wed, 21 Oct 2015 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2015 07:28:30 -0000", 30),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Sat, 21 Oct 2023 07:28:00 GMT", MAX_RETRY_AFTER_SECONDS),
    ],
)
def test_a_wait_is_read(value: str, seconds: int) -> None:
    """Seconds and dates say how long to wait, a day at most."""
    assert seconds == retry_after_seconds(value, now=NOW)


@pytest.mark.parametrize(
    "value",
    [None, "", "soon", "-5", "1.5", "1e3", "٣", "Wed, 21 Oct 2015 07:27:59 GMT", "9" * 40, "\0"],
)
def test_what_says_nothing_is_no_wait(value: str | None) -> None:
    """An absent, unreadable or past value leaves the schedule as it is."""
    assert None is retry_after_seconds(value, now=NOW)
