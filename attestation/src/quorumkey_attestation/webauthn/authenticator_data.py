"""What the authenticator says: WebAuthn Level 3, section 6.1, read to the last byte."""

from __future__ import annotations

import hashlib
import hmac
from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_attestation.cbor import decode_first
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.cbor import CborKey, CborValue

__all__ = [
    "AttestedCredential",
    "AuthenticatorData",
    "read_assertion_data",
    "read_registration_data",
    "require_flags",
]

MAX_CREDENTIAL_ID_BYTES: Final = 1023  # WebAuthn Level 3, section 7.1, step 25

_HASH_BYTES: Final = 32
_HEADER_BYTES: Final = 37  # rpIdHash, flags, signCount
_AAGUID_END: Final = 53
_LENGTH_END: Final = 55
_USER_PRESENT: Final = 0x01
_USER_VERIFIED: Final = 0x04
_BACKUP_ELIGIBLE: Final = 0x08
_BACKED_UP: Final = 0x10
_ATTESTED: Final = 0x40
_EXTENSIONS: Final = 0x80


class AttestedCredential(NamedTuple):
    """A new credential (section 6.5.1).

    Attributes:
        aaguid: the authenticator's model, 16 bytes.
        credential_id: its name for the credential.
        cose_key: the credential's key, as it is encoded.
        key_members: the same, decoded (RFC 9052 section 7).
    """

    aaguid: bytes
    credential_id: bytes
    cose_key: bytes
    key_members: dict[CborKey, CborValue]


class AuthenticatorData(NamedTuple):
    """What stands at the start of all authenticator data.

    Attributes:
        rp_id_hash: the SHA-256 of the relying party id, 32 bytes.
        flags: the octet of flags.
        sign_count: the signature counter.
    """

    rp_id_hash: bytes
    flags: int
    sign_count: int

    @property
    def user_present(self) -> bool:
        """Flag UP."""
        return bool(self.flags & _USER_PRESENT)

    @property
    def user_verified(self) -> bool:
        """Flag UV."""
        return bool(self.flags & _USER_VERIFIED)

    def without_user_verified(self) -> AuthenticatorData:
        """Return the same with flag UV clear, for where nobody signed it."""
        return self._replace(flags=self.flags & ~_USER_VERIFIED)

    @property
    def backup_eligible(self) -> bool:
        """Flag BE."""
        return bool(self.flags & _BACKUP_ELIGIBLE)

    @property
    def backed_up(self) -> bool:
        """Flag BS."""
        return bool(self.flags & _BACKED_UP)


def read_registration_data(
    data: bytes, *, procedure: str, audit: Audit
) -> tuple[AuthenticatorData, AttestedCredential]:
    """Check step 6 of a registration and return what ``data`` says.

    6. It is rpIdHash, flags with AT, signCount, then a credential whose id has 1 to
       ``MAX_CREDENTIAL_ID_BYTES`` bytes and whose key is a CBOR map, then a CBOR map of extensions
       if and only if flag ED is set, then nothing.

    Args:
        data: the authenticator data.
        procedure: which begins the names of the checks.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    header = _read_header(data, _LENGTH_END, procedure)
    audit.require(
        f"{procedure}/6-attested",
        bool(header.flags & _ATTESTED),
        Reason.MALFORMED,
        "Flag AT is clear: there is no credential to register.",
    )
    length = int.from_bytes(data[_AAGUID_END:_LENGTH_END])
    start = _LENGTH_END + length
    audit.require(
        f"{procedure}/6-credential-id",
        1 <= length <= MAX_CREDENTIAL_ID_BYTES,
        Reason.MALFORMED,
        f"A credential id has 1 to {MAX_CREDENTIAL_ID_BYTES} bytes.",
    )
    members, end = decode_first(data, start, audit, what="credential public key")
    if not isinstance(members, dict):
        raise AttestationError(
            Reason.MALFORMED,
            "The credential public key is not a CBOR map.",
            check=f"{procedure}/6-key",
        )
    _read_extensions(data, end, header, procedure, audit)
    credential = AttestedCredential(
        aaguid=data[_HEADER_BYTES:_AAGUID_END],
        credential_id=data[_LENGTH_END:start],
        cose_key=data[start:end],
        key_members=members,
    )
    return header, credential


def read_assertion_data(data: bytes, *, procedure: str, audit: Audit) -> AuthenticatorData:
    """Check step 6 of an assertion and return what ``data`` says.

    6. It is rpIdHash, flags without AT, signCount, then a CBOR map of extensions if and only if
       flag ED is set, then nothing.

    Args:
        data: the authenticator data.
        procedure: which begins the names of the checks.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    header = _read_header(data, _HEADER_BYTES, procedure)
    audit.require(
        f"{procedure}/6-attested",
        not header.flags & _ATTESTED,
        Reason.MALFORMED,
        "Flag AT is set: an assertion has no new credential.",
    )
    _read_extensions(data, _HEADER_BYTES, header, procedure, audit)
    return header


def _read_header(data: bytes, least: int, procedure: str) -> AuthenticatorData:
    if len(data) < least:
        raise AttestationError(
            Reason.MALFORMED, "The authenticator data is cut off.", check=f"{procedure}/6-length"
        )
    return AuthenticatorData(
        rp_id_hash=data[:_HASH_BYTES],
        flags=data[_HASH_BYTES],
        sign_count=int.from_bytes(data[_HASH_BYTES + 1 : _HEADER_BYTES]),
    )


def _read_extensions(
    data: bytes, position: int, header: AuthenticatorData, procedure: str, audit: Audit
) -> None:
    is_said = bool(header.flags & _EXTENSIONS)
    audit.require(
        f"{procedure}/6-extensions",
        is_said is (position < len(data)),
        Reason.MALFORMED,
        "Flag ED and the length of the authenticator data disagree.",
    )
    if is_said and position < len(data):
        extensions, end = decode_first(data, position, audit, what="extensions")
        audit.require(
            f"{procedure}/6-trailing",
            isinstance(extensions, dict) and end == len(data),
            Reason.MALFORMED,
            "The authenticator data does not end with one map of extensions.",
        )


def require_flags(
    data: AuthenticatorData, *, rp_id: str, verified: bool, procedure: str, audit: Audit
) -> None:
    """Check steps 7 to 10, which both ceremonies share.

    7. ``rpIdHash`` is the SHA-256 of ``rp_id``.
    8. Flag UP is set.
    9. Flag UV is set, where ``verified`` asks for it.
    10. Flag BS is set only with BE.

    Raises:
        AttestationError: ``origin``, ``user_auth`` or ``malformed``.
    """
    audit.require(
        f"{procedure}/7-rp-id",
        hmac.compare_digest(data.rp_id_hash, hashlib.sha256(rp_id.encode()).digest()),
        Reason.ORIGIN,
        "The credential belongs to another relying party.",
    )
    audit.require(
        f"{procedure}/8-user-present",
        data.user_present,
        Reason.USER_AUTH,
        "Nobody was present at the authenticator.",
    )
    if verified:
        audit.require(
            f"{procedure}/9-user-verified",
            data.user_verified,
            Reason.USER_AUTH,
            "The authenticator did not verify the person.",
        )
    audit.require(
        f"{procedure}/10-backup-state",
        data.backup_eligible or not data.backed_up,
        Reason.MALFORMED,
        "The credential is said to be backed up, and not to be able to be.",
    )
