"""The authentication ceremony: WebAuthn Level 3, section 7.2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import Reason
from quorumkey_attestation.webauthn.authenticator_data import (
    read_assertion_data,
    require_flags,
)
from quorumkey_attestation.webauthn.client_data import require_client_data
from quorumkey_attestation.webauthn.policy import WebAuthnAssertion
from quorumkey_attestation.webauthn.signatures import is_signed, key_fits, load_public_key

if TYPE_CHECKING:
    from quorumkey_attestation.webauthn.policy import CredentialPublicKey, WebAuthnPolicy

__all__ = ["examine_webauthn_assertion", "verify_webauthn_assertion"]

_PROCEDURE: Final = "webauthn.assertion"


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
    """Return what a credential's signature proves (WebAuthn Level 3, section 7.2).

    1. The client data is a JSON object of at most 16 KiB without repeated members.
    2. Its ``type`` is ``webauthn.get``.
    3. Its ``challenge`` is exactly the unpadded base64url of ``challenge``.
    4. Its ``origin`` is one of policy's.
    5. Its ``crossOrigin`` is absent or false, its ``topOrigin`` absent, and it speaks of no Token
       Binding that was used or refused.
    6. The authenticator data holds no new credential; it has 37 bytes, and a map of extensions
       after them if and only if flag ED says so.
    7. ``rpIdHash`` is the SHA-256 of policy's relying party id.
    8. Flag UP is set.
    9. Flag UV is set, where policy asks for it.
    10. Flag BS is set only with BE.
    11. Flag BE is as it was at registration, where ``backup_eligible`` says how.
    12. The signature over authenticator data and client data hash verifies with the stored key,
        which is of an algorithm that policy allows.
    13. The signature counter is greater than the stored one, or both are 0.

    Left to the caller: that the challenge is one it issued and is used once; to store the counter
    by compare-and-set, since two answers may arrive at once.

    Args:
        authenticator_data: the authenticator's bytes, as the browser gave them.
        client_data_json: the browser's JSON, as bytes.
        signature: ECDSA in DER, or as the key's algorithm has it.
        challenge: the bytes that were issued.
        public_key: the *stored* key: as registration returned it, a SEC 1 point of P-256, or the
            DER of a SubjectPublicKeyInfo. Never a key from the request.
        last_sign_count: the stored counter.
        policy: what is accepted; its formats, roots and ``hardware`` do not matter here.
        backup_eligible: what registration returned; None if it was not kept.
        audit: the trail of this verification.

    Raises:
        AttestationError: the assertion proves nothing; the reason says why.
        ValueError: ``challenge`` is empty, or ``public_key`` is none.
    """
    key = load_public_key(public_key) if isinstance(public_key, bytes) else public_key
    client_data_hash = require_client_data(
        client_data_json,
        kind="webauthn.get",
        challenge=challenge,
        origins=policy.origins,
        procedure=_PROCEDURE,
        audit=audit,
    )
    data = read_assertion_data(authenticator_data, procedure=_PROCEDURE, audit=audit)
    require_flags(
        data,
        rp_id=policy.rp_id,
        verified=policy.require_user_verification,
        procedure=_PROCEDURE,
        audit=audit,
    )
    if backup_eligible is not None:
        audit.require(
            f"{_PROCEDURE}/11-backup-eligible",
            data.backup_eligible is backup_eligible,
            Reason.MALFORMED,
            "The credential's flag BE is not what it was at registration.",
        )
    audit.require(
        f"{_PROCEDURE}/12-algorithm",
        any(key_fits(key, algorithm) for algorithm in policy.algorithms),
        Reason.ALGORITHM,
        "The stored key is of an algorithm that is not allowed.",
    )
    audit.require(
        f"{_PROCEDURE}/12-signature",
        is_signed(key, signature, authenticator_data + client_data_hash),
        Reason.SIGNATURE,
        "The signature does not verify with the stored key.",
    )
    audit.require(
        f"{_PROCEDURE}/13-counter",
        data.sign_count > last_sign_count or data.sign_count == last_sign_count == 0,
        Reason.COUNTER,
        "The signature counter did not grow: the credential may have been copied.",
    )
    return WebAuthnAssertion(
        sign_count=data.sign_count,
        user_verified=data.user_verified,
        backup_eligible=data.backup_eligible,
        backed_up=data.backed_up,
        checks=audit.checks,
    )
