"""Alarms: raised once, standing until they are cleared, counted by kind."""

from __future__ import annotations

from structlog.testing import capture_logs
from tests.relay.simulator import ManualClock

from quorumkey_relay.observe.alarms import REPORT_SECONDS, Alarms
from quorumkey_relay.observe.metrics import Metrics


def test_an_alarm_stands_until_it_is_cleared() -> None:
    """With its newest sentence; another lane's is another alarm."""
    alarms = Alarms()
    alarms.raise_alarm("push_credentials", "apns/sandbox", "first")
    alarms.raise_alarm("push_credentials", "apns/sandbox", "second")
    alarms.raise_alarm("push_credentials", "fcm", "third")
    standing = alarms.standing()
    alarms.clear("push_credentials", "apns/sandbox")

    assert (["second", "third"], ["third"]) == (standing, alarms.standing())


def test_what_is_reported_stands_for_a_day() -> None:
    """After it has happened last; nobody clears it."""
    clock = ManualClock()
    alarms = Alarms(monotonic=clock.monotonic)
    stood: list[bool] = []
    for seconds in (0, 60, int(REPORT_SECONDS) - 1, 1):
        clock.advance(seconds)
        if seconds < REPORT_SECONDS - 1 and len(stood) < 2:
            alarms.report("sender_id_mismatch", "fcm", "a sentence")
        alarms.look_after()
        stood.append(alarms.standing() == ["a sentence"])

    assert [True, True, True, False] == stood


def test_each_change_is_logged_once() -> None:
    """Raising what stands and clearing what does not are no news."""
    alarms = Alarms()
    with capture_logs() as lines:
        for _ in range(2):
            alarms.raise_alarm("push_evictions", "fcm", "a sentence")
        for _ in range(2):
            alarms.clear("push_evictions", "fcm")

    assert [("alarm_raised", "error"), ("alarm_cleared", "info")] == [
        (line["event"], line["log_level"]) for line in lines
    ]


def test_alarms_are_counted_by_kind() -> None:
    """The gauge says how many of a kind stand."""
    metrics = Metrics()
    alarms = Alarms(metrics.deliveries.alarms)
    for lane in ("apns/production", "apns/sandbox"):
        alarms.raise_alarm("push_credentials", lane, "a sentence")
    alarms.clear("push_credentials", "apns/sandbox")

    assert b'quorumkey_alarms{kind="push_credentials"} 1.0' in metrics.render()
