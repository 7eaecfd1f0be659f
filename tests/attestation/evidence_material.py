"""Evidence of each format from the test PKI, the policies it passes, and the key it is about."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.policy import AndroidKeyPolicy
from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.apple.policy import AppAttestPolicy
from quorumkey_attestation.evidence import EvidenceVerifier
from quorumkey_attestation.testing import (
    android,
    apple,
    apple_certificates,
    apple_receipt,
    pki,
    webauthn,
    webauthn_certificates,
)
from quorumkey_attestation.verifier import Expectation
from quorumkey_attestation.webauthn import WebAuthnPolicy

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric import ec

PRIVATE_KEY: Final = pki.private_key("device of the evidence tests")
KEY: Final = PRIVATE_KEY.public_key()
OTHER_KEY: Final = pki.private_key("another device of the evidence tests").public_key()
NONCE: Final = bytes(range(32))
OTHER_NONCE: Final = bytes(32)
PACKAGE: Final = "com.example.approve"
SIGNER: Final = bytes.fromhex("5a" * 32)


def compressed(key: ec.EllipticCurvePublicKey) -> bytes:
    """A key as the protocol writes it: 33 bytes."""
    return key.public_bytes(Encoding.X962, PublicFormat.CompressedPoint)


def expectation(
    *, nonce: bytes = NONCE, key: ec.EllipticCurvePublicKey = KEY, after: timedelta = timedelta(0)
) -> Expectation:
    """What the evidence below is about, unless told otherwise."""
    return Expectation(
        nonce=nonce, device_public_key=compressed(key), now=int((pki.NOW + after).timestamp())
    )


def apple_policy(**change: object) -> AppAttestPolicy:
    """The policy that the App Attest evidence passes."""
    said: dict[str, object] = {
        "app_ids": frozenset({apple.APP_ID}),
        "anchors": TrustAnchors(
            (apple_certificates.app_attest_root().certificate,), allow_test_roots=True
        ),
        "receipt_anchors": TrustAnchors(
            (apple_receipt.receipt_root().certificate,), allow_test_roots=True
        ),
    }
    return AppAttestPolicy(**(said | change))  # type: ignore[arg-type]  # what a test changes


def android_policy(**change: object) -> AndroidKeyPolicy:
    """The policy that the Android evidence passes."""
    said: dict[str, object] = {
        "packages": {PACKAGE: frozenset({SIGNER})},
        "anchors": TrustAnchors((android.google_root().certificate,), allow_test_roots=True),
    }
    return AndroidKeyPolicy(**(said | change))  # type: ignore[arg-type]  # what a test changes


def webauthn_policy(**change: object) -> WebAuthnPolicy:
    """The policy that the WebAuthn evidence passes."""
    root = webauthn_certificates.webauthn_root().certificate
    said: dict[str, object] = {
        "rp_id": webauthn.RP_ID,
        "origins": frozenset({webauthn.ORIGIN}),
        "anchors": TrustAnchors((root,), allow_test_roots=True),
    }
    return WebAuthnPolicy(**(said | change))  # type: ignore[arg-type]  # what a test changes


def revocation(*revoked: str) -> RevocationList:
    """A list of an hour ago, with these serials on it."""
    return RevocationList.from_json(
        android.status_list(dict.fromkeys(revoked, "REVOKED")),
        fetched_at=pki.NOW - timedelta(hours=1),
    )


def verifier(**change: object) -> EvidenceVerifier:
    """A verifier for every format."""
    said: dict[str, object] = {
        "app_attest": apple_policy(),
        "android": android_policy(),
        "webauthn": webauthn_policy(),
        "revocation": revocation(),
    }
    return EvidenceVerifier(**(said | change))  # type: ignore[arg-type]  # what a test changes
