"""Webhook signatures as Standard Webhooks has them (protocol section 10).

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md:
HMAC-SHA256 over ``id.timestamp.body``, written ``v1,<base64>``; several may stand in one header,
separated by spaces, while a secret is rotated.
"""

from __future__ import annotations

import hmac
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol.encoding import b64decode, b64encode
from quorumkey.protocol.limits import (
    MAX_WEBHOOK_SECRET_BYTES,
    MAX_WEBHOOK_SIGNATURES,
    MIN_WEBHOOK_SECRET_BYTES,
    WEBHOOK_TOLERANCE_SECONDS,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["generate_secret", "sign", "verify"]

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - the public prefix, no secret
_SCHEME: Final = "v1"
_TIMESTAMP: Final = re.compile(r"(?:0|[1-9][0-9]{0,11})", re.ASCII)
_MESSAGE_ID: Final = re.compile(r"[!-\-/-~]{1,128}", re.ASCII)  # visible ASCII without the dot


def _refuse(message: str) -> ProtocolError:
    return ProtocolError("invalid_signature", message)


def generate_secret(random: bytes) -> str:
    """Make a secret ``whsec_<base64>`` of random bytes.

    Args:
        random: 24 to 64 of them, fresh from the caller's source (`WEBHOOK_SECRET_BYTES` is 32).

    Raises:
        ProtocolError: ``invalid_request``; too few or too many bytes.
    """
    secret = _SECRET_PREFIX + b64encode(random)
    _key(secret)
    return secret


def _key(secret: str) -> bytes:
    key = b64decode(secret.removeprefix(_SECRET_PREFIX), field="The webhook secret")
    if (
        not secret.startswith(_SECRET_PREFIX)
        or not MIN_WEBHOOK_SECRET_BYTES <= len(key) <= MAX_WEBHOOK_SECRET_BYTES
    ):
        message = "The webhook secret must be whsec_ and 24 to 64 bytes in base64."
        raise ProtocolError("invalid_request", message)
    return key


def sign(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Sign one delivery; answers one entry of the ``webhook-signature`` header.

    Args:
        secret: ``whsec_<base64>``.
        message_id: the event's id, the ``webhook-id`` header.
        timestamp: epoch seconds of this attempt, the ``webhook-timestamp`` header.
        body: the exact body bytes.

    Raises:
        ProtocolError: ``invalid_request``; the secret, id or timestamp has another form.
    """
    if not _MESSAGE_ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(str(timestamp)):
        message = "A webhook id must be visible ASCII without a dot, a timestamp epoch seconds."
        raise ProtocolError("invalid_request", message)
    return f"{_SCHEME},{b64encode(_digest(_key(secret), message_id, timestamp, body))}"


def _digest(key: bytes, message_id: str, timestamp: int, body: bytes) -> bytes:
    return hmac.digest(key, b"%b.%d.%b" % (message_id.encode(), timestamp, body), sha256)


def _header(headers: Mapping[str, str], name: str) -> str:
    # Header names have no case; a name that stands twice in two cases has no one value.
    values = [value for key, value in headers.items() if key.lower() == name]
    if len(values) != 1:
        message = f"The header {name} must stand there once."
        raise _refuse(message)
    return values[0]


def verify(
    secrets: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes,
    *,
    now: int,
    tolerance_seconds: int = WEBHOOK_TOLERANCE_SECONDS,
) -> str:
    """Check a delivery under any of `secrets`; answers its id, by which to drop repeats.

    An approval it reports is acted on only after its receipt was fetched and verified.

    Args:
        secrets: one ``whsec_<base64>``, or the old and the new one during a rotation.
        headers: the request's headers, names in any case.
        body: the exact body bytes, before anything parsed them.
        now: the receiver's clock in epoch seconds.
        tolerance_seconds: how far the timestamp may be from `now`, either way.

    Raises:
        ProtocolError: ``invalid_signature``; or ``invalid_request`` for an unusable secret.
    """
    keys = [_key(secret) for secret in ([secrets] if isinstance(secrets, str) else secrets)]
    message_id = _header(headers, "webhook-id")
    sent = _header(headers, "webhook-timestamp")
    entries = _header(headers, "webhook-signature").split(" ")
    if not _MESSAGE_ID.fullmatch(message_id) or not _TIMESTAMP.fullmatch(sent):
        message = "The webhook's id or timestamp is malformed."
        raise _refuse(message)
    timestamp = int(sent)
    if abs(now - timestamp) > tolerance_seconds:
        message = "The webhook's timestamp is too far from now."
        raise _refuse(message)
    if len(entries) > MAX_WEBHOOK_SIGNATURES:
        message = "The webhook has too many signatures."
        raise _refuse(message)
    for key in keys:
        expected = f"{_SCHEME},{b64encode(_digest(key, message_id, timestamp, body))}".encode()
        # Both as bytes: compare_digest refuses text that is not ASCII.
        if any(hmac.compare_digest(expected, entry.encode(errors="replace")) for entry in entries):
            return message_id
    message = "No signature of the webhook is made with an expected secret."
    raise _refuse(message)
