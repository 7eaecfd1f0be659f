"""What an enrolment's evidence proves, and whether policy accepts it (PROTOCOL §4.3, §4.6).

The evidence itself is judged by a verifier of `quorumkey_attestation`, which the relay is set up
with: `quorumkey_relay.attestation`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from quorumkey.protocol import PublicKey, admits, b64decode
from quorumkey.protocol.limits import NONCE_BYTES
from quorumkey_attestation import AttestationError, Expectation
from quorumkey_attestation.counters import require_unbound
from quorumkey_attestation.evidence import MEMBERS, check_form
from quorumkey_attestation.explain import explain
from quorumkey_attestation.result import Assurance
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.principals import Attestation, BoundAppAttestKey
from quorumkey_relay.store.writes import BindAppAttestKey, PutAttestation

if TYPE_CHECKING:
    from quorumkey.protocol import Enrollment, JsonValue
    from quorumkey_attestation import Verifier
    from quorumkey_attestation.result import Result
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.protocol import Directory
    from quorumkey_relay.store.writes import Commit, Write
    from quorumkey_relay.usecases.commands import AttestationBody
    from quorumkey_relay.usecases.ports import Policy

PASSKEY: Final = Assurance.PASSKEY.value
REATTESTED: Final = "reattested"

OTHER_MEMBERS = Refusal(
    "invalid_request", "attestation: send exactly the members that its format has."
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What attestation proved, and the evidence to keep, as JSON.

    ``assurance`` None proves nothing: it leaves a known device's level as it is. ``result`` is
    what the verifier found; None where nothing was judged, or nothing was there to judge.
    """

    assurance: str | None
    evidence: bytes | None = None
    result: Result | None = None


class Attestor(Protocol):
    """Judges the evidence of an enrolment."""

    async def __call__(
        self, enrollment: Enrollment, attestation: AttestationBody | None, *, now: int
    ) -> Verdict | Refusal:
        """Return the level that the evidence proves, or why it is refused."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class AttestEnrollment:
    """Judges evidence by ``verifier``, where the relay asks for any."""

    policy: Policy
    verifier: Verifier

    async def __call__(
        self, enrollment: Enrollment, attestation: AttestationBody | None, *, now: int
    ) -> Verdict | Refusal:
        """See ``Attestor``; raises nothing that a device can cause."""
        if attestation is None:
            return Verdict(None)
        if self.policy.attestation == "off":
            return _unjudged(attestation)
        return judge(attestation, self.verifier, _expectation(enrollment, now))


def judge(
    attestation: AttestationBody, verifier: Verifier, expected: Expectation
) -> Verdict | Refusal:
    """Return what evidence in one of the formats of an enrolment proves, or why it does not."""
    evidence = _members(attestation)
    if isinstance(evidence, Refusal):
        return evidence
    kept = msgspec.json.encode(attestation)
    try:
        result = verifier.verify(evidence, expected)
    except AttestationError as error:
        return rejected(error)
    if result.assurance is Assurance.NONE:
        return Verdict(None, kept)
    return Verdict(result.assurance.value, kept, result)


def _unjudged(attestation: AttestationBody) -> Verdict | Refusal:
    """Keep evidence for integrators, who may judge it; it must be able to be what it says."""
    evidence = _members(attestation)
    if isinstance(evidence, Refusal):
        return evidence
    try:
        check_form(evidence)
    except AttestationError as error:
        return rejected(error)
    return Verdict(None, msgspec.json.encode(attestation))


def _members(attestation: AttestationBody) -> dict[str, object] | Refusal:
    evidence: dict[str, object] = msgspec.to_builtins(attestation)
    if set(evidence) != {"format", *MEMBERS[attestation.format]}:
        return OTHER_MEMBERS
    return evidence


def _expectation(enrollment: Enrollment, now: int) -> Expectation:
    return Expectation(
        nonce=b64decode(enrollment.nonce, field="nonce", length=NONCE_BYTES),
        device_public_key=PublicKey.from_base64(enrollment.device_public_key).compressed,
        now=now,
    )


def rejected(error: AttestationError) -> Refusal:
    """Return the refusal of evidence: a sentence for people, the reason for programs."""
    details: dict[str, JsonValue] = {"reason": error.reason.value}
    if error.check is not None:
        details["check"] = error.check
    return Refusal("attestation_rejected", explain(error), details)


def below_floor(device: Device, policy: Policy) -> Refusal | None:
    """Refuse a device that would enrol below the floor, where attestation is required (§4.6).

    What counts is the level that the device has after the enrolment, proved now or before: a key
    in Android hardware can be attested only once, when it is made.
    """
    floor = policy.attestation_floor
    if policy.attestation != "required" or admits(device.assurance, floor):
        return None
    return Refusal(
        "attestation_required",
        f"This relay pairs only devices whose key is proved to live at level {floor} or higher;"
        " send attestation evidence that proves it.",
        {"assurance": device.assurance, "floor": floor},
    )


def heeded(verdict: Verdict, known: Device | None) -> Verdict:
    """Return what of a verdict counts for a device that is known; for a new one, all of it.

    Evidence that proves no more than ``passkey`` may be signed by nobody, so whoever holds the key
    or its session could have made it: it takes no proved level away, it makes no passkey of a key
    that does not sign as one, and it lifts no flag.
    """
    if known is None or verdict.assurance != PASSKEY:
        return verdict
    if known.form == "webauthn" and not admits(known.assurance, PASSKEY):
        return verdict
    return replace(verdict, assurance=None, result=None)


def proof_of(verdict: Verdict, device: str, directory: Directory, *, now: int) -> Commit | Refusal:
    """Return the writes that record what a device has just proved.

    Refused is an App Attest key that vouches for another device already.
    """
    result, evidence = verdict.result, verdict.evidence
    if result is None or evidence is None:
        return ()
    writes: list[Write] = [
        PutAttestation(
            Attestation(
                device=device,
                format=result.format,
                assurance=result.assurance.value,
                judged_at=now,
                evidence=evidence,
                serials=result.serials,
                quirks=result.quirks,
            )
        )
    ]
    key = result.app_attest_key
    if key is not None:
        bound = directory.app_attest_key(key.key_id)
        try:
            require_unbound(
                key.key_id, bound_to=None if bound is None else bound.device, user=device
            )
        except AttestationError as error:
            return rejected(error)
        record = BoundAppAttestKey(
            key_id=key.key_id,
            device=device,
            public_key=key.point,
            app_id=key.app_id,
            environment=key.environment,
            counter=key.counter,
        )
        writes.append(BindAppAttestKey(record, key.receipt))
    return tuple(writes)
