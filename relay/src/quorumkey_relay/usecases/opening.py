"""The way in of every request, whatever its profile: terms, a signature, messages to devices."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.protocol import Kind, request_digest, sign
from quorumkey_relay.domain.model import State, terms_of
from quorumkey_relay.store.records import Stored
from quorumkey_relay.store.writes import OpenRequest, PutDelivery
from quorumkey_relay.usecases.render import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey.protocol import PrivateKey, RequestDocument
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.store.writes import Commit

NONCE_BYTES: Final = 32


def sealed(
    document: RequestDocument,
    *,
    persons: Mapping[str, str],
    key: PrivateKey,
    match_code: str | None = None,
) -> Stored:
    """Return a new request with its document as the relay signs it.

    ``persons`` maps the fingerprint of each named device to the approver it is paired for.
    """
    payload = encode(document.to_json())  # as the kernel would, in a fifth of the time
    terms = terms_of(
        document, digest=request_digest(payload), persons=persons, match_code=match_code
    )
    envelope = sign(Kind.REQUEST, payload, key)
    return Stored(terms=terms, state=State(), document=envelope, nonce=document.nonce)


def opening(stored: Stored, *, plan: DeliveryPlan, now: int) -> Commit:
    """Return the writes that open a request and notify its devices."""
    return (
        OpenRequest(stored),
        *(PutDelivery(delivery) for delivery in plan.opening(stored, now)),
    )
