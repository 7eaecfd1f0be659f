"""Challenge envelopes: signed when first delivered or read (PROTOCOL §7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey.protocol import Challenge, Kind, RequestDocument, sign

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope, PrivateKey
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored

MAX_KEPT_CHALLENGES: Final = 20_000
MAX_KEPT_REQUESTS: Final = 2_048


class _Template(NamedTuple):
    """A request's challenge but for the device: the payload before and after its fingerprint."""

    key: PrivateKey
    before: bytes
    after: bytes


class Challenges:
    """Signs challenges and keeps the latest ones.

    Relay signatures are deterministic (RFC 6979), so one that is made again is the same bytes:
    a challenge needs no place in the store.
    """

    def __init__(self, keys: RelayKeys, store: Store) -> None:
        """Sign with ``keys``; integrators' names come from ``store``."""
        self._keys = keys
        self._store = store
        self._kept: dict[tuple[str, str], Envelope] = {}
        self._templates: dict[str, _Template] = {}

    def envelope(self, stored: Stored, device: str, now: int) -> Envelope:
        """Return the challenge of a request for one of its devices."""
        slot = (stored.terms.request_id, device)
        kept = self._kept.get(slot)
        if kept is not None:
            return kept
        key = self._keys.current(now)
        template = self._templates.get(stored.terms.request_id)
        if template is None or template.key is not key:
            template = self._template(stored, device, key)
        payload = b"%b%b%b" % (template.before, device.encode(), template.after)
        envelope = sign(Kind.CHALLENGE, payload, key)
        self._kept[slot] = envelope
        if len(self._kept) > MAX_KEPT_CHALLENGES:
            del self._kept[next(iter(self._kept))]
        return envelope

    def _template(self, stored: Stored, device: str, key: PrivateKey) -> _Template:
        """Write a request's challenge once; for the other devices only the fingerprint differs."""
        challenge = Challenge(
            relay=key.public_key.fingerprint,
            request_id=stored.terms.request_id,
            request_digest=stored.terms.digest,
            device=device,
            integrator_name=self.integrator_name(stored),
            expires_at=stored.terms.expires_at,
        )
        # A quotation mark within a value is escaped, so this stands in the payload once.
        member = b'"device":"%b"' % device.encode()
        before, after = challenge.encode().split(member)
        template = _Template(key, before + b'"device":"', b'"' + after)
        self._templates[stored.terms.request_id] = template
        if len(self._templates) > MAX_KEPT_REQUESTS:
            del self._templates[next(iter(self._templates))]
        return template

    def integrator_name(self, stored: Stored) -> str:
        """Return who asks, as people know it."""
        known = self._store.directory.integrator(stored.terms.integrator_id)
        if known is not None:
            return known.name
        return RequestDocument.decode(stored.document.payload).integrator.name or ""
