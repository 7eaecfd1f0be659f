"""What a push carries (PROTOCOL §7): a title, what it is about, and the signed challenge.

Nothing of the action is in it. Where the challenge would not fit the provider's limit, or it is
asked for without, the app fetches it: every message without one is far below every limit.

The JSON is put together from its parts: the challenge is JSON already, and a push is made for each
of many devices.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from quorumkey_relay.delivery.channel import Message

#: APNs: "Sending notification requests to APNs". FCM: "About FCM messages", payload of ``data``.
MAX_PAYLOAD_BYTES: Final = 4_096
#: A Web Push body of 4,096 bytes without its header, tag and delimiter (RFC 8188, RFC 8291).
MAX_WEB_PUSH_PLAINTEXT_BYTES: Final = 3_993
#: "Customizing messages": four weeks.
MAX_FCM_TTL_SECONDS: Final = 2_419_200

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
    opening = b'{"aps":{"alert":{"title":%b}%b,' % (
        msgspec.json.encode(_title(message)),
        _APNS_OPENING[message.delivery.kind],
    )
    return _closed(opening + _about(message), message, MAX_PAYLOAD_BYTES, with_challenge)


def webpush_payload(message: Message, *, with_challenge: bool = True) -> bytes:
    """Return the plaintext for a browser: ``title``, ``type``, ``request_id``, ``challenge``."""
    opening = b'{"title":%b,' % msgspec.json.encode(_title(message))
    limit = MAX_WEB_PUSH_PLAINTEXT_BYTES
    return _closed(opening + _about(message), message, limit, with_challenge)


def fcm_message(message: Message, token: str, now: int, *, with_challenge: bool = True) -> bytes:
    """Return the body for Google, HTTP v1: a message of ``data`` alone, all values strings.

    ``challenge`` is its JSON as text. The message lives until the delivery's ``not_after``; with
    no time left, ``now`` (seconds since the epoch) or never.
    """
    opening = b'{"title":%b,' % msgspec.json.encode(_title(message))
    bare = opening + _about(message)
    data = bare + b"}"
    if with_challenge and message.challenge is not None:
        text = msgspec.json.encode(message.challenge.encode().decode())
        whole = bare + b',"challenge":%b}' % text
        data = whole if len(whole) <= MAX_PAYLOAD_BYTES else data
    ttl = min(max(0, message.delivery.not_after - now), MAX_FCM_TTL_SECONDS)
    return b'{"message":{"token":%b,"data":%b,"android":{"priority":"%b","ttl":"%ds"}}}' % (
        msgspec.json.encode(token),
        data,
        _ANDROID_PRIORITY[message.delivery.kind],
        ttl,
    )


def _title(message: Message) -> str:
    if message.delivery.kind == "approval_request":
        return f"{message.integrator_name} is requesting approval"
    return f"{message.integrator_name}: request closed"


def _about(message: Message) -> bytes:
    # Both are this relay's own words and ids, which JSON need not escape.
    delivery = message.delivery
    return f'"type":"{delivery.kind}","request_id":"{delivery.request_id}"'.encode()


def _closed(bare: bytes, message: Message, limit: int, with_challenge: bool) -> bytes:  # noqa: FBT001 - private, and passed on by name
    if with_challenge and message.challenge is not None:
        whole = b'%b,"challenge":%b}' % (bare, message.challenge.encode())
        if len(whole) <= limit:
            return whole
    return bare + b"}"
