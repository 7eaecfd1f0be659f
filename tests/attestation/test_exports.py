from __future__ import annotations

import hashlib
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import quorumkey_attestation
from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.testing import (
    android,
    apple_certificates,
    apple_receipt,
    pki,
    webauthn_certificates,
)
from quorumkey_attestation.testing_roots import TEST_ROOT_SPKI_SHA256

HEAVY = ("asn1crypto", "webauthn", "typer", "rich")

EXPORTS = [
    "AndroidKey",
    "AndroidKeyPolicy",
    "AppAssertion",
    "AppAttestKey",
    "AppAttestPolicy",
    "ApplicationId",
    "ApplicationPackage",
    "Assurance",
    "AttestationError",
    "AuthorizationList",
    "CounterStore",
    "EvidenceVerifier",
    "Expectation",
    "Format",
    "IntegrityPayload",
    "IntegrityPolicy",
    "IntegrityVerdict",
    "KeyDescription",
    "KeyOrigin",
    "KeyPurpose",
    "NoEvidence",
    "NonceLedger",
    "PlayIntegrityDecoder",
    "ProvisioningInfo",
    "Reason",
    "Receipt",
    "Result",
    "RevocationEntry",
    "RevocationList",
    "RootOfTrust",
    "SecurityLevel",
    "TrustAnchors",
    "VerifiedBootState",
    "Verifier",
    "WebAuthnAssertion",
    "WebAuthnKey",
    "WebAuthnPolicy",
    "claim_counter",
    "claim_nonce",
    "evaluate_integrity",
    "explain",
    "parse_key_description",
    "require_unbound",
    "verify_android_key",
    "verify_app_assertion",
    "verify_app_attestation",
    "verify_app_receipt",
    "verify_webauthn_assertion",
    "verify_webauthn_registration",
]


def spki_of(root: pki.Authority) -> bytes:
    """The DER of a root's SubjectPublicKeyInfo."""
    key = root.key.public_key()
    return key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def python(program: str) -> str:
    """What a new interpreter prints that runs ``program``."""
    return subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    ).stdout


def test_the_public_names_are_these() -> None:
    """A name that comes or goes is a decision, made here too."""
    assert EXPORTS == quorumkey_attestation.__all__
    assert EXPORTS == dir(quorumkey_attestation)


@pytest.mark.parametrize("name", EXPORTS)
def test_every_public_name_is_there(name: str) -> None:
    """Each name is found; all but the alias of the formats say what they are."""
    value = getattr(quorumkey_attestation, name)

    assert value.__doc__ or name == "Format"


def test_explain_is_the_function() -> None:
    """Its module, which has the same name, does not take its place."""
    program = "import quorumkey_attestation.explain, quorumkey_attestation as q; print(q.explain)"

    assert python(program).startswith("<function explain ")


def test_a_name_that_is_none_is_told() -> None:
    """A misspelt name is an AttributeError, as in any module."""
    with pytest.raises(AttributeError, match="no attribute 'verify_app_atestation'"):
        getattr(quorumkey_attestation, "verify_app_atestation")  # noqa: B009  # the type checkers know better


def test_importing_the_package_loads_next_to_nothing() -> None:
    """Neither an extra nor a verifier is loaded before it is used."""
    program = (
        "import sys, quorumkey_attestation as q; "
        "print(sorted(m for m in sys.modules if m.startswith('quorumkey_attestation.')), "
        f"[m for m in {HEAVY} if m in sys.modules])"
    )
    modules = ["errors", "explain", "result", "verifier"]

    assert f"{[f'quorumkey_attestation.{each}' for each in modules]} []\n" == python(program)


def test_every_name_can_be_loaded_without_an_extra() -> None:
    """Cryptography is enough to import everything; extras are asked for when they are used."""
    program = (
        f"import sys; sys.modules.update(dict.fromkeys({HEAVY})); "
        "import quorumkey_attestation as q; "
        "print(len([getattr(q, name) for name in q.__all__]))"
    )

    assert f"{len(EXPORTS)}\n" == python(program)


def test_the_denied_test_roots_are_the_pki_s() -> None:
    """Every root that the evidence for tests ends at is on the deny list, and nothing else."""
    roots = [
        apple_certificates.app_attest_root(),
        apple_receipt.receipt_root(),
        android.google_root(),
        webauthn_certificates.webauthn_root(),
    ]

    assert {hashlib.sha256(spki_of(root)).hexdigest() for root in roots} == TEST_ROOT_SPKI_SHA256
    for root in roots:
        assert root.certificate.subject.rfc4514_string().startswith("CN=Quorumkey UNSAFE test ")


def test_a_test_root_is_denied_until_test_roots_are_allowed() -> None:
    """Configuring one is not enough."""
    root = android.google_root()
    key = spki_of(root)

    assert TrustAnchors((root.certificate,)).denies(key)
    assert not TrustAnchors((root.certificate,), allow_test_roots=True).denies(key)
