"""Counters of one relay in the Prometheus text format.

The registry belongs to the relay and not to the process, so that tests and a second relay in one
process count for themselves. Label lookups cost more than counting; `Metrics` hands out bound
children, which callers keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from quorumkey_relay.observe.delivery_metrics import DeliveryMetrics

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_CALL_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 60.0)
_COMMIT_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0)
_BATCH_COMMITS: Final = (1, 2, 4, 8, 16, 32, 64, 128, 256)


@dataclass(slots=True)
class RouteMetrics:
    """The counters of one route, bound once; ``answered`` is the hot path."""

    _route: str
    _method: str
    _calls: Counter
    _seconds: Histogram
    _by_status: dict[int, Counter]

    def answered(self, status: int, seconds: float) -> None:
        """Count one answer with its status and how long it took."""
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._calls.labels(self._method, self._route, str(status))
            self._by_status[status] = counter
        counter.inc()
        self._seconds.observe(seconds)


class Metrics:
    """Everything that is counted, by the names under which /metrics shows it."""

    def __init__(self) -> None:
        """Make the counters, in a registry of their own."""
        registry = self.registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        GCCollector(registry=registry)
        self._calls = Counter(
            "quorumkey_http_requests",
            "HTTP calls answered.",
            ("method", "route", "status"),
            registry=registry,
        )
        self._call_seconds = Histogram(
            "quorumkey_http_request_seconds",
            "Time from a call's head to the end of its answer.",
            ("method", "route"),
            buckets=_CALL_SECONDS,
            registry=registry,
        )
        self._decisions = Counter(
            "quorumkey_decisions",
            "Decisions judged: counted, repeated, or the error code of the refusal.",
            ("outcome",),
            registry=registry,
        )
        self._finished = Counter(
            "quorumkey_requests_finished",
            "Approval requests that reached a terminal status.",
            ("status",),
            registry=registry,
        )
        self._sockets = Gauge(
            "quorumkey_sockets",
            "Open device sockets: waiting for their auth message, or live.",
            ("state",),
            registry=registry,
        )
        self._commits = Counter(
            "quorumkey_store_commits", "Commits acknowledged as durable.", registry=registry
        )
        self._commit_seconds = Histogram(
            "quorumkey_store_transaction_seconds",
            "Time of one durable transaction of the store.",
            buckets=_COMMIT_SECONDS,
            registry=registry,
        )
        self._batch_commits = Histogram(
            "quorumkey_store_transaction_commits",
            "Commits that shared one durable transaction.",
            buckets=_BATCH_COMMITS,
            registry=registry,
        )
        self._outbox_depth = Gauge(
            "quorumkey_outbox_depth", "Messages waiting to be delivered.", registry=registry
        )
        self._outbox_age = Gauge(
            "quorumkey_outbox_age_seconds", "Age of the oldest of them.", registry=registry
        )
        self._rechecks = Counter(
            "quorumkey_attestation_rechecks",
            "Looks at the revocation list for the evidence of enrolled devices, by how they went.",
            ("outcome",),
            registry=registry,
        )
        self._revoked_hardware = Counter(
            "quorumkey_attestation_revoked_devices",
            "Devices whose evidence was found to be revoked, by what was done.",
            ("action",),
            registry=registry,
        )
        self._list_age = Gauge(
            "quorumkey_revocation_list_age_seconds",
            "Age of the revocation list; +Inf before the first, 0 where none is needed.",
            registry=registry,
        )
        self.deliveries = DeliveryMetrics(registry)
        self.sockets_waiting = self._sockets.labels("waiting")
        self.sockets_live = self._sockets.labels("live")
        self._by_outcome: dict[str, Counter] = {}

    def route(self, method: str, route: str) -> RouteMetrics:
        """Return the counters of one route, to be kept by the caller."""
        seconds = self._call_seconds.labels(method, route)
        return RouteMetrics(route, method, self._calls, seconds, {})

    def decided(self, outcome: str) -> None:
        """Count a judged decision: ``counted``, ``repeated`` or an error code."""
        counter = self._by_outcome.get(outcome)
        if counter is None:
            counter = self._by_outcome[outcome] = self._decisions.labels(outcome)
        counter.inc()

    def finished(self, status: str) -> None:
        """Count a request that became ``status``."""
        self._finished.labels(status).inc()

    def committed(self, commits: int, seconds: float) -> None:
        """Count one durable transaction that held so many commits."""
        self._commits.inc(commits)
        self._commit_seconds.observe(seconds)
        self._batch_commits.observe(commits)

    def rechecked(self, outcome: str, action: str, devices: int) -> None:
        """Count one look at the revocation list, and the devices that it was the end of."""
        self._rechecks.labels(outcome).inc()
        self._revoked_hardware.labels(action).inc(devices)

    def watch_revocation_list(self, *, age: Callable[[], float]) -> None:
        """Ask this at every scrape for the revocation list's age."""
        self._list_age.set_function(age)

    def watch_outbox(self, *, depth: Callable[[], float], age: Callable[[], float]) -> None:
        """Ask these at every scrape for the messages waiting and the oldest one's age."""
        self._outbox_depth.set_function(depth)
        self._outbox_age.set_function(age)

    def render(self) -> bytes:
        """Return everything in the Prometheus text format."""
        return generate_latest(self.registry)
