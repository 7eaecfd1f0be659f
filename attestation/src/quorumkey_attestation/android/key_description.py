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
    read_authorization_list,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.der import (
    ENUMERATED,
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Reader,
    decode_integer,
)
from quorumkey_attestation.errors import AttestationError, Reason

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

    @property
    def tags_in_order(self) -> bool:
        """Whether both lists have their tags in ascending order, as DER wants."""
        return self.software_enforced.in_order and self.hardware_enforced.in_order

    @property
    def der_booleans(self) -> bool:
        """Whether every BOOLEAN TRUE is encoded as 0xFF, as DER wants."""
        return self.software_enforced.der_booleans and self.hardware_enforced.der_booleans

    @property
    def security_level(self) -> SecurityLevel:
        """The weaker of the two levels: what an attestation is worth."""
        return min(self.attestation_security_level, self.keymint_security_level)


def parse_key_description(der: bytes) -> KeyDescription:
    """Return the KeyDescription that an attestation extension holds, without judging it.

    Args:
        der: the extension's value (OID 1.3.6.1.4.1.11129.2.1.17).

    Raises:
        AttestationError: ``malformed``.
    """
    return read_key_description(der, Audit())


def read_key_description(der: bytes, audit: Audit) -> KeyDescription:
    """Return the KeyDescription in ``der``; :func:`parse_key_description` with a trail.

    1. It is one SEQUENCE of exactly eight elements.
    2. Both security levels are known ones. A version of the schema that is not known yet is taken.
    3. Both lists are read by :func:`.authorization_list.read_authorization_list`.

    Args:
        der: the extension's value.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    outer = Reader(der, "KeyDescription")
    reader = Reader(outer.content(SEQUENCE), "KeyDescription")
    outer.finish(audit)
    attestation_version = decode_integer(reader.content(INTEGER), "attestationVersion")
    attestation_level = _level(reader.content(ENUMERATED), "attestationSecurityLevel")
    keymint_version = decode_integer(reader.content(INTEGER), "keyMintVersion")
    keymint_level = _level(reader.content(ENUMERATED), "keyMintSecurityLevel")
    challenge = reader.content(OCTET_STRING)
    unique_id = reader.content(OCTET_STRING)
    software = reader.content(SEQUENCE)
    hardware = reader.content(SEQUENCE)
    reader.finish(audit)
    software_enforced = read_authorization_list(software, "softwareEnforced", audit)
    hardware_enforced = read_authorization_list(hardware, "hardwareEnforced", audit)
    return KeyDescription(
        attestation_version=attestation_version,
        attestation_security_level=attestation_level,
        keymint_version=keymint_version,
        keymint_security_level=keymint_level,
        attestation_challenge=challenge,
        unique_id=unique_id,
        software_enforced=software_enforced,
        hardware_enforced=hardware_enforced,
        quirks=(
            *_quirks_of(software_enforced, "softwareEnforced"),
            *_quirks_of(hardware_enforced, "hardwareEnforced"),
        ),
    )


def _level(content: bytes, what: str) -> SecurityLevel:
    number = decode_integer(content, what)
    try:
        return SecurityLevel(number)
    except ValueError:
        raise AttestationError(
            Reason.MALFORMED, f"{what}: {number} is unknown.", check="android.description/2-level"
        ) from None


def _quirks_of(authorizations: AuthorizationList, what: str) -> tuple[str, ...]:
    quirks: list[str] = []
    if not authorizations.in_order:
        quirks.append(f"{what}: the tags are not in ascending order")
    if not authorizations.der_booleans:
        quirks.append(f"{what}: deviceLocked is TRUE in an encoding that is not DER")
    return tuple(quirks)
