"""What an Android key may be used for, and on what device it lives (schema versions 1 to 500)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "ApplicationId",
    "ApplicationPackage",
    "AuthorizationList",
    "KeyOrigin",
    "KeyPurpose",
    "RootOfTrust",
    "SecurityLevel",
    "VerifiedBootState",
]


class SecurityLevel(IntEnum):
    """Where code runs or a key lives; a greater value is stronger."""

    SOFTWARE = 0
    TEE = 1
    STRONGBOX = 2


class VerifiedBootState(IntEnum):
    """Who vouches for the system that the device booted."""

    VERIFIED = 0
    SELF_SIGNED = 1
    UNVERIFIED = 2
    FAILED = 3


class KeyOrigin(IntEnum):
    """How the key came into the hardware."""

    GENERATED = 0
    DERIVED = 1
    IMPORTED = 2
    UNKNOWN = 3
    SECURELY_IMPORTED = 4


class KeyPurpose(IntEnum):
    """What a key may be used for."""

    ENCRYPT = 0
    DECRYPT = 1
    SIGN = 2
    VERIFY = 3
    WRAP_KEY = 5
    AGREE_KEY = 6
    ATTEST_KEY = 7


@dataclass(frozen=True, slots=True)
class RootOfTrust:
    """What the boot loader told the secure hardware about the system it started.

    Attributes:
        verified_boot_key: the key, or its digest, that verified the system; zeros if none did.
        device_locked: whether the boot loader is locked.
        verified_boot_state: who vouches for the system.
        verified_boot_hash: the digest over all that was verified; None in versions 1 and 2.
    """

    verified_boot_key: bytes
    device_locked: bool
    verified_boot_state: VerifiedBootState
    verified_boot_hash: bytes | None


@dataclass(frozen=True, slots=True)
class ApplicationPackage:
    """One package that may use the key.

    Attributes:
        name: its package name.
        version: its version code.
    """

    name: str
    version: int


@dataclass(frozen=True, slots=True)
class ApplicationId:
    """The app that asked for the attestation, as the operating system saw it.

    Attributes:
        packages: its package, and others only where several share one user id.
        signature_digests: the SHA-256 of each certificate the packages are signed with.
    """

    packages: tuple[ApplicationPackage, ...]
    signature_digests: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuthorizationList:
    """One of the two lists of a KeyDescription; None or False where a tag is absent.

    Dates are in milliseconds since the Unix epoch, ``auth_timeout`` in seconds, patch levels
    YYYYMM or YYYYMMDD. Enumerations are kept as numbers, since a newer device may send newer ones.

    Attributes:
        unknown: tag number → the DER inside the tag, for every tag that is not known here.
        tags: every tag number in the list, as it stands there.
    """

    purpose: tuple[int, ...] | None = None
    algorithm: int | None = None
    key_size: int | None = None
    block_mode: tuple[int, ...] | None = None
    digest: tuple[int, ...] | None = None
    padding: tuple[int, ...] | None = None
    caller_nonce: bool = False
    min_mac_length: int | None = None
    ec_curve: int | None = None
    ml_dsa_variant: int | None = None
    rsa_public_exponent: int | None = None
    mgf_digest: tuple[int, ...] | None = None
    rollback_resistance: bool = False
    early_boot_only: bool = False
    active_date_time: int | None = None
    origination_expire_date_time: int | None = None
    usage_expire_date_time: int | None = None
    usage_count_limit: int | None = None
    user_secure_id: tuple[int, ...] | None = None
    no_auth_required: bool = False
    user_auth_type: int | None = None
    auth_timeout: int | None = None
    allow_while_on_body: bool = False
    trusted_user_presence_required: bool = False
    trusted_confirmation_required: bool = False
    unlocked_device_required: bool = False
    all_applications: bool = False
    application_id: bytes | None = None
    creation_date_time: int | None = None
    origin: int | None = None
    rollback_resistant: bool = False
    root_of_trust: RootOfTrust | None = None
    os_version: int | None = None
    os_patch_level: int | None = None
    attestation_application_id: ApplicationId | None = None
    attestation_id_brand: bytes | None = None
    attestation_id_device: bytes | None = None
    attestation_id_product: bytes | None = None
    attestation_id_serial: bytes | None = None
    attestation_id_imei: bytes | None = None
    attestation_id_meid: bytes | None = None
    attestation_id_manufacturer: bytes | None = None
    attestation_id_model: bytes | None = None
    vendor_patch_level: int | None = None
    boot_patch_level: int | None = None
    device_unique_attestation: bool = False
    attestation_id_second_imei: bytes | None = None
    module_hash: bytes | None = None
    unknown: Mapping[int, bytes] = field(default_factory=lambda: MappingProxyType({}))
    tags: tuple[int, ...] = ()
