"""What is counted of messages to devices: how they fared, and how their lanes are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_ACCEPTED_SECONDS: Final = (
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
    60.0,
    300.0,
)
# Providers name some dozens of reasons; whatever else one sends is counted together.
MAX_REASONS: Final = 64
OTHER_REASON: Final = "other"


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane at a scrape: messages in flight and waiting, the oldest one's age, the circuit."""

    name: str
    in_flight: int
    waiting: int
    age_seconds: float
    fault: str | None


class DeliveryMetrics:
    """Counters of deliveries; bound children are kept, since looking them up costs more."""

    def __init__(self, registry: CollectorRegistry) -> None:
        """Make them in ``registry``."""
        self._deliveries = Counter(
            "quorumkey_deliveries",
            "Tries to deliver a message to a device, by how they ended.",
            ("channel", "outcome"),
            registry=registry,
        )
        self._faults = Counter(
            "quorumkey_delivery_faults",
            "Tries that were not accepted, by the provider's reason.",
            ("channel", "reason"),
            registry=registry,
        )
        self._seconds = Histogram(
            "quorumkey_delivery_seconds",
            "Time from the commit that planned a message until it was accepted.",
            ("channel",),
            buckets=_ACCEPTED_SECONDS,
            registry=registry,
        )
        self._alarms = Gauge("quorumkey_alarms", "Alarms that stand.", ("kind",), registry=registry)
        self._lanes = _Lanes()
        registry.register(self._lanes)
        self._by_outcome: dict[tuple[str, str], Counter] = {}
        self._by_reason: dict[tuple[str, str], Counter] = {}
        self._by_channel: dict[str, Histogram] = {}

    def settled(self, channel: str, outcome: str) -> None:
        """Count a try that ended so."""
        counter = self._by_outcome.get((channel, outcome))
        if counter is None:
            counter = self._deliveries.labels(channel, outcome)
            self._by_outcome[channel, outcome] = counter
        counter.inc()

    def fault(self, channel: str, reason: str) -> None:
        """Count a try that was not accepted, by its reason."""
        counter = self._by_reason.get((channel, reason))
        if counter is None:
            if sum(1 for known, _ in self._by_reason if known == channel) >= MAX_REASONS:
                reason = OTHER_REASON
            counter = self._by_reason[channel, reason] = self._faults.labels(channel, reason)
        counter.inc()

    def accepted_after(self, channel: str, seconds: float) -> None:
        """Note how long it took from the commit until a message was accepted."""
        histogram = self._by_channel.get(channel)
        if histogram is None:
            histogram = self._by_channel[channel] = self._seconds.labels(channel)
        histogram.observe(seconds)

    def alarms(self, kind: str, standing: int) -> None:
        """Set how many alarms of a kind stand."""
        self._alarms.labels(kind).set(standing)

    def watch_lanes(self, look: Callable[[], Iterable[LaneState]]) -> None:
        """Ask this at every scrape for the lanes."""
        self._lanes.look = look


def _no_lanes() -> Iterable[LaneState]:
    return ()


class _Lanes(Collector):
    """Lanes come and go with the addresses that devices give, so each scrape asks anew."""

    def __init__(self) -> None:
        self.look: Callable[[], Iterable[LaneState]] = _no_lanes

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges of all lanes."""
        in_flight = GaugeMetricFamily(
            "quorumkey_delivery_in_flight", "Messages that are being sent.", labels=("lane",)
        )
        waiting = GaugeMetricFamily(
            "quorumkey_delivery_waiting", "Messages that wait for their turn.", labels=("lane",)
        )
        age = GaugeMetricFamily(
            "quorumkey_delivery_age_seconds",
            "For how long the oldest message of a lane has been due.",
            labels=("lane",),
        )
        circuit = GaugeMetricFamily(
            "quorumkey_delivery_circuit_open",
            "1 while a lane is held back, by why.",
            labels=("lane", "fault"),
        )
        for lane in self.look():
            in_flight.add_metric((lane.name,), lane.in_flight)
            waiting.add_metric((lane.name,), lane.waiting)
            age.add_metric((lane.name,), lane.age_seconds)
            for fault in ("misconfigured", "outage"):
                circuit.add_metric((lane.name, fault), float(lane.fault == fault))
        return (in_flight, waiting, age, circuit)
