"""The WebSocket as a channel, and the news that only streams carry (PROTOCOL §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_relay.delivery.channel import Accepted, Gone, Outcome
from quorumkey_relay.delivery.plan import WEBSOCKET
from quorumkey_relay.domain.model import Counted, Resolved, Status
from quorumkey_relay.store.writes import AdvanceRequest, Commit
from quorumkey_relay.usecases.render import encode

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope, PushAddress
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Message
    from quorumkey_relay.delivery.hub import DeviceHub
    from quorumkey_relay.store.protocol import Store

NOT_LISTENING: Final = "not_listening"


def request_frame(challenge: Envelope) -> bytes:
    """Return the frame that carries a challenge."""
    return b'{"type":"approval_request","challenge":' + challenge.encode() + b"}"


class WebSocketChannel:
    """Sends to devices that listen; one that has left gets its requests when it comes back."""

    name = WEBSOCKET

    def __init__(self, hub: DeviceHub, clock: Clock) -> None:
        """Send through ``hub``."""
        self._hub = hub
        self._clock = clock

    def lane(self, address: PushAddress | None) -> str:
        """Return the one lane of all streams."""
        del address
        return self.name

    async def send(self, message: Message) -> Outcome:
        """Queue the challenge on the device's stream."""
        device, challenge = message.delivery.device, message.challenge
        if challenge is not None and self._hub.send(device, request_frame(challenge)):
            return Accepted("sent")
        return Gone(self._clock.now(), NOT_LISTENING)

    async def close(self) -> None:
        """Do nothing: the hub ends streams, with the code that says why."""


class Announcer:
    """Tells the other devices of a request about its progress and its end."""

    def __init__(self, hub: DeviceHub, store: Store) -> None:
        """Tell through ``hub``; ``store`` knows who is still paired."""
        self._hub = hub
        self._store = store

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit."""
        if not len(self._hub):
            return
        for write in commit:
            if isinstance(write, AdvanceRequest):
                self._announce(write)

    def _announce(self, change: AdvanceRequest) -> None:
        after = change.after
        if isinstance(change.events[-1], Resolved):
            frame = _resolved(change.terms.request_id, after.status)
        elif change.before.satisfied != after.satisfied:
            frame = _progress(change.terms.request_id, len(after.satisfied), change.terms.required)
        else:
            return
        # Who has just decided gets the news as the answer to the decision.
        decided = {event.device for event in change.events if isinstance(event, Counted)}
        for fingerprint in change.terms.seats:
            if fingerprint in decided or not self._hub.connected(fingerprint):
                continue
            device = self._store.directory.device(fingerprint)
            if device is not None and device.paired_with(change.terms.integrator_id):
                self._hub.send(fingerprint, frame)


def _resolved(request_id: str, status: Status) -> bytes:
    return encode({"type": "request_resolved", "request_id": request_id, "status": str(status)})


def _progress(request_id: str, satisfied: int, required: int) -> bytes:
    return encode(
        {
            "type": "request_progress",
            "request_id": request_id,
            "groups_satisfied_count": satisfied,
            "groups_required": required,
        }
    )
