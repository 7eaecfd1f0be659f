"""Challenge envelopes: signed when first delivered or read (PROTOCOL §7)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import Challenge, Kind, RequestDocument, sign

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored

MAX_KEPT_CHALLENGES: Final = 20_000


class Challenges:
    """Signs challenges and keeps the latest ones.

    Relay signatures are deterministic (RFC 6979), so one that is made again is the same bytes:
    a challenge needs no place in the store.
    """

    def __init__(self, keys: RelayKeys, store: Store) -> None:
        """Sign with ``keys``; integrators' names come from ``store``."""
        self._keys = keys
        self._store = store
        self._kept: OrderedDict[tuple[str, str], Envelope] = OrderedDict()

    def envelope(self, stored: Stored, device: str, now: int) -> Envelope:
        """Return the challenge of a request for one of its devices."""
        slot = (stored.terms.request_id, device)
        kept = self._kept.get(slot)
        if kept is not None:
            return kept
        key = self._keys.current(now)
        challenge = Challenge(
            relay=key.public_key.fingerprint,
            request_id=stored.terms.request_id,
            request_digest=stored.terms.digest,
            device=device,
            integrator_name=self.integrator_name(stored),
            expires_at=stored.terms.expires_at,
        )
        envelope = sign(Kind.CHALLENGE, challenge.encode(), key)
        self._kept[slot] = envelope
        if len(self._kept) > MAX_KEPT_CHALLENGES:
            self._kept.popitem(last=False)
        return envelope

    def integrator_name(self, stored: Stored) -> str:
        """Return who asks, as people know it."""
        known = self._store.directory.integrator(stored.terms.integrator_id)
        if known is not None:
            return known.name
        return RequestDocument.decode(stored.document.payload).integrator.name or ""
