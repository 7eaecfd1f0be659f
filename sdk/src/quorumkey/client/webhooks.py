"""Webhooks as a receiver reads them (PROTOCOL §10, Standard Webhooks)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.client._fields import Fields
from quorumkey.client.models import Event
from quorumkey.errors import ProtocolError, UnexpectedAnswerError
from quorumkey.protocol import webhook
from quorumkey.protocol.limits import MAX_BODY_BYTES
from quorumkey.protocol.strict_json import loads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["parse_webhook", "read_event"]


def parse_webhook(
    headers: Mapping[str, str], body: bytes, secrets: str | Sequence[str], now: int
) -> Event:
    """Check a webhook's signature and read it.

    The event is a reason to look, not a proof: it says what the relay claims. Pass it to
    ``client.webhooks.receive``, or the request to ``client.requests.resolve``, before acting on
    an approval. Deliveries are repeated until they are answered with 2xx: drop an ``event_id``
    that was handled before.

    Args:
        headers: the HTTP headers, names in any case.
        body: the body's exact bytes.
        secrets: the ``whsec_…`` secret, or during a rotation the old and the new one.
        now: the receiver's clock in epoch seconds.

    Raises:
        ProtocolError: ``invalid_signature`` (also a missing header and a delivery more than five
            minutes old) or ``invalid_json``.
    """
    event_id = webhook.verify(secrets, headers, body, now=now)
    try:
        return read_event(event_id, body)
    except UnexpectedAnswerError as error:
        raise ProtocolError("invalid_request", str(error)) from None


def read_event(event_id: str, body: bytes) -> Event:
    """Read an event's JSON.

    Raises:
        ProtocolError: ``invalid_json`` or ``payload_too_large``.
        UnexpectedAnswerError: it lacks a member of its type.
    """
    return Event.parse(event_id, Fields(loads(body, max_bytes=MAX_BODY_BYTES), "the event"))
