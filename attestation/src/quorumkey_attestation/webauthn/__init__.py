"""WebAuthn: registration and assertion, with roots that are explicit and revocation that counts.

:mod:`.registration` and :mod:`.assertion` are the two ceremonies, :mod:`.statements` judges the
attestation statement of a registration, :mod:`.ceremony` is the only module of this repository
that imports the package ``webauthn`` (the extra ``webauthn``).
"""

from __future__ import annotations

from quorumkey_attestation.webauthn.assertion import (
    examine_webauthn_assertion,
    verify_webauthn_assertion,
)
from quorumkey_attestation.webauthn.policy import (
    ALGORITHMS,
    ES256,
    FORMATS,
    CredentialPublicKey,
    WebAuthnAssertion,
    WebAuthnKey,
    WebAuthnPolicy,
)
from quorumkey_attestation.webauthn.registration import (
    examine_webauthn_registration,
    verify_webauthn_registration,
)

__all__ = [
    "ALGORITHMS",
    "ES256",
    "FORMATS",
    "CredentialPublicKey",
    "WebAuthnAssertion",
    "WebAuthnKey",
    "WebAuthnPolicy",
    "examine_webauthn_assertion",
    "examine_webauthn_registration",
    "verify_webauthn_assertion",
    "verify_webauthn_registration",
]
