"""A policy that trusts the test roots, and the shortest way to verify with it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.testing import android, pki, webauthn
from quorumkey_attestation.testing.webauthn import Parts
from quorumkey_attestation.testing.webauthn_certificates import webauthn_root
from quorumkey_attestation.webauthn import (
    WebAuthnAssertion,
    WebAuthnKey,
    WebAuthnPolicy,
    verify_webauthn_assertion,
    verify_webauthn_registration,
)

if TYPE_CHECKING:
    from quorumkey_attestation.testing.webauthn import Statement
    from quorumkey_attestation.webauthn import CredentialPublicKey

BASE: Final = Parts()
GET: Final = replace(BASE, kind="webauthn.get", sign_count=5)

ROOTS: Final = TrustAnchors((webauthn_root().certificate,), allow_test_roots=True)
ANDROID_ROOTS: Final = TrustAnchors((android.google_root().certificate,), allow_test_roots=True)
POLICY: Final = WebAuthnPolicy(
    rp_id=webauthn.RP_ID,
    origins=frozenset({webauthn.ORIGIN}),
    anchors=ROOTS,
    apple_anchors=ROOTS,
    android_anchors=ANDROID_ROOTS,
)
#: For U2F's security keys, which verify nobody.
UNVERIFIED: Final = replace(POLICY, require_user_verification=False)
REVOCATION: Final = RevocationList.from_json(android.status_list(), fetched_at=pki.NOW)


def register(
    made: Statement | bytes, *, parts: Parts = BASE, policy: WebAuthnPolicy = POLICY
) -> WebAuthnKey:
    """Verify a statement over ``parts``, or a whole object, at the test PKI's moment."""
    return verify_webauthn_registration(
        made if isinstance(made, bytes) else webauthn.registration(parts, made),
        client_data_json=parts.client_data_json,
        challenge=webauthn.CHALLENGE,
        policy=policy,
        revocation=REVOCATION,
        now=pki.NOW,
    )


def assert_with(
    parts: Parts = GET,
    *,
    public_key: CredentialPublicKey | bytes | None = None,
    signature: bytes | None = None,
) -> WebAuthnAssertion:
    """Verify the assertion of ``parts``, under its own key and after a counter of 4."""
    return verify_webauthn_assertion(
        authenticator_data=parts.assertion_data,
        client_data_json=parts.client_data_json,
        signature=webauthn.assertion_signature(parts) if signature is None else signature,
        challenge=webauthn.CHALLENGE,
        public_key=parts.key.public_key() if public_key is None else public_key,
        last_sign_count=4,
        policy=POLICY,
    )
