"""The KeyDescription that secure hardware puts into the certificate of a key it attests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from quorumkey_attestation.android.authorization_list import (
    ApplicationId,
    ApplicationPackage,
    AuthorizationList,
    KeyOrigin,
    KeyPurpose,
    RootOfTrust,
    SecurityLevel,
    VerifiedBootState,
)
from quorumkey_attestation.audit import Audit

__all__ = [
    "KEY_DESCRIPTION_OID",
    "ApplicationId",
    "ApplicationPackage",
    "AuthorizationList",
    "KeyDescription",
    "KeyOrigin",
    "KeyPurpose",
    "RootOfTrust",
    "SecurityLevel",
    "VerifiedBootState",
    "parse_key_description",
    "read_key_description",
]

KEY_DESCRIPTION_OID: Final = "1.3.6.1.4.1.11129.2.1.17"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyDescription:
    """A parsed KeyDescription; nothing in it has been judged.

    Attributes:
        attestation_version: the schema: 1 to 4 Keymaster 2 to 4.1, 100 to 500 KeyMint 1 to 5.
        attestation_security_level: where the attestation was made.
        keymint_version: the version of the Keymaster or KeyMint that holds the key.
        keymint_security_level: where the key lives.
        attestation_challenge: the challenge it was made for.
        unique_id: a device identifier for system apps; empty for all others.
        software_enforced: what the operating system says and sees to.
        hardware_enforced: what the secure hardware says and sees to.
        quirks: deviations from DER that genuine devices show, in words.
        tags_in_order: whether both lists have their tags in ascending order, as DER wants.
        der_booleans: whether every BOOLEAN TRUE is encoded as 0xFF, as DER wants.
    """

    attestation_version: int
    attestation_security_level: SecurityLevel
    keymint_version: int
    keymint_security_level: SecurityLevel
    attestation_challenge: bytes
    unique_id: bytes
    software_enforced: AuthorizationList
    hardware_enforced: AuthorizationList
    quirks: tuple[str, ...] = ()
    tags_in_order: bool = True
    der_booleans: bool = True


def parse_key_description(der: bytes) -> KeyDescription:
    """Return the KeyDescription that an attestation extension holds, without judging it.

    Args:
        der: the extension's value (OID 1.3.6.1.4.1.11129.2.1.17).

    Raises:
        AttestationError: ``malformed``.
    """
    return read_key_description(der, Audit())


def read_key_description(der: bytes, audit: Audit) -> KeyDescription:
    """Return the KeyDescription in ``der``; :func:`parse_key_description` with a trail."""
    raise NotImplementedError
