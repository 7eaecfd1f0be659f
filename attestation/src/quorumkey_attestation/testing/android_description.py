"""Writes KeyDescriptions, schema versions 1 to 500, with every field free to be wrong.

The two authorization lists are tuples of ``(tag number, DER inside the tag)`` in the order in which
they are written, so that a case can leave out, move, repeat or misspell any of them. Source of the
schema: https://source.android.com/docs/security/features/keystore/attestation.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.android.authorization_list import (
    KeyOrigin,
    KeyPurpose,
    SecurityLevel,
    VerifiedBootState,
)
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.der_encoding import (
    TRUE,
    boolean,
    enumerated,
    explicit,
    integer,
    null,
    octet_string,
    sequence,
    set_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "BOOT_KEY",
    "CHALLENGE",
    "KEYMINT_VERSIONS",
    "PACKAGE",
    "SIGNER",
    "Authorizations",
    "Description",
    "application_id",
    "changed",
    "description",
    "encoded_list",
    "hardware_list",
    "milliseconds",
    "root_of_trust",
    "software_list",
]

Authorizations = tuple[tuple[int, bytes], ...]
"""Tag numbers and the DER inside each tag, in the order in which they are written."""

#: The app of the controls, and the SHA-256 of the certificate it is signed with.
PACKAGE: Final = "com.quorumkey.approver"
SIGNER: Final = hashlib.sha256(b"quorumkey UNSAFE test app signer").digest()

#: The challenge of the controls: the 32 octets of an enrolment's nonce.
CHALLENGE: Final = hashlib.sha256(b"quorumkey UNSAFE test challenge").digest()

#: The key that verified the system of the controls' device.
BOOT_KEY: Final = hashlib.sha256(b"quorumkey UNSAFE test boot key").digest()

#: attestationVersion → keymasterVersion or keyMintVersion.
KEYMINT_VERSIONS: Final[Mapping[int, int]] = MappingProxyType(
    {1: 2, 2: 3, 3: 4, 4: 41, 100: 100, 200: 200, 300: 300, 400: 400, 500: 500}
)

_KEY_AGE: Final = timedelta(seconds=5)  # between the key's creation and the controls' moment
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_BOOT_HASH: Final = hashlib.sha256(b"quorumkey UNSAFE test boot hash").digest()
_MODULE_HASH: Final = hashlib.sha256(b"quorumkey UNSAFE test modules").digest()
_APP_VERSION: Final = 42
_EC: Final = 3
_P256: Final = 1
_P256_BITS: Final = 256
_SHA256: Final = 4
_ANY_AUTHENTICATOR: Final = 3  # password or biometric
_OS_VERSION: Final = 160000  # 16.0.0
_OS_PATCH: Final = 202605  # YYYYMM
_VENDOR_PATCH: Final = 20260505  # YYYYMMDD
_HAS_BOOT_HASH: Final = 3  # the first version with verifiedBootHash and rollbackResistance
_HAS_MODULE_HASH: Final = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The eight members of a KeyDescription, and what follows them.

    Attributes:
        version: attestationVersion.
        level: attestationSecurityLevel.
        keymint_version: keymasterVersion or keyMintVersion.
        keymint_level: keymasterSecurityLevel or keyMintSecurityLevel.
        challenge: attestationChallenge.
        unique_id: uniqueId.
        software: the softwareEnforced list.
        hardware: the hardwareEnforced list, teeEnforced in older versions.
        more: elements after the eighth, which no version has.
    """

    version: int
    level: int
    keymint_version: int
    keymint_level: int
    challenge: bytes
    unique_id: bytes = b""
    software: Authorizations
    hardware: Authorizations
    more: bytes = b""

    def encoded(self) -> bytes:
        """Return the DER."""
        return sequence(
            integer(self.version),
            enumerated(self.level),
            integer(self.keymint_version),
            enumerated(self.keymint_level),
            octet_string(self.challenge),
            octet_string(self.unique_id),
            encoded_list(self.software),
            encoded_list(self.hardware),
            self.more,
        )


def description(
    *,
    version: int = 300,
    challenge: bytes = CHALLENGE,
    level: SecurityLevel = SecurityLevel.TEE,
    software: Authorizations | None = None,
    hardware: Authorizations | None = None,
) -> Description:
    """Return what a sound device says about a key made for signing.

    Args:
        version: the schema, one of ``KEYMINT_VERSIONS``.
        challenge: the challenge the key was made for.
        level: where the key lives, and where the attestation was made.
        software: the software-enforced list, where it is not the usual one.
        hardware: the hardware-enforced list, where it is not the usual one.
    """
    return Description(
        version=version,
        level=level,
        keymint_version=KEYMINT_VERSIONS[version],
        keymint_level=level,
        challenge=challenge,
        software=software_list(version=version) if software is None else software,
        hardware=hardware_list(version=version) if hardware is None else hardware,
    )


def software_list(
    *,
    version: int = 300,
    created: datetime = pki.NOW - _KEY_AGE,
    application: bytes | None = None,
) -> Authorizations:
    """Return the usual softwareEnforced list.

    Args:
        version: the schema; from 400 on it has a moduleHash.
        created: creationDateTime.
        application: the DER of the AttestationApplicationId; by default that of the controls.
    """
    application = application or application_id({PACKAGE: _APP_VERSION}, [SIGNER])
    entries = {701: integer(milliseconds(created)), 709: octet_string(application)}
    if version >= _HAS_MODULE_HASH:
        entries[724] = octet_string(_MODULE_HASH)
    return tuple(entries.items())


def hardware_list(*, version: int = 300, os_patch: int = _OS_PATCH) -> Authorizations:
    """Return the usual hardwareEnforced list: a P-256 key made to sign, once per authentication.

    Args:
        version: the schema.
        os_patch: osPatchLevel, YYYYMM.
    """
    modern = version >= _HAS_BOOT_HASH
    entries = {
        1: set_of([integer(KeyPurpose.SIGN)]),
        2: integer(_EC),
        3: integer(_P256_BITS),
        5: set_of([integer(_SHA256)]),
        10: integer(_P256),
        504: integer(_ANY_AUTHENTICATOR),
        702: integer(KeyOrigin.GENERATED),
        704: root_of_trust(boot_hash=_BOOT_HASH if modern else None),
        705: integer(_OS_VERSION),
        706: integer(os_patch),
    }
    if modern:
        entries |= {303: null(), 718: integer(_VENDOR_PATCH), 719: integer(_VENDOR_PATCH)}
    else:
        entries[703] = null()
    return tuple(sorted(entries.items()))


def root_of_trust(
    *,
    boot_key: bytes = BOOT_KEY,
    locked: bool = True,
    state: int = VerifiedBootState.VERIFIED,
    boot_hash: bytes | None = _BOOT_HASH,
    true: int = TRUE,
) -> bytes:
    """Return a RootOfTrust.

    Args:
        boot_key: verifiedBootKey.
        locked: deviceLocked.
        state: verifiedBootState.
        boot_hash: verifiedBootHash; None leaves it out, as versions 1 and 2 do.
        true: the octet that TRUE is written with.
    """
    return sequence(
        octet_string(boot_key),
        boolean(locked, true=true),
        enumerated(state),
        b"" if boot_hash is None else octet_string(boot_hash),
    )


def application_id(packages: Mapping[str, int], digests: Iterable[bytes]) -> bytes:
    """Return an AttestationApplicationId.

    Args:
        packages: package name → version code.
        digests: the SHA-256 of each certificate that signed them.
    """
    return sequence(
        set_of(
            sequence(octet_string(package.encode()), integer(version))
            for package, version in packages.items()
        ),
        set_of(octet_string(digest) for digest in digests),
    )


def changed(entries: Authorizations, changes: Mapping[int, bytes | None]) -> Authorizations:
    """Return a list with some tags set, or left out where ``changes`` has None, in order."""
    merged = {**dict(entries), **changes}
    return tuple(sorted((tag, value) for tag, value in merged.items() if value is not None))


def encoded_list(entries: Sequence[tuple[int, bytes]]) -> bytes:
    """Return the DER of an AuthorizationList, its tags in the order given."""
    return sequence(*(explicit(tag, value) for tag, value in entries))


def milliseconds(moment: datetime) -> int:
    """Return a moment as creationDateTime has it: milliseconds since the Unix epoch."""
    return (moment - _EPOCH) // timedelta(milliseconds=1)
