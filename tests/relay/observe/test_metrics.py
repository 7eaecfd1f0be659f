"""Metrics: names, labels and what each is fed by."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from quorumkey_relay.observe.metrics import Metrics


def samples(metrics: Metrics) -> dict[str, float]:
    """Return the relay's own samples by ``name{label,…}``, without buckets and times."""
    return {
        f"{sample.name}{{{','.join(sample.labels.values())}}}": sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
        if sample.name.startswith("quorumkey_")
        and not sample.name.endswith(("_bucket", "_created"))
    }


def test_calls_are_counted_by_route_and_status() -> None:
    """Answers of one route are counted by status, and their time is summed."""
    metrics = Metrics()
    route = metrics.route("GET", "/v1/requests/{request_id}")

    route.answered(200, 0.25)
    route.answered(200, 0.25)
    route.answered(404, 0.5)

    shown = samples(metrics)
    assert shown["quorumkey_http_requests_total{GET,/v1/requests/{request_id},200}"] == 2
    assert shown["quorumkey_http_requests_total{GET,/v1/requests/{request_id},404}"] == 1
    assert shown["quorumkey_http_request_seconds_sum{GET,/v1/requests/{request_id}}"] == 1


def test_work_is_counted() -> None:
    """Decisions, finished requests, sockets and transactions have their counters."""
    metrics = Metrics()

    metrics.decided("counted")
    metrics.decided("counted")
    metrics.decided("wrong_code")
    metrics.finished("approved")
    metrics.committed(3, 0.002)
    metrics.sockets_live.inc()
    metrics.sockets_waiting.inc(2)

    shown = samples(metrics)
    assert shown["quorumkey_decisions_total{counted}"] == 2
    assert shown["quorumkey_decisions_total{wrong_code}"] == 1
    assert shown["quorumkey_requests_finished_total{approved}"] == 1
    assert shown["quorumkey_store_commits_total{}"] == 3
    assert shown["quorumkey_store_transaction_commits_count{}"] == 1
    assert shown["quorumkey_sockets{live}"] == 1
    assert shown["quorumkey_sockets{waiting}"] == 2


def test_the_outbox_is_asked_at_each_scrape() -> None:
    """Depth and age of the outbox are those of the moment of the scrape."""
    metrics = Metrics()
    depth = [1.0]
    metrics.watch_outbox(depth=lambda: depth[0], age=lambda: 7.0)
    depth[0] = 5.0

    shown = samples(metrics)

    assert shown["quorumkey_outbox_depth{}"] == 5
    assert shown["quorumkey_outbox_age_seconds{}"] == 7


def test_relays_count_for_themselves() -> None:
    """Two relays in one process do not share counters."""
    first, second = Metrics(), Metrics()

    first.decided("counted")

    assert "quorumkey_decisions_total{counted}" not in samples(second)
