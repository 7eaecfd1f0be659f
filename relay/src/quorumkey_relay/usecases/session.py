"""Devices open sessions and streams (PROTOCOL §6, §7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quorumkey.protocol import PublicKey, Session, b64encode, format_time
from quorumkey_relay.domain.lifecycle import REVOKED
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutDevice
from quorumkey_relay.usecases.views import ChallengeView, SessionView

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.nonces import Nonces
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.identity.sessions import Sessions
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.authenticate import Authenticated, Authenticator

SESSION_KEY_CANNOT = Refusal(
    "invalid_request", "session_public_key: only the device key may name a session key."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class IssueNonce:
    """Gives a device a nonce to sign."""

    clock: Clock
    keys: RelayKeys
    nonces: Nonces

    async def __call__(self) -> ChallengeView | Refusal:
        """Return a nonce, good once and for five minutes."""
        now = self.clock.now()
        issued = self.nonces.issue(now)
        if isinstance(issued, Refusal):
            return issued
        nonce, expires_at = issued
        key = self.keys.current(now).public_key
        return ChallengeView(b64encode(nonce), format_time(expires_at), key.fingerprint, key.base64)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSession:
    """Trades a ``session`` envelope for a token, or lets a stream in."""

    store: Store
    clock: Clock
    sessions: Sessions
    authenticate: Authenticator

    async def __call__(self, *, envelope: Envelope) -> SessionView | Refusal:
        """Return a bearer token; raises ``ProtocolError``."""
        known = self.authenticate(envelope, Session)
        if isinstance(known, Refusal):
            return known
        refused = await self._keep(known)
        if refused is not None:
            return refused
        token, expires_at = self.sessions.open(known.device.fingerprint, self.clock.now())
        return SessionView(token, format_time(expires_at))

    async def stream(self, *, envelope: Envelope, nonce: bytes) -> str | Refusal:
        """Return whose stream this is; ``nonce`` is the one its hello gave."""
        known = self.authenticate(envelope, Session, expected_nonce=nonce)
        if isinstance(known, Refusal):
            return known
        return await self._keep(known) or known.device.fingerprint

    def device(self, token: str) -> str | None:
        """Return whose token this is, if it is in force."""
        return self.sessions.device(token, self.clock.now())

    async def _keep(self, known: Authenticated[Session]) -> Refusal | None:
        """Store what the envelope changes: a session key, a passkey's counter."""
        device: Device = known.device
        if known.statement.session_public_key is not None:
            if not known.by_device_key:
                return SESSION_KEY_CANNOT
            key = PublicKey.from_base64(known.statement.session_public_key)
            device = replace(device, session_key=key.compressed)
        if device != self.store.directory.device(device.fingerprint):
            await self.store.commit((PutDevice(device),))
            # A revocation or unpairing that came meanwhile has ended what was open by then.
            current = self.store.directory.device(device.fingerprint)
            if current is None or not current.usable:
                return REVOKED
        return None
