"""An enrolled device proves anew where its key lives (docs/protocol.md, section 7)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey.errors import ProtocolError
from quorumkey.protocol import b64decode
from quorumkey.protocol.limits import NONCE_BYTES
from quorumkey_attestation import AttestationError, Expectation, Reason
from quorumkey_attestation.apple.assertion import verify_app_assertion
from quorumkey_attestation.apple.policy import AppAttestKey
from quorumkey_attestation.result import Assurance
from quorumkey_relay.domain.lifecycle import REVOKED
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.nonces import NONCE_EXPIRED
from quorumkey_relay.identity.principals import Attestation
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.writes import AdvanceCounter, PutAttestation
from quorumkey_relay.usecases.attest import (
    OTHER_MEMBERS,
    REATTESTED,
    below_floor,
    heeded,
    judge,
    proof_of,
    rejected,
)
from quorumkey_relay.usecases.commands import AttestationBody
from quorumkey_relay.usecases.ports import rate_limited
from quorumkey_relay.usecases.views import ReattestedView

if TYPE_CHECKING:
    from quorumkey_attestation import Verifier
    from quorumkey_attestation.apple.policy import AppAttestPolicy
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.nonces import Nonces
    from quorumkey_relay.identity.principals import BoundAppAttestKey, Device
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.commands import ReattestationBody, ReattestBody
    from quorumkey_relay.usecases.ports import Limiter, Policy
    from quorumkey_relay.usecases.standing import Standing

ASSERTION: Final = "apple-app-attest-assertion"
KEY_ID_BYTES: Final = 32  # bytes of an App Attest key's identifier

JUDGES_NOTHING: Final = Refusal(
    "attestation_rejected",
    "This relay judges no evidence: its setting attestation is off.",
    {"reason": Reason.UNSUPPORTED.value},
)


@dataclass(frozen=True, slots=True)
class Proof:
    """What new evidence proves, and the writes that record it; None where it proves nothing."""

    assurance: str | None
    writes: Commit = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ReattestDevice:
    """Judges evidence of an enrolled device; the newest that holds decides its level.

    ``app_attest`` is what assertions are judged by; None takes none.
    """

    store: Store
    clock: Clock
    nonces: Nonces
    policy: Policy
    verifier: Verifier
    app_attest: AppAttestPolicy | None
    standing: Standing
    device_limit: Limiter

    async def __call__(self, *, device: str, body: ReattestBody) -> ReattestedView | Refusal:
        """Return the level of the device from now on; raises ``ProtocolError``.

        Evidence that does not hold changes nothing, and spends its nonce.
        """
        if (wait := self.device_limit.charge(device)) is not None:
            return rate_limited(wait)
        now = self.clock.now()
        nonce = b64decode(body.nonce, field="nonce", length=NONCE_BYTES)
        if not self.nonces.spend(nonce, now):
            return NONCE_EXPIRED
        known = self.store.directory.device(device)
        if known is None or not known.usable:
            return REVOKED
        expected = Expectation(nonce=nonce, device_public_key=known.public_key, now=now)
        proof = self._judge(known, body.attestation, expected)
        return proof if isinstance(proof, Refusal) else await self._record(known, proof)

    async def _record(self, known: Device, proof: Proof) -> ReattestedView | Refusal:
        level = proof.assurance or known.assurance
        refused = below_floor(replace(known, assurance=level), self.policy)
        if refused is not None:
            return refused
        regrading = self.standing.regrading(known, assurance=level, reason=REATTESTED)
        try:
            await self.store.commit((*proof.writes, *regrading))
        except Conflict:
            # Whoever came first has moved the counter: this is an old assertion, or a copied key.
            return rejected(
                AttestationError(
                    Reason.COUNTER, "The counter moved on meanwhile.", check="counters/1-claim"
                )
            )
        return ReattestedView(known.fingerprint, level)

    def _judge(
        self, known: Device, attestation: ReattestationBody, expected: Expectation
    ) -> Proof | Refusal:
        if self.policy.attestation == "off":
            return JUDGES_NOTHING
        if attestation.format == ASSERTION:
            return self._judge_assertion(known, attestation, expected)
        as_enrolling = _as_enrolling(attestation)
        if isinstance(as_enrolling, Refusal):
            return as_enrolling
        verdict = judge(as_enrolling, self.verifier, expected)
        if isinstance(verdict, Refusal):
            return verdict
        verdict = heeded(verdict, known)
        writes = proof_of(verdict, known.fingerprint, self.store.directory, now=expected.now)
        return writes if isinstance(writes, Refusal) else Proof(verdict.assurance, writes)

    def _judge_assertion(
        self, known: Device, attestation: ReattestationBody, expected: Expectation
    ) -> Proof | Refusal:
        if set(msgspec.to_builtins(attestation)) != {"format", "key_id", "assertion"}:
            return OTHER_MEMBERS
        try:
            return self._assertion(known, attestation, expected)
        except AttestationError as error:
            return rejected(error)

    def _assertion(
        self, known: Device, attestation: ReattestationBody, expected: Expectation
    ) -> Proof:
        """Judge an assertion by the App Attest key that vouches for this device.

        1. Both members are strict base64, and the key is one that is bound to this device.
        2. The assertion is that key's, over the nonce followed by the device's public key, from an
           app and an environment that are still allowed, and with a counter that has grown.

        Raises ``AttestationError``.
        """
        key_id = _bytes(attestation.key_id, "key_id")
        assertion = _bytes(attestation.assertion, "assertion")
        if self.app_attest is None:
            raise AttestationError(Reason.UNSUPPORTED, "No app is allowed.", check="reattest/1-app")
        bound = self._bound(known, key_id)
        accepted = verify_app_assertion(
            assertion,
            client_data=expected.nonce + expected.device_public_key,
            key=AppAttestKey.stored(
                key_id=bound.key_id,
                public_key_point=bound.public_key,
                app_id=bound.app_id,
                environment=bound.environment,
            ),
            last_counter=bound.counter,
            policy=self.app_attest,
            challenge=expected.nonce,
        )
        level = Assurance.SECURE_ENCLAVE.value
        record = Attestation(
            device=known.fingerprint,
            format=ASSERTION,
            assurance=level,
            judged_at=expected.now,
            evidence=msgspec.json.encode(attestation),
        )
        counted = AdvanceCounter(key_id, expected=bound.counter, new=accepted.counter)
        return Proof(level, (counted, PutAttestation(record)))

    def _bound(self, known: Device, key_id: bytes) -> BoundAppAttestKey:
        bound = self.store.directory.app_attest_key(key_id)
        # Another device's key is refused as one that nobody has: which exist is not told.
        if bound is None or bound.device != known.fingerprint:
            raise AttestationError(
                Reason.KEY_MISMATCH,
                "This App Attest key does not vouch for this device.",
                check="reattest/1-key",
            )
        return bound


def _as_enrolling(attestation: ReattestationBody) -> AttestationBody | Refusal:
    """Return evidence in a format of enrolment as an enrolment carries it."""
    if attestation.assertion is not msgspec.UNSET or attestation.format == ASSERTION:
        return OTHER_MEMBERS
    return AttestationBody(
        format=attestation.format,
        key_id=attestation.key_id,
        object=attestation.object,
        chain=attestation.chain,
        attestation_object=attestation.attestation_object,
        client_data_json=attestation.client_data_json,
    )


def _bytes(text: str | msgspec.UnsetType, member: str) -> bytes:
    """Read strict base64; what is not is refused as evidence, with its reason."""
    try:
        if isinstance(text, str):
            length = KEY_ID_BYTES if member == "key_id" else None
            return b64decode(text, field=member, length=length)
    except ProtocolError:
        pass
    raise AttestationError(
        Reason.MALFORMED, f"{member} must be base64.", check="reattest/1-members"
    )
