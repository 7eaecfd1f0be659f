"""Which messages a request needs, as deliveries for the outbox."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Counted, Resolved, Status
from quorumkey_relay.store.records import Delivery

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from quorumkey_relay.domain.model import Event
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import DeliveryKind, Stored
    from quorumkey_relay.usecases.ports import Presence

WEBSOCKET: Final = "websocket"
# The log's name for what a device fetched by itself.
FETCH: Final = "fetch"
_DEVICE_CHARS: Final = 32
# How long a claim holds: longer than a send takes, and short after a hang.
LEASE_SECONDS: Final = 30
SHOWN_STATES: Final = frozenset({"sent", "accepted", "acknowledged"})
# What a delivery's reason says after a try of which nobody knows whether it was carried out.
UNANSWERED: Final = "unanswered_"


def delivery_id(request_id: str, device: str, channel: str, kind: DeliveryKind) -> str:
    """Return the id of a delivery: the same message to the same place has the same id.

    So a message that is planned again after a crash is the same row, not a second one.
    """
    return f"{request_id}/{device[:_DEVICE_CHARS]}/{channel}/{kind}"


def was_shown(delivery: Delivery | None) -> bool:
    """Say whether a message may have reached its device: it was taken, or nobody knows."""
    if delivery is None:
        return False
    if delivery.state in SHOWN_STATES:
        return True
    return delivery.reason is not None and delivery.reason.startswith(UNANSWERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPlan:
    """Plans by the devices' push channels, as far as ``channels`` are served, and by presence.

    What is planned to be sent is leased to this process: it is taken up once it is durable.
    """

    store: Store
    presence: Presence
    channels: Collection[str]

    def opening(self, stored: Stored, now: int) -> list[Delivery]:
        """Return one delivery for every way to reach a device of a new request now."""
        planned: list[Delivery] = []
        connected, known = self.presence.connected, self.store.directory.device
        for fingerprint in stored.terms.seats:
            if connected(fingerprint):
                planned.append(self._delivery(stored, fingerprint, WEBSOCKET, now))
            device = known(fingerprint)
            if device is not None and device.push_channel in self.channels:
                planned.append(self._delivery(stored, fingerprint, device.push_channel, now))
        return planned

    def closing(self, stored: Stored, events: Iterable[Event], now: int) -> list[Delivery]:
        """Return one delivery for every other device that a push may have told of a request.

        ``events`` end the request. Who has decided knows; nobody is told of a timeout, which ends
        the push by itself. Whether there is a message to withdraw is looked up when it is sent.
        """
        decided: set[str] = set()
        for event in events:
            if isinstance(event, Counted):
                decided.add(event.device)
            elif isinstance(event, Resolved) and event.status is Status.TIMEOUT:
                return []
        known = self.store.directory.device
        planned: list[Delivery] = []
        for fingerprint in stored.terms.seats:
            device = known(fingerprint)
            if (
                device is not None
                and device.push is not None
                and fingerprint not in decided
                and device.push_channel in self.channels
            ):
                channel = device.push_channel
                planned.append(
                    self._delivery(stored, fingerprint, channel, now, "request_resolved")
                )
        return planned

    async def plan_for_device(self, device: Device, now: int) -> list[Delivery]:
        """Return the deliveries of open requests to an address that ``device`` has just said.

        What that channel has taken already is left alone; so is what the device has decided.
        """
        if device.push is None or device.push_channel not in self.channels:
            return []
        planned: list[Delivery] = []
        for stored in self.store.pending_for(device.fingerprint):
            terms, state = stored.terms, stored.state
            if (
                status_at(terms, state, now) is not Status.PENDING
                or not device.paired_with(terms.integrator_id)
                or terms.voter(device.fingerprint) in state.ballots
            ):
                continue
            delivery = self._delivery(stored, device.fingerprint, device.push_channel, now)
            earlier = await self.store.delivery(delivery.id)
            if earlier is None or earlier.state not in SHOWN_STATES:
                planned.append(delivery)
        return planned

    def streamed(self, stored: Stored, device: str, now: int) -> Delivery:
        """Return the log entry of a request that a new stream was sent."""
        sent = self._delivery(stored, device, WEBSOCKET, now)
        return replace(sent, state="sent", attempts=1, leased_until=0)

    def acknowledged(
        self, stored: Stored, device: str, known: Sequence[Delivery], now: int
    ) -> list[Delivery]:
        """Return the log entries of a device that showed the request to its person.

        What has failed or was dropped did not reach it: that stays true.
        """
        shown = [
            one
            for one in known
            if one.kind == "approval_request" and (one.state == "queued" or was_shown(one))
        ]
        if not shown:
            shown = [self._delivery(stored, device, FETCH, now)]
        return [
            replace(one, state="acknowledged", reason=None, changed_at=now, leased_until=0)
            for one in shown
            if one.state != "acknowledged"
        ]

    def _delivery(
        self,
        stored: Stored,
        device: str,
        channel: str,
        now: int,
        kind: DeliveryKind = "approval_request",
    ) -> Delivery:
        request_id = stored.terms.request_id
        return Delivery(
            id=delivery_id(request_id, device, channel, kind),
            request_id=request_id,
            device=device,
            channel=channel,
            kind=kind,
            not_after=stored.terms.expires_at,
            next_at=now,
            created_at=now,
            changed_at=now,
            leased_until=now + LEASE_SECONDS,
        )
