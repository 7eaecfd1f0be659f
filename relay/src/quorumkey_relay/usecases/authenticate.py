"""Envelopes that authenticate a device by themselves: sessions, push addresses, unpairing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Generic, TypeVar

from quorumkey.protocol import (
    PublicKey,
    Push,
    Session,
    Unpair,
    b64decode,
    fingerprint_of,
    media_type,
    verify_statement,
)
from quorumkey_relay.domain.lifecycle import REVOKED, STALE_COUNTER
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.nonces import NONCE_BYTES, NONCE_EXPIRED
from quorumkey_relay.usecases.ports import rate_limited

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope, Verified
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.nonces import Nonces
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.ports import Limiter, Policy

S = TypeVar("S", Session, Push, Unpair)

BAD_SIGNATURE = Refusal(
    "invalid_signature", "The signature does not verify under the device's key."
)
OTHER_RELAY = Refusal("invalid_request", "relay: this envelope is for another relay.")
OTHER_AUDIENCE = Refusal(
    "invalid_request", "audience: this envelope is for another address than this relay's."
)


def wrong_type(kind: str) -> Refusal:
    """Return the refusal of an envelope of another type than the call takes."""
    return Refusal("invalid_request", f"payloadType must be {kind}.")


@dataclass(frozen=True, slots=True)
class Authenticated(Generic[S]):
    """A verified statement and its device, a passkey's new counter already in it."""

    statement: S
    device: Device
    by_device_key: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """Checks nonce, relay, audience, signature and standing, in this order (PROTOCOL §3)."""

    store: Store
    clock: Clock
    keys: RelayKeys
    nonces: Nonces
    policy: Policy
    device_limit: Limiter

    def __call__(
        self,
        envelope: Envelope,
        cls: type[S],
        *,
        expected_nonce: bytes | None = None,
        session_key_allowed: bool = True,
    ) -> Authenticated[S] | Refusal:
        """Authenticate ``envelope`` as a statement of ``cls``.

        ``expected_nonce`` is the nonce of the socket that it came over; without one the nonce
        must be a live one, and is spent. Raises ``ProtocolError``.
        """
        now = self.clock.now()
        if envelope.payload_type != media_type(cls.KIND):
            return wrong_type(media_type(cls.KIND))
        said = cls.decode(envelope.payload)
        nonce = b64decode(said.nonce, field="nonce", length=NONCE_BYTES)
        fresh = nonce == expected_nonce if expected_nonce else self.nonces.spend(nonce, now)
        if not fresh:
            return NONCE_EXPIRED
        refused = self.address(said, now)
        if refused is not None:
            return refused
        device = self.store.directory.device(said.device)
        if device is None:
            return BAD_SIGNATURE
        verified = self._verify(envelope, cls, device, session_key_allowed=session_key_allowed)
        if isinstance(verified, Refusal):
            return verified
        return self._admit(verified, device, by_device_key=envelope.keyid == device.fingerprint)

    def address(self, said: Session | Push | Unpair, now: int) -> Refusal | None:
        """Check that a statement is for this relay and, where it names one, this address."""
        if said.relay != self.keys.fingerprint(now):
            return OTHER_RELAY
        audience = getattr(said, "audience", None)
        if audience is not None and self.policy.origins and audience not in self.policy.origins:
            return OTHER_AUDIENCE
        return None

    def _verify(
        self, envelope: Envelope, cls: type[S], device: Device, *, session_key_allowed: bool
    ) -> Verified[S] | Refusal:
        if envelope.keyid == device.fingerprint:
            return verify_statement(
                envelope, cls, key=device.key, form=device.form, passkeys=self.policy.passkeys
            )
        session_key = device.session_key
        if (
            session_key_allowed
            and session_key is not None
            and envelope.keyid == fingerprint_of(session_key)
        ):
            return verify_statement(envelope, cls, key=PublicKey.from_compressed(session_key))
        return BAD_SIGNATURE

    def _admit(
        self, verified: Verified[S], device: Device, *, by_device_key: bool
    ) -> Authenticated[S] | Refusal:
        if not device.usable:
            return REVOKED
        count = verified.sign_count
        if not device.counter_moved(count):
            return STALE_COUNTER
        wait = self.device_limit.charge(device.fingerprint)
        if wait is not None:
            return rate_limited(wait)
        if count:
            device = replace(device, sign_count=count)
        return Authenticated(verified.statement, device, by_device_key)
