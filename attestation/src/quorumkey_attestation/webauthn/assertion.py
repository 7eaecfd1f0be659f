"""The authentication ceremony: WebAuthn Level 3, section 7.2."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_attestation.audit import Audit

if TYPE_CHECKING:
    from quorumkey_attestation.webauthn.policy import (
        CredentialPublicKey,
        WebAuthnAssertion,
        WebAuthnPolicy,
    )

__all__ = ["examine_webauthn_assertion", "verify_webauthn_assertion"]


def verify_webauthn_assertion(  # noqa: PLR0913  # what a ceremony consists of
    *,
    authenticator_data: bytes,
    client_data_json: bytes,
    signature: bytes,
    challenge: bytes,
    public_key: CredentialPublicKey | bytes,
    last_sign_count: int,
    policy: WebAuthnPolicy,
    backup_eligible: bool | None = None,
) -> WebAuthnAssertion:
    """Return what a credential's signature proves; :func:`examine_webauthn_assertion`."""
    return examine_webauthn_assertion(
        authenticator_data=authenticator_data,
        client_data_json=client_data_json,
        signature=signature,
        challenge=challenge,
        public_key=public_key,
        last_sign_count=last_sign_count,
        policy=policy,
        backup_eligible=backup_eligible,
        audit=Audit(),
    )


def examine_webauthn_assertion(  # noqa: PLR0913  # what a ceremony consists of
    *,
    authenticator_data: bytes,
    client_data_json: bytes,
    signature: bytes,
    challenge: bytes,
    public_key: CredentialPublicKey | bytes,
    last_sign_count: int,
    policy: WebAuthnPolicy,
    backup_eligible: bool | None = None,
    audit: Audit,
) -> WebAuthnAssertion:
    """Return what a credential's signature proves."""
    raise NotImplementedError
