"""Counters of the sender of webhooks, in the registry of a relay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import Counter, Gauge, Histogram

if TYPE_CHECKING:
    from collections.abc import Callable

    from prometheus_client import CollectorRegistry

_ATTEMPT_SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0)


class WebhookMetrics:
    """What is counted of webhooks, by the names under which /metrics shows it."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make the counters in ``registry``."""
        attempts = Counter(
            "quorumkey_webhook_attempts",
            "Attempts to deliver an event to a webhook, by outcome.",
            ("outcome",),
            registry=registry,
        )
        self._attempts = {outcome: attempts.labels(outcome) for outcome in ("delivered", "failed")}
        self._seconds = Histogram(
            "quorumkey_webhook_attempt_seconds",
            "Time of one attempt, from looking the host up to the end of the answer.",
            buckets=_ATTEMPT_SECONDS,
            registry=registry,
        )
        self._disabled = Counter(
            "quorumkey_webhooks_disabled",
            "Webhooks that the relay disabled by itself, by reason.",
            ("reason",),
            registry=registry,
        )
        self._in_flight = Gauge(
            "quorumkey_webhook_attempts_in_flight",
            "Attempts that are under way.",
            registry=registry,
        )

    def webhook_tried(self, outcome: str, seconds: float) -> None:
        """Count an attempt: ``delivered`` or ``failed``."""
        self._attempts[outcome].inc()
        self._seconds.observe(seconds)

    def webhook_disabled(self, reason: str) -> None:
        """Count a webhook that was disabled."""
        self._disabled.labels(reason).inc()

    def watch_in_flight(self, in_flight: Callable[[], float]) -> None:
        """Ask this at every scrape for how many attempts are under way."""
        self._in_flight.set_function(in_flight)
