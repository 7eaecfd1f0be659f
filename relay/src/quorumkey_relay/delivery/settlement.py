"""What becomes of a message after a try, of the address it went to, and of its lane."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_relay.delivery.channel import (
    NOT_SENT,
    Accepted,
    Gone,
    Misconfigured,
    Outcome,
    Rejected,
    Retry,
)
from quorumkey_relay.delivery.plan import UNANSWERED
from quorumkey_relay.delivery.schedule import next_try
from quorumkey_relay.observe import logs
from quorumkey_relay.store.records import Delivery
from quorumkey_relay.store.writes import PutDelivery, PutDevice

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.circuit import Fault
    from quorumkey_relay.delivery.lane import Job, Lane
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.observe.alarms import Alarms
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import DeliveryState
    from quorumkey_relay.store.writes import Write

MAX_REASON_CHARS: Final = 64
# No answer came: the connection failed, or the time was over (`TransportFailed.reason`).
TRANSPORT_REASONS: Final = frozenset({"timeout", "unreachable", "broken"})
CREDENTIALS: Final = "push_credentials"
EVICTIONS: Final = "push_evictions"
REFUSALS: Final = "push_refusals"

_NOT_A_WORD: Final = re.compile(r"[^A-Za-z0-9_]+")
_JITTER_BYTES: Final = 2
_JITTER_STEPS: Final = 65_536

log = logs.get()


class Meter(Protocol):
    """Counts what becomes of messages."""

    def settled(self, channel: str, outcome: str) -> None:
        """Count a try that ended so."""
        ...

    def fault(self, channel: str, reason: str) -> None:
        """Count a try that was not accepted, by its reason."""
        ...

    def accepted_after(self, channel: str, seconds: float) -> None:
        """Note how long it took from the commit until a message was accepted."""
        ...


def word(reason: str) -> str:
    """Return a reason in the log's alphabet, letters, digits and ``_``, cut to its length."""
    return _NOT_A_WORD.sub("_", reason)[:MAX_REASON_CHARS] or "unknown"


class Settlement:
    """Judges outcomes: the delivery's next state, the device's address, the lane's health."""

    def __init__(
        self, *, store: Store, clock: Clock, mint: Mint, alarms: Alarms, meter: Meter
    ) -> None:
        """Judge with these."""
        self._store = store
        self._clock = clock
        self._mint = mint
        self._alarms = alarms
        self._meter = meter

    def after(self, lane: Lane, job: Job, outcome: Outcome) -> tuple[Write, ...]:
        """Return the writes that one more try leads to."""
        now, monotonic = self._clock.now(), self._clock.monotonic()
        before = lane.circuit.fault
        if job.sealed is not None:
            lane.guard.sent(monotonic)
        if isinstance(outcome, Accepted):
            lane.circuit.accepted()
            writes = self._accepted(job, outcome.state, now, monotonic)
        else:
            writes = self._refused(lane, job, outcome, now, monotonic)
        if lane.circuit.fault != before:
            self._changed(lane, before)
        return writes

    def _refused(
        self,
        lane: Lane,
        job: Job,
        outcome: Retry | Gone | Rejected | Misconfigured,
        now: int,
        monotonic: float,
    ) -> tuple[Write, ...]:
        delivery = job.delivery
        tried = replace(delivery, attempts=delivery.attempts + 1, changed_at=now, leased_until=0)
        match outcome:
            case Retry():
                return (PutDelivery(self._again(lane, job, outcome, tried, now)),)
            case Misconfigured():
                reason = word(outcome.reason)
                lane.circuit.misconfigured(reason, monotonic)
                self._fault(job, "held_back", reason)
                held = self._held_back(lane, tried, reason, now, lane.circuit.turn_seconds())
                return (PutDelivery(held),)
            case Rejected():
                reason = word(outcome.reason)
                self._fault(job, "failed", reason)
                if reason in NOT_SENT:
                    lane.circuit.unused()
                else:
                    lane.circuit.refused(monotonic)
                    self._doubted(lane, outcome.tolerated, reason)
                blamed = self._blamed(lane, job, outcome.tolerated, reason, monotonic)
                return (PutDelivery(replace(tried, state="failed", reason=reason)), *blamed)
            case Gone():
                lane.circuit.refused(monotonic)
                return self._gone(lane, job, outcome, tried, monotonic)

    def held_back(self, lane: Lane, job: Job) -> Delivery:
        """Return a message that was not sent because the lane's circuit is open."""
        now = self._clock.now()
        delivery = replace(job.delivery, changed_at=now, leased_until=0)
        self._meter.settled(delivery.channel, "held_back")
        spread = lane.circuit.spread_seconds()
        return self._held_back(lane, delivery, lane.circuit.reason, now, spread)

    def dropped(self, delivery: Delivery, reason: str) -> Delivery:
        """Return a message that is not sent, because it is of no use any more."""
        self._meter.settled(delivery.channel, "dropped")
        return replace(
            delivery,
            state="dropped",
            reason=reason,
            changed_at=self._clock.now(),
            leased_until=0,
        )

    # Accepted

    def _accepted(
        self, job: Job, state: DeliveryState, now: int, monotonic: float
    ) -> tuple[Write, ...]:
        # By hand: what every message comes to is worth five microseconds.
        was = job.delivery
        delivery = Delivery(
            id=was.id,
            request_id=was.request_id,
            device=was.device,
            channel=was.channel,
            kind=was.kind,
            not_after=was.not_after,
            next_at=was.next_at,
            created_at=was.created_at,
            changed_at=now,
            attempts=was.attempts + 1,
            state=state,
        )
        self._meter.settled(delivery.channel, state)
        since = job.heard_at
        seconds = now - delivery.created_at if since is None else monotonic - since
        self._meter.accepted_after(delivery.channel, max(0.0, float(seconds)))
        if job.sealed is None:
            return (PutDelivery(delivery),)
        device = self._current(job)
        if device is None or not device.push_faults:
            return (PutDelivery(delivery),)
        return (PutDelivery(delivery), PutDevice(replace(device, push_faults=0)))

    # Not now

    def _again(self, lane: Lane, job: Job, outcome: Retry, tried: Delivery, now: int) -> Delivery:
        reason = word(outcome.reason)
        monotonic = self._clock.monotonic()
        if reason in TRANSPORT_REASONS:
            lane.circuit.unreachable(reason, monotonic)
        else:
            lane.circuit.busy(monotonic)
        if outcome.ambiguous:
            reason = UNANSWERED + reason
            if _is_unanswered(job.delivery):
                self._fault(job, "failed", reason)
                return replace(tried, state="failed", reason=reason)
        at = next_try(
            now=now,
            attempts=tried.attempts,
            jitter=int.from_bytes(self._mint.random(_JITTER_BYTES), "big") / _JITTER_STEPS,
            after_seconds=outcome.after_seconds,
        )
        if at >= tried.not_after:
            self._fault(job, "failed", reason)
            return replace(tried, state="failed", reason=reason)
        self._fault(job, "retried", reason)
        return replace(tried, next_at=at, reason=_kept(job.delivery, reason))

    def _held_back(
        self, lane: Lane, delivery: Delivery, reason: str, now: int, later_seconds: int
    ) -> Delivery:
        reason = _kept(delivery, reason)
        at = now + lane.circuit.wait_seconds(self._clock.monotonic())
        if at >= delivery.not_after:
            return replace(delivery, state="failed", reason=reason)
        at = min(at + later_seconds, delivery.not_after - 1)
        return replace(delivery, next_at=at, reason=reason)

    def _changed(self, lane: Lane, before: Fault | None) -> None:
        """Say once that a lane's circuit opened or closed."""
        after = lane.circuit.fault
        if after is None:
            log.info("lane_recovered", lane=lane.name, kind=before)
        else:
            log.warning("lane_held_back", lane=lane.name, kind=after, reason=lane.circuit.reason)
        if after == "misconfigured":
            sentence = (
                f"Push through {lane.name} is refused ({lane.circuit.reason}):"
                " check its credentials and settings; messages wait meanwhile."
            )
            self._alarms.raise_alarm(CREDENTIALS, lane.name, sentence)
        elif before == "misconfigured":
            self._alarms.clear(CREDENTIALS, lane.name)

    # Never again

    def _gone(
        self, lane: Lane, job: Job, outcome: Gone, tried: Delivery, monotonic: float
    ) -> tuple[Write, ...]:
        reason = word(outcome.reason)
        if job.sealed is None:
            self._meter.settled(tried.channel, "dropped")
            return (PutDelivery(replace(tried, state="dropped", reason=reason)),)
        device = self._current(job)
        if device is None:
            # The device has said another address since: that one is tried.
            self._fault(job, "retried", reason)
            return (PutDelivery(replace(tried, reason=reason)),)
        stands = outcome.since is not None and device.push_set_at >= outcome.since
        evicted = () if stands else self._evicted(lane, device, reason, monotonic)
        if not evicted:
            self._fault(job, "failed", reason)
            return (PutDelivery(replace(tried, state="failed", reason=reason)),)
        self._fault(job, "dropped", reason)
        return (PutDelivery(replace(tried, state="dropped", reason=reason)), *evicted)

    def _blamed(
        self, lane: Lane, job: Job, tolerated: int | None, reason: str, monotonic: float
    ) -> tuple[Write, ...]:
        """Count a refusal that the address is to blame for; too many in a row are its end."""
        device = None if tolerated is None or job.sealed is None else self._current(job)
        if device is None or tolerated is None:
            return ()
        faults = device.push_faults + 1
        evicted = () if faults <= tolerated else self._evicted(lane, device, reason, monotonic)
        return evicted or (PutDevice(replace(device, push_faults=faults)),)

    def _doubted(self, lane: Lane, tolerated: int | None, reason: str) -> None:
        """Have somebody look at a refusal that no address is to blame for: it is our own bug."""
        if tolerated is None:
            sentence = (
                f"{lane.name} has refused a message for good ({reason}):"
                " its settings or this relay are wrong; messages like it are not delivered."
            )
            self._alarms.report(REFUSALS, lane.name, sentence)

    def _evicted(
        self, lane: Lane, device: Device, reason: str, monotonic: float
    ) -> tuple[Write, ...]:
        if not lane.guard.allows(monotonic):
            sentence = (
                f"Too many addresses of {lane.name} seem to be dead ({reason});"
                " none is dropped until fewer are: check its topic, project and environment."
            )
            self._alarms.raise_alarm(EVICTIONS, lane.name, sentence)
            return ()
        log.info(
            "push_address_dropped",
            device=device.fingerprint,
            channel=device.push_channel,
            reason=reason,
        )
        return (PutDevice(replace(device, push_channel="none", push=None, push_faults=0)),)

    def look_after(self, lane: Lane) -> None:
        """Clear the alarm of a lane whose rate of dead addresses is back under its limit."""
        if not lane.guard.over(self._clock.monotonic()):
            self._alarms.clear(EVICTIONS, lane.name)

    def _current(self, job: Job) -> Device | None:
        """Return the device, if the address that was used still is the one it has."""
        device = self._store.directory.device(job.delivery.device)
        return device if device is not None and device.push == job.sealed else None

    def _fault(self, job: Job, outcome: str, reason: str) -> None:
        self._meter.settled(job.delivery.channel, outcome)
        self._meter.fault(job.delivery.channel, reason)


def _is_unanswered(delivery: Delivery) -> bool:
    return delivery.reason is not None and delivery.reason.startswith(UNANSWERED)


def _kept(delivery: Delivery, reason: str) -> str:
    """Return the reason to keep: what went unanswered once is sent only once more, ever."""
    return delivery.reason if delivery.reason and _is_unanswered(delivery) else reason
