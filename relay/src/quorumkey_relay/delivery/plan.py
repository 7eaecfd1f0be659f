"""Which messages a request needs, as deliveries for the outbox."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.records import Delivery

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import DeliveryKind, Stored
    from quorumkey_relay.usecases.ports import Presence

WEBSOCKET: Final = "websocket"
# The log's name for what a device fetched by itself.
FETCH: Final = "fetch"
_DEVICE_CHARS: Final = 32


def delivery_id(request_id: str, device: str, channel: str, kind: DeliveryKind) -> str:
    """Return the id of a delivery: the same message to the same place has the same id.

    So a message that is planned again after a crash is the same row, not a second one.
    """
    return f"{request_id}/{device[:_DEVICE_CHARS]}/{channel}/{kind}"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryPlan:
    """Plans by the devices' push channels, as far as ``channels`` are served, and by presence."""

    store: Store
    presence: Presence
    channels: Collection[str]

    def opening(self, stored: Stored, now: int) -> list[Delivery]:
        """Return one delivery for every way to reach a device of a new request now."""
        planned: list[Delivery] = []
        for fingerprint in stored.terms.seats:
            if self.presence.connected(fingerprint):
                planned.append(self._delivery(stored, fingerprint, WEBSOCKET, now))
            device = self.store.directory.device(fingerprint)
            if device is not None and device.push_channel in self.channels:
                planned.append(self._delivery(stored, fingerprint, device.push_channel, now))
        return planned

    async def plan_for_device(self, device: Device, now: int) -> list[Delivery]:
        """Return what waits for a device that has just given an address.

        What was taken on that channel, or shown to the person, is not sent there again.
        """
        if device.push_channel not in self.channels:
            return []
        planned: list[Delivery] = []
        for stored in self.store.pending_for(device.fingerprint):
            if status_at(stored.terms, stored.state, now) is not Status.PENDING:
                continue
            if not device.paired_with(stored.terms.integrator_id):
                continue
            delivery = self._delivery(stored, device.fingerprint, device.push_channel, now)
            known = await self.store.deliveries(stored.terms.request_id)
            own = next((one for one in known if one.id == delivery.id), None)
            if own is None or own.state in ("failed", "dropped"):
                planned.append(delivery)
        return planned

    def streamed(self, stored: Stored, device: str, now: int) -> Delivery:
        """Return the log entry of a request that a new stream was sent."""
        return replace(self._delivery(stored, device, WEBSOCKET, now), state="sent", attempts=1)

    def acknowledged(
        self, stored: Stored, device: str, known: Sequence[Delivery], now: int
    ) -> list[Delivery]:
        """Return the log entries of a device that showed the request to its person."""
        if not known:
            known = [self._delivery(stored, device, FETCH, now)]
        return [replace(delivery, state="acknowledged") for delivery in known]

    def _delivery(self, stored: Stored, device: str, channel: str, now: int) -> Delivery:
        request_id = stored.terms.request_id
        return Delivery(
            id=delivery_id(request_id, device, channel, "approval_request"),
            request_id=request_id,
            device=device,
            channel=channel,
            kind="approval_request",
            not_after=stored.terms.expires_at,
            next_at=now,
            created_at=now,
            changed_at=now,
        )
