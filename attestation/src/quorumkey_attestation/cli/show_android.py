"""KeyDescription and ProvisioningInfo for people, with the names that the schema gives its values.

Source: https://source.android.com/docs/security/features/keystore/attestation.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final, cast

from quorumkey_attestation.android.authorization_list import (
    ApplicationId,
    AuthorizationList,
    KeyOrigin,
    KeyPurpose,
    RootOfTrust,
)
from quorumkey_attestation.android.key_description import parse_key_description
from quorumkey_attestation.android.provisioning import read_provisioning_info
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.cli.section import Section, Value, milliseconds, named

if TYPE_CHECKING:
    from quorumkey_attestation.android.key_description import KeyDescription

__all__ = ["describe_key", "describe_provisioning"]

_SCHEMAS: Final = {
    1: "Keymaster 2",
    2: "Keymaster 3",
    3: "Keymaster 4",
    4: "Keymaster 4.1",
    100: "KeyMint 1",
    200: "KeyMint 2",
    300: "KeyMint 3",
    400: "KeyMint 4",
    500: "KeyMint 5",
}
_NUMBERED: Final[dict[str, dict[int, str]]] = {
    "purpose": {each.value: each.name for each in KeyPurpose},
    "origin": {each.value: each.name for each in KeyOrigin},
    "algorithm": {1: "RSA", 3: "EC", 32: "AES", 33: "TRIPLE_DES", 128: "HMAC"},
    "block_mode": {1: "ECB", 2: "CBC", 3: "CTR", 32: "GCM"},
    "ec_curve": {0: "P-224", 1: "P-256", 2: "P-384", 3: "P-521", 4: "CURVE_25519"},
    "padding": {
        1: "NONE",
        2: "RSA_OAEP",
        3: "RSA_PSS",
        4: "RSA_PKCS1_1_5_ENCRYPT",
        5: "RSA_PKCS1_1_5_SIGN",
        64: "PKCS7",
    },
}
_DIGESTS: Final = {
    0: "NONE",
    1: "MD5",
    2: "SHA1",
    3: "SHA_2_224",
    4: "SHA_2_256",
    5: "SHA_2_384",
    6: "SHA_2_512",
}
_DATES: Final = frozenset(
    {
        "active_date_time",
        "origination_expire_date_time",
        "usage_expire_date_time",
        "creation_date_time",
    }
)
_ANY_AUTHENTICATOR: Final = 0xFFFFFFFF
_PASSWORD: Final = 1
_BIOMETRIC: Final = 2
_META: Final = frozenset({"unknown", "tags", "der_booleans"})


def describe_key(value: bytes) -> list[Section]:
    """Return what a KeyDescription says.

    Args:
        value: the extension's value.

    Raises:
        AttestationError: it cannot be read.
    """
    description = parse_key_description(value)
    return [
        _head(description),
        _list("softwareEnforced: what the system says", description.software_enforced),
        _list("hardwareEnforced: what the hardware says", description.hardware_enforced),
    ]


def _head(description: KeyDescription) -> Section:
    section = Section("KeyDescription")
    section.add("attestationVersion", named(description.attestation_version, _SCHEMAS))
    section.add("attestationSecurityLevel", description.attestation_security_level.name)
    section.add("keyMintVersion", description.keymint_version)
    section.add("keyMintSecurityLevel", description.keymint_security_level.name)
    section.add("attestationChallenge", description.attestation_challenge)
    section.add("uniqueId", description.unique_id)
    for number, quirk in enumerate(description.quirks, start=1):
        section.add(f"quirk {number}", quirk)
    return section


def _list(title: str, authorizations: AuthorizationList) -> Section:
    section = Section(title)
    present: dict[str, object] = {}
    for each in fields(authorizations):
        value: object = getattr(authorizations, each.name)
        if each.name not in _META and value is not None and value is not False:
            present[each.name] = value
    known = sorted(set(authorizations.tags) - authorizations.unknown.keys())
    # The fields of the class stand in the order of their tags.
    for tag, (name, value) in zip(known, present.items(), strict=False):
        _add_tag(section, f"{tag} {_schema_name(name)}", name, value)
    for tag, content in authorizations.unknown.items():
        section.add(f"{tag} (unknown tag)", content)
    return section


def _add_tag(section: Section, label: str, name: str, value: object) -> None:
    if isinstance(value, RootOfTrust):
        section.add(f"{label}.verifiedBootKey", value.verified_boot_key)
        section.add(f"{label}.deviceLocked", value.device_locked)
        section.add(f"{label}.verifiedBootState", value.verified_boot_state.name)
        section.add(f"{label}.verifiedBootHash", value.verified_boot_hash)
    elif isinstance(value, ApplicationId):
        packages = [f"{each.name} version {each.version}" for each in value.packages]
        section.add(f"{label}.packages", packages)
        section.add(
            f"{label}.signatureDigests", sorted(each.hex() for each in value.signature_digests)
        )
    else:
        section.add(label, _tag_value(name, value))


def _tag_value(name: str, value: object) -> Value:
    if isinstance(value, bool):
        return "present"
    if isinstance(value, tuple):
        return [_number(name, each) for each in cast("tuple[int, ...]", value)]
    if isinstance(value, int):
        return _number(name, value)
    if isinstance(value, bytes) and name.startswith("attestation_id"):
        return value.decode(errors="backslashreplace")
    return value if isinstance(value, bytes) else str(value)


def _number(name: str, value: int) -> str:
    if name in _DATES:
        return f"{value} ({milliseconds(value)})"
    if name == "user_auth_type":
        return _authenticators(value)
    names = _DIGESTS if name in ("digest", "mgf_digest") else _NUMBERED.get(name)
    return str(value) if names is None else named(value, names)


def _authenticators(value: int) -> str:
    if value == _ANY_AUTHENTICATOR:
        return f"{value} (any)"
    kinds = [(_PASSWORD, "PASSWORD"), (_BIOMETRIC, "BIOMETRIC")]
    found = [name for bit, name in kinds if value & bit]
    return f"{value} ({' or '.join(found) or 'unknown'})"


def _schema_name(field: str) -> str:
    first, *rest = field.split("_")
    return first + "".join(part.capitalize() for part in rest)


def describe_provisioning(value: bytes) -> Section:
    """Return what a ProvisioningInfo extension says.

    Raises:
        AttestationError: it cannot be read.
    """
    info = read_provisioning_info(value, Audit())
    section = Section("ProvisioningInfo: what Google's provisioning server says")
    section.add("certificatesIssued", info.certificates_issued)
    section.add("validatedEntity", info.validated_entity)
    section.add("lostDevice", info.lost_device)
    for key, member in info.unknown.items():
        section.add(f"unknown member {key!r}", member if isinstance(member, bytes) else str(member))
    return section
