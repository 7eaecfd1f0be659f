"""What is pushed: a message as the relay's channels take it, and the same for other senders."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from quorumkey.protocol import (
    ApnsAddress,
    Challenge,
    Envelope,
    FcmAddress,
    Kind,
    PrivateKey,
    sign,
)
from quorumkey_relay.delivery.channel import Message
from quorumkey_relay.delivery.plan import delivery_id
from quorumkey_relay.standins import apns_token, fcm_token
from quorumkey_relay.store.records import Delivery

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Messages in flight, the same for every sender: few enough that their payloads fit into the
#: 64 KiB window of a connection, beyond which aioapns stalls for a second at a time.
IN_FLIGHT: Final = 40

#: Devices that the pushes go to in turn.
DEVICES: Final = 500

LIFE_SECONDS: Final = 900
_NAME: Final = "Acme Corp"
_TITLE: Final = f"{_NAME} is requesting approval"


@dataclass(frozen=True, slots=True)
class Pushed:
    """One push: the message for a channel of the relay, and its parts for other senders."""

    message: Message
    token: str
    payload: dict[str, Any]

    @property
    def request_id(self) -> str:
        """Return what it is about."""
        return self.message.delivery.request_id


def to_iphones(count: int, topic: str) -> Sequence[Pushed]:
    """Return so many pushes for Apple's push service."""
    challenge, now = _challenge(), int(time.time())

    def made(number: int) -> Pushed:
        token = apns_token("ok", number % DEVICES)
        delivery = _delivery(number, "apns", now)
        payload: dict[str, Any] = {
            "aps": {
                "alert": {"title": _TITLE},
                "sound": "default",
                "interruption-level": "time-sensitive",
                "mutable-content": 1,
            },
            "type": delivery.kind,
            "request_id": delivery.request_id,
            "challenge": challenge.to_json(),
        }
        address = ApnsAddress(token, topic, "production")
        message = Message(
            delivery=delivery,
            integrator_name=_NAME,
            challenge=challenge,
            address=address,
            registered_at=now,
        )
        return Pushed(message, token, payload)

    return [made(number) for number in range(count)]


def to_androids(count: int) -> Sequence[Pushed]:
    """Return so many pushes for Firebase Cloud Messaging."""
    challenge, now = _challenge(), int(time.time())

    def made(number: int) -> Pushed:
        token = fcm_token("ok", number % DEVICES)
        delivery = _delivery(number, "fcm", now)
        data = {
            "title": _TITLE,
            "type": delivery.kind,
            "request_id": delivery.request_id,
            "challenge": json.dumps(challenge.to_json(), separators=(",", ":")),
        }
        message = Message(
            delivery=delivery,
            integrator_name=_NAME,
            challenge=challenge,
            address=FcmAddress(token),
            registered_at=now,
        )
        return Pushed(message, token, data)

    return [made(number) for number in range(count)]


def _delivery(number: int, channel: str, now: int) -> Delivery:
    request_id = f"0190a000-0000-7000-8000-{number:012x}"
    return Delivery(
        id=delivery_id(request_id, f"{number:064x}", channel, "approval_request"),
        request_id=request_id,
        device=f"{number:064x}",
        channel=channel,
        kind="approval_request",
        not_after=now + LIFE_SECONDS,
        next_at=now,
        created_at=now,
        changed_at=now,
    )


def _challenge() -> Envelope:
    """Return one signed challenge: what signing costs is not what a sender is judged by."""
    key = PrivateKey.generate()
    challenge = Challenge(
        relay=key.public_key.fingerprint,
        request_id="0190a000-0000-7000-8000-000000000001",
        request_digest=f"sha256:{1:064x}",
        device=key.public_key.fingerprint,
        integrator_name=_NAME,
        expires_at=int(time.time()) + LIFE_SECONDS,
    )
    return sign(Kind.CHALLENGE, challenge.encode(), key)
