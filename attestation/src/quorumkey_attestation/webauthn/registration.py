"""The registration ceremony: WebAuthn Level 3, section 7.1."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_attestation.audit import Audit

if TYPE_CHECKING:
    from datetime import datetime

    from quorumkey_attestation.android.revocation import RevocationList
    from quorumkey_attestation.webauthn.policy import WebAuthnKey, WebAuthnPolicy

__all__ = ["examine_webauthn_registration", "verify_webauthn_registration"]


def verify_webauthn_registration(  # noqa: PLR0913  # what a ceremony consists of
    attestation_object: bytes,
    *,
    client_data_json: bytes,
    challenge: bytes,
    policy: WebAuthnPolicy,
    revocation: RevocationList | None,
    now: datetime,
) -> WebAuthnKey:
    """Return the credential that a registration proves; :func:`examine_webauthn_registration`."""
    return examine_webauthn_registration(
        attestation_object,
        client_data_json=client_data_json,
        challenge=challenge,
        policy=policy,
        revocation=revocation,
        now=now,
        audit=Audit(),
    )


def examine_webauthn_registration(  # noqa: PLR0913  # what a ceremony consists of
    attestation_object: bytes,
    *,
    client_data_json: bytes,
    challenge: bytes,
    policy: WebAuthnPolicy,
    revocation: RevocationList | None,
    now: datetime,
    audit: Audit,
) -> WebAuthnKey:
    """Return the credential that a registration proves."""
    raise NotImplementedError
