"""Judge evidence from files by the settings of a policy file, and tell what came out.

Each function puts the same question to the library that a server would; what the command adds is
the reading before and the writing after.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key

from quorumkey_attestation import expectations, policy_file
from quorumkey_attestation.android.verification import verify_android_key
from quorumkey_attestation.apple.assertion import verify_app_assertion
from quorumkey_attestation.apple.attestation import verify_app_attestation
from quorumkey_attestation.apple.policy import AppAttestKey
from quorumkey_attestation.apple.receipt import verify_app_receipt
from quorumkey_attestation.counters import require_unbound
from quorumkey_attestation.evidence_files import (
    AppleKind,
    WebAuthnAssertionEvidence,
    WebAuthnRegistrationEvidence,
)
from quorumkey_attestation.play_integrity import (
    IntegrityPayload,
    PlayIntegrityDecoder,
    claim_nonce,
    evaluate_integrity,
)
from quorumkey_attestation.result import Assurance
from quorumkey_attestation.settings import PolicyFileError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quorumkey_attestation.evidence_files import AppleEvidence

__all__ = ["Question", "Verdict", "judge_android", "judge_apple", "judge_play", "judge_webauthn"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What evidence is judged by.

    Attributes:
        settings: the policy file's table, ``expect`` included.
        files: reads the files that it names.
        where: its name, for the messages.
        at: the moment of judgement.
    """

    settings: Mapping[str, object]
    files: policy_file.Files
    where: str
    at: datetime

    @property
    def expect(self) -> tuple[object, str]:
        """The table of what the server knows, and its name."""
        return self.settings.get("expect", {}), f"{self.where} [expect]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What accepted evidence proves.

    Attributes:
        kind: what was judged, in words.
        level: where the key is proved to live; None where that was not the question.
        facts: what else is proved, by name.
        checks: the checks that were passed.
        quirks: deviations that were tolerated, in words.
    """

    kind: str
    level: Assurance | None
    facts: Mapping[str, str | int | bool | list[str] | None]
    checks: tuple[str, ...]
    quirks: tuple[str, ...] = field(default=())


def judge_apple(evidence: AppleEvidence, question: Question) -> Verdict:
    """Judge an App Attest attestation, assertion or receipt.

    Raises:
        AttestationError: it is refused.
        PolicyFileError: the policy cannot be used; each of these functions raises both.
    """
    match evidence.kind:
        case AppleKind.ATTESTATION:
            return _app_attestation(evidence, question)
        case AppleKind.ASSERTION:
            return _app_assertion(evidence.data, question)
        case AppleKind.RECEIPT:
            return _app_receipt(evidence.data, question)


def _app_attestation(evidence: AppleEvidence, question: Question) -> Verdict:
    expected = expectations.expect_apple_attestation(*question.expect)
    policy = policy_file.app_attest_policy(question.settings, question.files, where=question.where)
    key = verify_app_attestation(
        evidence.data,
        key_id=expected.key_id,
        client_data_hash=expected.client_data_hash,
        policy=policy,
        now=question.at,
    )
    if expected.user is not None:
        require_unbound(key.key_id, bound_to=expected.bound_to, user=expected.user)
    return Verdict(
        kind="App Attest attestation",
        level=Assurance.SECURE_ENCLAVE,
        facts={
            "key_id": b64encode(key.key_id).decode(),
            "public_key": key.point.hex(),
            "app_id": key.app_id,
            "environment": key.environment,
            "counter": key.counter,
            "category": key.category,
            "bundle_version": key.bundle_version,
        },
        checks=key.checks,
    )


def _stored_key(
    expected: expectations.AppleAssertionExpectation | expectations.AppleReceiptExpectation,
    where: str,
) -> AppAttestKey:
    try:
        return AppAttestKey.stored(
            key_id=expected.key_id,
            public_key_point=expected.public_key,
            app_id=expected.app_id,
            environment=expected.environment,
        )
    except ValueError as error:
        raise PolicyFileError(f"{where}: {error}") from None


def _app_assertion(data: bytes, question: Question) -> Verdict:
    table, where = question.expect
    expected = expectations.expect_apple_assertion(table, where)
    assertion = verify_app_assertion(
        data,
        client_data=expected.client_data,
        key=_stored_key(expected, where),
        last_counter=expected.last_counter,
        policy=policy_file.app_attest_policy(
            question.settings, question.files, where=question.where
        ),
        challenge=expected.challenge,
    )
    return Verdict(
        kind="App Attest assertion",
        level=None,
        facts={
            "counter": assertion.counter,
            "category": assertion.category,
            "bundle_version": assertion.bundle_version,
        },
        checks=assertion.checks,
    )


def _app_receipt(data: bytes, question: Question) -> Verdict:
    table, where = question.expect
    expected = expectations.expect_apple_receipt(table, where)
    receipt = verify_app_receipt(
        data,
        key=_stored_key(expected, where),
        policy=policy_file.app_attest_policy(
            question.settings, question.files, where=question.where
        ),
        now=question.at,
        max_age=expected.max_age,
        expected_type=expected.type,
    )
    return Verdict(
        kind="App Attest receipt",
        level=None,
        facts={
            "type": receipt.type,
            "app_id": receipt.app_id,
            "environment": receipt.environment,
            "created": receipt.created.isoformat(),
            "not_before": None if receipt.not_before is None else receipt.not_before.isoformat(),
            "expires": receipt.expires.isoformat(),
            "risk_metric": receipt.risk_metric,
        },
        checks=receipt.checks,
    )


def judge_android(chain: tuple[bytes, ...], question: Question) -> Verdict:
    """Judge an Android key attestation."""
    expected = expectations.expect_android(*question.expect)
    key = verify_android_key(
        chain,
        challenge=expected.challenge,
        policy=policy_file.android_policy(question.settings, question.files, where=question.where),
        revocation=policy_file.revocation_list(
            question.settings, question.files, where=question.where
        ),
        now=question.at,
        public_key=expected.public_key,
    )
    spki = key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    boot = key.root_of_trust
    app = key.application_id
    hardware = key.key_description.hardware_enforced
    return Verdict(
        kind="Android key attestation",
        level=Assurance[key.level.name],
        facts={
            "public_key": spki.hex(),
            "version": key.key_description.attestation_version,
            "boot_state": None if boot is None else boot.verified_boot_state.name.lower(),
            "device_locked": None if boot is None else boot.device_locked,
            "packages": None if app is None else [each.name for each in app.packages],
            "os_patch_level": hardware.os_patch_level,
            "provisioning": "factory" if key.provisioning is None else "rkp",
            "serials": list(key.serials),
        },
        checks=key.checks,
        quirks=key.quirks,
    )


def judge_webauthn(
    evidence: WebAuthnRegistrationEvidence | WebAuthnAssertionEvidence, question: Question
) -> Verdict:
    """Judge a passkey's registration or assertion."""
    from quorumkey_attestation.webauthn import (  # noqa: PLC0415  # slow, and seldom the question
        verify_webauthn_assertion,
        verify_webauthn_registration,
    )

    policy = policy_file.webauthn_policy(question.settings, question.files, where=question.where)
    if isinstance(evidence, WebAuthnAssertionEvidence):
        known = expectations.expect_webauthn_assertion(*question.expect)
        assertion = verify_webauthn_assertion(
            authenticator_data=evidence.authenticator_data,
            client_data_json=evidence.client_data_json,
            signature=evidence.signature,
            challenge=known.challenge,
            public_key=known.public_key,
            last_sign_count=known.last_sign_count,
            policy=policy,
            backup_eligible=known.backup_eligible,
        )
        return Verdict(
            kind="WebAuthn assertion",
            level=None,
            facts={
                "sign_count": assertion.sign_count,
                "user_verified": assertion.user_verified,
                "backup_eligible": assertion.backup_eligible,
                "backed_up": assertion.backed_up,
            },
            checks=assertion.checks,
        )
    expected = expectations.expect_webauthn_registration(*question.expect)
    key = verify_webauthn_registration(
        evidence.attestation_object,
        client_data_json=evidence.client_data_json,
        challenge=expected.challenge,
        policy=policy,
        revocation=policy_file.revocation_list(
            question.settings, question.files, where=question.where
        ),
        now=question.at,
    )
    spki = key.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Verdict(
        kind="WebAuthn registration",
        level=key.assurance,
        facts={
            "credential_id": key.credential_id.hex(),
            "public_key": spki.hex(),
            "format": key.format,
            "attested": key.attested,
            "aaguid": key.aaguid.hex(),
            "sign_count": key.sign_count,
            "user_verified": key.user_verified,
            "backup_eligible": key.backup_eligible,
            "backed_up": key.backed_up,
            "serials": list(key.serials),
        },
        checks=key.checks,
    )


def judge_play(evidence: str | bytes, question: Question) -> Verdict:
    """Judge a Play Integrity token, with the app's own keys, or a payload that Google decoded."""
    table, where = question.expect
    expected = expectations.expect_play(table, where)
    if isinstance(evidence, bytes):
        payload = IntegrityPayload.from_json(evidence)
    else:
        payload = _decoder(expected, where).decode(evidence)
    verdict = evaluate_integrity(
        payload,
        nonce=expected.nonce,
        request_hash=expected.request_hash,
        policy=policy_file.integrity_policy(question.settings, where=question.where),
        now=question.at,
    )
    if verdict.nonce is not None:
        claim_nonce(_Ledger(expected.used_nonces), verdict.nonce)
    return Verdict(
        kind="Play Integrity verdict",
        level=None,
        facts={
            "package": verdict.package,
            "version_code": verdict.version_code,
            "labels": sorted(verdict.labels),
            "sdk_version": verdict.sdk_version,
            "licensing": verdict.licensing,
            "access_risks": sorted(verdict.access_risks),
            "play_protect": verdict.play_protect,
            "requested_at": verdict.requested_at.isoformat(),
        },
        checks=verdict.checks,
    )


class _Ledger:
    """A ledger in which every nonce counts as issued, and some as used."""

    def __init__(self, used: frozenset[str]) -> None:
        self._used = used

    def spend(self, nonce: str) -> bool:
        """Say whether ``nonce`` is unused; one judgement has no second presentation."""
        return nonce not in self._used


def _decoder(expected: expectations.PlayExpectation, where: str) -> PlayIntegrityDecoder:
    if expected.decryption_key is None or expected.verification_key is None:
        raise PolicyFileError(f"{where}: a token needs decryption_key and verification_key")
    try:
        key = load_der_public_key(expected.verification_key)
        if not isinstance(key, EllipticCurvePublicKey):
            raise PolicyFileError(f"{where}: verification_key is no elliptic curve key")
        return PlayIntegrityDecoder(expected.decryption_key, key)
    except ValueError as error:
        raise PolicyFileError(f"{where}: {error}") from None
