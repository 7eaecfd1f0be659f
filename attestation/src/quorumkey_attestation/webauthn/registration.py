"""The registration ceremony: WebAuthn Level 3, section 7.1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.cbor import decode
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.moment import require_aware
from quorumkey_attestation.result import Assurance
from quorumkey_attestation.webauthn.authenticator_data import (
    read_registration_data,
    require_flags,
)
from quorumkey_attestation.webauthn.client_data import require_client_data
from quorumkey_attestation.webauthn.extra import read_cose_key
from quorumkey_attestation.webauthn.policy import FORMATS, WebAuthnKey
from quorumkey_attestation.webauthn.registered import Registered
from quorumkey_attestation.webauthn.signatures import key_fits
from quorumkey_attestation.webauthn.statements import examine_statement

if TYPE_CHECKING:
    from datetime import datetime

    from quorumkey_attestation.android.revocation import RevocationList
    from quorumkey_attestation.cbor import CborKey, CborValue
    from quorumkey_attestation.webauthn.authenticator_data import AttestedCredential
    from quorumkey_attestation.webauthn.policy import CredentialPublicKey, WebAuthnPolicy

__all__ = ["examine_webauthn_registration", "verify_webauthn_registration"]

_PROCEDURE: Final = "webauthn.registration"
_ALGORITHM: Final = 3  # COSE_Key's alg (RFC 9052 section 7.1)


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
    """Return the credential that a registration proves (WebAuthn Level 3, section 7.1).

    1. The client data is a JSON object of at most 16 KiB without repeated members.
    2. Its ``type`` is ``webauthn.create``.
    3. Its ``challenge`` is exactly the unpadded base64url of ``challenge``.
    4. Its ``origin`` is one of policy's.
    5. Its ``crossOrigin`` is absent or false, its ``topOrigin`` absent, and it speaks of no Token
       Binding that was used or refused.
    6. The attestation object is a CBOR map with ``fmt``, ``attStmt`` and ``authData``; this has
       exactly the length that its flags and members make, holds a credential whose id has 1 to
       1023 bytes, and extensions if and only if flag ED says so.
    7. ``rpIdHash`` is the SHA-256 of policy's relying party id.
    8. Flag UP is set.
    9. Flag UV is set, where policy asks for it. In ``fido-u2f`` it counts as clear: the signature
       of that format does not cover the flags, and its security keys verify nobody.
    10. Flag BS is set only with BE.
    11. Flag BE is clear, unless policy allows credentials that may be copied.
    12. The key is of an algorithm that policy allows, and on the curve that goes with it.
    13. The statement's format is one that policy allows.
    14. The statement verifies by the procedure of its format; its steps have names of their own
        (``webauthn.packed/2-signature``), as those of the certificate chain.
    15. The credential is proved to be bound to one device, where policy requires it.

    Left to the caller: that the challenge is one it issued, recently and for this person, and is
    used once; that no other account has the credential id; to store what is returned.

    Args:
        attestation_object: the authenticator's CBOR, as the browser gave it.
        client_data_json: the browser's JSON, as bytes.
        challenge: the bytes that were issued, at least 16 where they are to be hard to guess.
        policy: what is accepted.
        revocation: Google's list; only ``android-key`` looks at it, and refuses None.
        now: the moment of judgement, with its time zone.
        audit: the trail of this verification.

    Raises:
        AttestationError: the registration proves nothing; the reason says why.
        ValueError: ``now`` has no time zone, or ``challenge`` is empty.
    """
    require_aware(now)
    client_data_hash = require_client_data(
        client_data_json,
        kind="webauthn.create",
        challenge=challenge,
        origins=policy.origins,
        procedure=_PROCEDURE,
        audit=audit,
    )
    statement_format, statement, authenticator_data = _read_object(attestation_object, audit)
    data, credential = read_registration_data(authenticator_data, procedure=_PROCEDURE, audit=audit)
    if statement_format == "fido-u2f":
        data = data.without_user_verified()
    require_flags(
        data,
        rp_id=policy.rp_id,
        verified=policy.require_user_verification,
        procedure=_PROCEDURE,
        audit=audit,
    )
    if not policy.allow_backup_eligible:
        audit.require(
            f"{_PROCEDURE}/11-backup-eligible",
            not data.backup_eligible,
            Reason.LEVEL,
            "The credential may be copied to other devices.",
        )
    algorithm, public_key = _read_key(credential, policy, audit)
    _require_format(statement_format, policy, audit)
    verdict = examine_statement(
        Registered(
            attestation_object=attestation_object,
            format=statement_format,
            statement=statement,
            authenticator_data=authenticator_data,
            credential=credential,
            public_key=public_key,
            algorithm=algorithm,
            client_data_json=client_data_json,
            client_data_hash=client_data_hash,
        ),
        policy=policy,
        revocation=revocation,
        now=now,
        audit=audit,
    )
    is_bound = verdict.attested and verdict.stays and not data.backup_eligible
    if policy.hardware == "required":
        audit.require(
            f"{_PROCEDURE}/15-hardware",
            is_bound,
            Reason.LEVEL,
            "Nothing proves that the credential is bound to one device.",
        )
    return WebAuthnKey(
        credential_id=credential.credential_id,
        public_key=public_key,
        algorithm=algorithm,
        sign_count=data.sign_count,
        format=statement_format,
        aaguid=credential.aaguid,
        user_verified=data.user_verified,
        backup_eligible=data.backup_eligible,
        backed_up=data.backed_up,
        attested=verdict.attested,
        assurance=Assurance.PASSKEY_DEVICE_BOUND if is_bound else Assurance.PASSKEY,
        serials=verdict.serials,
        checks=audit.checks,
    )


def _read_object(encoded: bytes, audit: Audit) -> tuple[str, dict[CborKey, CborValue], bytes]:
    members = decode(encoded, audit, what="attestation object")
    if isinstance(members, dict):
        statement_format = members.get("fmt")
        statement = members.get("attStmt")
        data = members.get("authData")
        if (
            isinstance(statement_format, str)
            and isinstance(statement, dict)
            and isinstance(data, bytes)
        ):
            return statement_format, statement, data
    raise AttestationError(
        Reason.MALFORMED,
        "The attestation object is no map of fmt, attStmt and authData.",
        check=f"{_PROCEDURE}/6-object",
    )


def _read_key(
    credential: AttestedCredential, policy: WebAuthnPolicy, audit: Audit
) -> tuple[int, CredentialPublicKey]:
    algorithm = credential.key_members.get(_ALGORITHM)
    audit.require(
        f"{_PROCEDURE}/12-algorithm",
        isinstance(algorithm, int) and algorithm in policy.algorithms,
        Reason.ALGORITHM,
        "The credential's key is of an algorithm that is not allowed.",
    )
    key = read_cose_key(credential.cose_key)
    if key is None or not isinstance(algorithm, int):
        raise AttestationError(
            Reason.MALFORMED,
            "The credential's key is no valid key of its algorithm.",
            check=f"{_PROCEDURE}/12-key",
        )
    audit.require(
        f"{_PROCEDURE}/12-curve",
        key_fits(key, algorithm),
        Reason.ALGORITHM,
        "The credential's key is not of the kind that goes with its algorithm.",
    )
    return algorithm, key


def _require_format(statement_format: str, policy: WebAuthnPolicy, audit: Audit) -> None:
    if statement_format not in FORMATS:
        raise AttestationError(
            Reason.UNSUPPORTED,
            "The attestation statement is of a format that is not judged here.",
            check=f"{_PROCEDURE}/13-format",
        )
    audit.require(
        f"{_PROCEDURE}/13-format-allowed",
        statement_format in policy.formats,
        Reason.UNSUPPORTED,
        "The attestation statement is of a format that is not allowed.",
    )
