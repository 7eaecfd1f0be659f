"""Counters of deliveries: bounded reasons, and lanes as they are at the scrape."""

from __future__ import annotations

from quorumkey_relay.observe.delivery_metrics import MAX_REASONS, LaneState
from quorumkey_relay.observe.metrics import Metrics


def test_reasons_are_bounded_by_channel() -> None:
    """Whatever a provider invents beyond some dozens is counted together."""
    metrics = Metrics()
    for number in range(MAX_REASONS + 5):
        metrics.deliveries.fault("apns", f"Reason{number}")
    metrics.deliveries.fault("fcm", "UNREGISTERED")
    text = metrics.render().decode()

    assert 5.0 == metrics.registry.get_sample_value(
        "quorumkey_delivery_faults_total", {"channel": "apns", "reason": "other"}
    )
    assert MAX_REASONS + 2 == text.count("quorumkey_delivery_faults_total{")


def test_lanes_are_asked_for_at_each_scrape() -> None:
    """What is in flight, what waits, for how long, and whether it is held back."""
    metrics = Metrics()
    lanes: list[LaneState] = []
    metrics.deliveries.watch_lanes(lambda: lanes)
    before = metrics.render().decode()
    lanes.append(LaneState("apns/sandbox", 3, 7, 9.0, "outage"))
    after = metrics.render().decode()

    assert "apns/sandbox" not in before
    for line in (
        'quorumkey_delivery_in_flight{lane="apns/sandbox"} 3.0',
        'quorumkey_delivery_waiting{lane="apns/sandbox"} 7.0',
        'quorumkey_delivery_age_seconds{lane="apns/sandbox"} 9.0',
        'quorumkey_delivery_circuit_open{fault="outage",lane="apns/sandbox"} 1.0',
        'quorumkey_delivery_circuit_open{fault="misconfigured",lane="apns/sandbox"} 0.0',
    ):
        assert line in after
