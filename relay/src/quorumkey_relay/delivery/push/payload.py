"""What a push carries (PROTOCOL §7): a title, what it is about, and the signed challenge.

Nothing of the action is in it. Where the challenge would not fit the provider's limit, or it is
asked for without, the app fetches it: every message without one is far below every limit.

The JSON is put together from its parts: the challenge is JSON already, and a push is made for each
of many devices.
"""

from __future__ import annotations

from binascii import b2a_base64
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.delivery.channel import Message
    from quorumkey_relay.store.records import DeliveryKind

#: APNs: "Sending notification requests to APNs". FCM: "About FCM messages", payload of ``data``.
MAX_PAYLOAD_BYTES: Final = 4_096
#: A Web Push body of 4,096 bytes without its header, tag and delimiter (RFC 8188, RFC 8291).
MAX_WEB_PUSH_PLAINTEXT_BYTES: Final = 3_993
#: "Customizing messages": four weeks.
MAX_FCM_TTL_SECONDS: Final = 2_419_200
#: Integrators whose titles are kept written.
MAX_OPENINGS: Final = 1_000

# What breaks through a summary, and has the app's extension look at the message before it is shown.
_APNS_OPENING: Final = {
    "approval_request": (
        b',"sound":"default","interruption-level":"time-sensitive","mutable-content":1}'
    ),
    "request_resolved": b',"interruption-level":"passive","mutable-content":1}',
}
# A message of high priority must end in something that the person sees, or Android lowers the
# app's priority for good ("Set and manage message priority"); a withdrawal shows nothing new.
_ANDROID_PRIORITY: Final = {"approval_request": b"HIGH", "request_resolved": b"NORMAL"}


def apns_payload(message: Message, *, with_challenge: bool = True) -> bytes:
    """Return the payload for Apple: ``type``, ``request_id``, ``challenge`` beside ``aps``."""
    opening = _apns_opening(message.integrator_name, message.delivery.kind)
    return _closed(opening, message, MAX_PAYLOAD_BYTES, with_challenge)


def webpush_payload(message: Message, *, with_challenge: bool = True) -> bytes:
    """Return the plaintext for a browser: ``title``, ``type``, ``request_id``, ``challenge``."""
    opening = _opening(message.integrator_name, message.delivery.kind)
    return _closed(opening, message, MAX_WEB_PUSH_PLAINTEXT_BYTES, with_challenge)


def fcm_message(message: Message, token: str, now: int, *, with_challenge: bool = True) -> bytes:
    """Return the body for Google, HTTP v1: a message of ``data`` alone, all values strings.

    ``challenge`` is its JSON as text. The message lives until the delivery's ``not_after``; with
    no time left, ``now`` (seconds since the epoch) or never.
    """
    opening = _opening(message.integrator_name, message.delivery.kind)
    bare = b'%b%b"' % (opening, message.delivery.request_id.encode())
    data = bare + b"}"
    if with_challenge and message.challenge is not None:
        # In a string, the quotes of its JSON are escaped; it has nothing else that need be.
        text = _written(message.challenge).replace(b'"', rb"\"")
        whole = b'%b,"challenge":"%b"}' % (bare, text)
        data = whole if len(whole) <= MAX_PAYLOAD_BYTES else data
    ttl = min(max(0, message.delivery.not_after - now), MAX_FCM_TTL_SECONDS)
    return b'{"message":{"token":%b,"data":%b,"android":{"priority":"%b","ttl":"%ds"}}}' % (
        msgspec.json.encode(token),
        data,
        _ANDROID_PRIORITY[message.delivery.kind],
        ttl,
    )


@lru_cache(maxsize=MAX_OPENINGS)
def _apns_opening(integrator_name: str, kind: DeliveryKind) -> bytes:
    """Return the payload up to where the request's id stands."""
    return b'{"aps":{"alert":{"title":%b}%b,"type":"%b","request_id":"' % (
        _title(integrator_name, kind),
        _APNS_OPENING[kind],
        kind.encode(),
    )


@lru_cache(maxsize=MAX_OPENINGS)
def _opening(integrator_name: str, kind: DeliveryKind) -> bytes:
    """Return the JSON of the other channels up to where the request's id stands."""
    title = _title(integrator_name, kind)
    return b'{"title":%b,"type":"%b","request_id":"' % (title, kind.encode())


def _title(integrator_name: str, kind: DeliveryKind) -> bytes:
    if kind == "approval_request":
        return msgspec.json.encode(f"{integrator_name} is requesting approval")
    return msgspec.json.encode(f"{integrator_name}: request closed")


def _closed(opening: bytes, message: Message, limit: int, with_challenge: bool) -> bytes:  # noqa: FBT001 - private, and passed on by name
    request_id = message.delivery.request_id.encode()  # of this relay: JSON need not escape it
    if with_challenge and message.challenge is not None:
        whole = b'%b%b","challenge":%b}' % (opening, request_id, _written(message.challenge))
        if len(whole) <= limit:
            return whole
    return b'%b%b"}' % (opening, request_id)


def _written(challenge: Envelope) -> bytes:
    """Return what ``Envelope.encode`` returns for a signature of the relay's, in half the time."""
    return b'{"payloadType":"%b","payload":"%b","signatures":[{"keyid":"%b","sig":"%b"}]}' % (
        challenge.payload_type.encode(),
        b2a_base64(challenge.payload, newline=False),
        challenge.keyid.encode(),
        b2a_base64(challenge.signature, newline=False),
    )
