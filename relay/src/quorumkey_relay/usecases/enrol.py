"""A device enrols with a pairing code (PROTOCOL §4.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

from quorumkey.protocol import (
    Enrollment,
    Kind,
    PublicKey,
    Push,
    b64decode,
    media_type,
    pictogram,
    speakable,
    verify_statement,
)
from quorumkey_relay.domain.lifecycle import REVOKED, STALE_COUNTER
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.nonces import NONCE_BYTES, NONCE_EXPIRED
from quorumkey_relay.identity.principals import Device, Pairing
from quorumkey_relay.store.writes import AppendEvent, PutDevice, PutPairing
from quorumkey_relay.usecases.advance import device_event
from quorumkey_relay.usecases.attest import REATTESTED, below_floor, heeded, proof_of
from quorumkey_relay.usecases.authenticate import (
    BAD_SIGNATURE,
    OTHER_AUDIENCE,
    OTHER_RELAY,
    wrong_type,
)
from quorumkey_relay.usecases.pair import (
    NOT_FOR_ADMINISTRATORS,
    PAIRING_EXPIRED,
    open_pairing,
    takes_devices_of,
)
from quorumkey_relay.usecases.views import EnrolledView, PartyView

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope, Verified
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.nonces import Nonces
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.attest import Attestor, Verdict
    from quorumkey_relay.usecases.commands import AttestationBody
    from quorumkey_relay.usecases.ports import Policy
    from quorumkey_relay.usecases.push import PushAddresses
    from quorumkey_relay.usecases.standing import Standing

DEVICE_CONFLICT = Refusal(
    "device_conflict",
    "This device is paired with the integrator for another approver; unpair it first.",
)
OTHER_PUSH = Refusal("invalid_request", "push: it must carry the enrollment's nonce and device.")


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The answer to an enrolment; ``first`` is false when it is given again."""

    view: EnrolledView
    first: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrollDevice:
    """Checks nonce, address, signature, code, key and attestation, and spends the code."""

    store: Store
    clock: Clock
    mint: Mint
    keys: RelayKeys
    addresses: PushAddresses
    nonces: Nonces
    policy: Policy
    attestor: Attestor
    standing: Standing

    async def __call__(  # noqa: C901, PLR0911 - one return a check, in the order of §4.3
        self, *, envelope: Envelope, push: Envelope | None, attestation: AttestationBody | None
    ) -> Enrolled | Refusal:
        """Return the device as the relay knows it now; raises ``ProtocolError``."""
        now = self.clock.now()
        if envelope.payload_type != media_type(Kind.ENROLLMENT):
            return wrong_type(media_type(Kind.ENROLLMENT))
        said = Enrollment.decode(envelope.payload)
        if not self.nonces.spend(b64decode(said.nonce, field="nonce", length=NONCE_BYTES), now):
            return NONCE_EXPIRED
        if said.relay != self.keys.fingerprint(now):
            return OTHER_RELAY
        if self.policy.origins and said.audience not in self.policy.origins:
            return OTHER_AUDIENCE
        key = PublicKey.from_base64(said.device_public_key)
        known = self.store.directory.device(key.fingerprint)
        form = known.form if known is not None else "any"
        verified = verify_statement(
            envelope, Enrollment, key=key, form=form, passkeys=self.policy.passkeys
        )
        pairing = open_pairing(self.store.directory, said.pairing_code, now)
        if isinstance(pairing, Refusal):
            return pairing
        if pairing.device is not None:
            return await self._again(pairing, key.fingerprint, now)
        refused = self._unfit(known, pairing, verified)
        if refused is not None:
            return refused
        verdict = await self.attestor(said, attestation, now=now)
        if isinstance(verdict, Refusal):
            return verdict
        # The attestor may have waited: what the relay knows of the key by now is what counts.
        known = self.store.directory.device(key.fingerprint)
        refused = self._unfit(known, pairing, verified)
        if refused is not None:
            return refused
        verdict = heeded(verdict, known)
        device = self._device(verified, known, assurance=verdict.assurance, now=now)
        refused = below_floor(device, self.policy)
        if refused is not None:
            return refused
        if push is not None:
            addressed = self._with_push(device, said, push, now)
            if isinstance(addressed, Refusal):
                return addressed
            device = addressed
        return await self._tie(device, pairing, envelope, verdict, now)

    def _unfit(
        self, known: Device | None, pairing: Pairing, verified: Verified[Enrollment]
    ) -> Refusal | None:
        """Return why a device cannot be tied by a pairing, as far as the relay knows by now."""
        refused = _unfit(known, pairing, verified)
        if refused is not None or (known and known.paired_with(pairing.integrator_id)):
            return refused
        directory, integrator_id = self.store.directory, pairing.integrator_id
        if not takes_devices_of(directory, integrator_id, pairing.approver_id):
            return NOT_FOR_ADMINISTRATORS
        return None

    async def _tie(
        self, device: Device, pairing: Pairing, envelope: Envelope, verdict: Verdict, now: int
    ) -> Enrolled | Refusal:
        # Of two enrolments with one code, one wins, also where the attestor has waited.
        current = self.store.directory.pairing_by_code(pairing.code_digest)
        if current is None or current.device is not None:
            return PAIRING_EXPIRED
        tie = replace(
            pairing,
            device=device.fingerprint,
            enrolled_at=now,
            enrollment=envelope.encode(),
            attestation=verdict.evidence,
        )
        proof = proof_of(verdict, device.fingerprint, self.store.directory, now=now)
        if isinstance(proof, Refusal):
            return proof
        # What other integrators know of the device changes too, and what it has approved there.
        known = self.store.directory.device(device.fingerprint)
        regraded: Commit = ()
        if known is not None:
            regraded = self.standing.regrading(known, assurance=device.assurance, reason=REATTESTED)
        # A device that is paired here already leaves the older tie for this one.
        older = device.pairings.get(tie.integrator_id)
        left = () if older is None else (PutPairing(replace(older, ended_at=now)),)
        ties = MappingProxyType({**device.pairings, tie.integrator_id: tie})
        device = replace(device, pairings=ties)
        event = device_event("device.enrolled", device, tie, now=now, mint=self.mint)
        await self.store.commit(
            (*regraded, PutDevice(device), *left, PutPairing(tie), *proof, AppendEvent(event))
        )
        return self._answer(device, tie, now, first=True)

    async def _again(self, pairing: Pairing, fingerprint: str, now: int) -> Enrolled | Refusal:
        """Give the first answer again to the key that has just used this code."""
        device = self.store.directory.device(fingerprint)
        if pairing.device != fingerprint or pairing.ended_at is not None or device is None:
            return PAIRING_EXPIRED
        if device.revoked_at is not None:
            return REVOKED
        await self.store.settled()
        return self._answer(device, pairing, now, first=False)

    def _answer(self, device: Device, tie: Pairing, now: int, *, first: bool) -> Enrolled:
        integrator = self.store.directory.integrator(tie.integrator_id)
        name = integrator.name if integrator is not None else tie.integrator_id
        view = EnrolledView(
            fingerprint=device.fingerprint,
            pictogram=list(pictogram(device.fingerprint)),
            pictogram_speakable=speakable(device.fingerprint),
            integrator=PartyView(tie.integrator_id, name),
            relay_public_key=self.keys.current(now).public_key.base64,
            assurance=device.assurance,
        )
        return Enrolled(view, first)

    def _device(
        self,
        verified: Verified[Enrollment],
        known: Device | None,
        *,
        assurance: str | None,
        now: int,
    ) -> Device:
        said = verified.statement
        session_key = None
        if said.session_public_key is not None:
            session_key = PublicKey.from_base64(said.session_public_key).compressed
        if known is not None:
            return replace(
                known,
                platform=said.platform,
                assurance=assurance or known.assurance,
                sign_count=verified.sign_count or 0,
                session_key=session_key or known.session_key,
            )
        key = PublicKey.from_base64(said.device_public_key)
        # Without verified attestation, a WebAuthn key is of the level ``passkey`` (§4.6).
        passkey = verified.envelope.webauthn is not None
        return Device(
            fingerprint=key.fingerprint,
            public_key=key.compressed,
            platform=said.platform,
            form="webauthn" if passkey else "native",
            assurance=assurance or ("passkey" if passkey else "none"),
            enrolled_at=now,
            sign_count=verified.sign_count or 0,
            session_key=session_key,
        )

    def _with_push(
        self, device: Device, enrollment: Enrollment, envelope: Envelope, now: int
    ) -> Device | Refusal:
        if envelope.payload_type != media_type(Kind.PUSH):
            return wrong_type(media_type(Kind.PUSH))
        if envelope.keyid == device.fingerprint:
            key, form = device.key, device.form
        elif device.session_key is not None:
            key, form = PublicKey.from_compressed(device.session_key), "native"
        else:
            return BAD_SIGNATURE
        verified = verify_statement(
            envelope, Push, key=key, form=form, passkeys=self.policy.passkeys
        )
        said = verified.statement
        same = (said.relay, said.nonce) == (enrollment.relay, enrollment.nonce)
        if not same or said.device != device.fingerprint:
            return OTHER_PUSH
        if not device.counter_moved(verified.sign_count):
            return STALE_COUNTER
        device = replace(device, sign_count=verified.sign_count or device.sign_count)
        return self.addresses.given(device, said.push, now=now)


def _unfit(
    known: Device | None, pairing: Pairing, verified: Verified[Enrollment]
) -> Refusal | None:
    """Say why a key may not take this pairing: revoked, another's, or a copied passkey."""
    if known is None:
        return None
    if known.revoked_at is not None:
        return REVOKED
    tie = known.pairings.get(pairing.integrator_id)
    if tie is not None and tie.approver_id != pairing.approver_id:
        return DEVICE_CONFLICT
    return None if known.counter_moved(verified.sign_count) else STALE_COUNTER
