from __future__ import annotations

from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from quorumkey.errors import ProtocolError
from quorumkey.protocol import webhook

_NOW = 1_780_000_000
_ID = "0196675d-3b00-7abc-8def-0123456789ab"
_BODY = '{"type":"mpa.approved","description":"é"}'


def _headers(signature: str, *, timestamp: int = _NOW) -> dict[str, str]:
    return {
        "webhook-id": _ID,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": signature,
    }


def test_reference_accepts_ours() -> None:
    """The reference implementation verifies what we sign."""
    secret = webhook.generate_secret(bytes(range(32)))
    now = int(datetime.now(tz=UTC).timestamp())  # the reference reads the clock itself

    signature = webhook.sign(secret, _ID, now, _BODY.encode())

    assert {"type": "mpa.approved", "description": "é"} == Webhook(secret).verify(
        _BODY, _headers(signature, timestamp=now)
    )


def test_we_accept_the_references() -> None:
    """We verify what the reference implementation signs, and answer the event's id."""
    secret = webhook.generate_secret(bytes(range(24)))

    signature = Webhook(secret).sign(_ID, datetime.fromtimestamp(_NOW, tz=UTC), _BODY)

    assert signature == webhook.sign(secret, _ID, _NOW, _BODY.encode())
    assert _ID == webhook.verify(secret, _headers(signature), _BODY.encode(), now=_NOW)


@pytest.mark.parametrize("header", ["", "v1", "v1,", "garbage", "v1,AAAA", "v2,AAAA", "v1,a,b"])
def test_malformed_headers_are_refused_by_both(header: str) -> None:
    """Where the reference refuses, in whatever way, we refuse with our own error."""
    secret = webhook.generate_secret(bytes(range(32)))

    with pytest.raises((WebhookVerificationError, ValueError)):
        Webhook(secret).verify(_BODY, _headers(header))
    with pytest.raises(ProtocolError) as caught:
        webhook.verify(secret, _headers(header), _BODY.encode(), now=_NOW)
    assert "invalid_signature" == caught.value.code


def test_tolerance_is_the_callers() -> None:
    """Another tolerance moves the limit."""
    secret = webhook.generate_secret(bytes(range(32)))
    headers = _headers(webhook.sign(secret, _ID, _NOW, b""))

    assert _ID == webhook.verify(secret, headers, b"", now=_NOW + 5, tolerance_seconds=5)
    with pytest.raises(ProtocolError, match="too far from now"):
        webhook.verify(secret, headers, b"", now=_NOW + 6, tolerance_seconds=5)


@pytest.mark.parametrize("length", [0, 23, 65])
def test_secrets_of_other_lengths(length: int) -> None:
    """A secret has 24 to 64 bytes."""
    with pytest.raises(ProtocolError, match="24 to 64 bytes"):
        webhook.generate_secret(bytes(length))


@pytest.mark.parametrize(
    ("message_id", "timestamp"),
    [("", 1), ("a.b", 1), ("é", 1), ("a b", 1), ("a", -1), ("a", 10**12)],
)
def test_nothing_ambiguous_is_signed(message_id: str, timestamp: int) -> None:
    """An id with a dot, or a time that a verifier would not read, is not signed."""
    with pytest.raises(ProtocolError) as caught:
        webhook.sign(webhook.generate_secret(bytes(32)), message_id, timestamp, b"")

    assert "invalid_request" == caught.value.code
