"""Mint Android key attestation chains as devices and Google's servers make them, under test roots.

Three shapes exist: the factory's (4 certificates, named by serial numbers), that of remote key
provisioning (RKP, 5 certificates, ProvisioningInfo in the second) and that of a software keystore
(3). An :class:`Issuer` describes one certificate above the leaf; every default is what a genuine
one has, so that a test changes one of them with ``dataclasses.replace``. Sources:
https://developer.android.com/privacy-and-security/security-key-attestation and
https://source.android.com/docs/security/features/keystore/attestation.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from quorumkey_attestation.android.authorization_list import SecurityLevel
from quorumkey_attestation.android.key_description import KEY_DESCRIPTION_OID
from quorumkey_attestation.android.provisioning import PROVISIONING_INFO_OID
from quorumkey_attestation.testing import android_description, pki
from quorumkey_attestation.testing.cbor_encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "CERTIFICATE_SIGNING",
    "DIGITAL_SIGNATURE",
    "ROOT_NAME",
    "Issuer",
    "android_evidence",
    "chain_of",
    "factory_issuers",
    "google_root",
    "issue",
    "key_description_extension",
    "mint_leaf",
    "provisioning_extension",
    "rkp_issuers",
    "software_issuers",
    "status_list",
]

#: The common name of the test root that stands for Google's hardware attestation root.
ROOT_NAME: Final = "Quorumkey UNSAFE test Google root"

_FACTORY_NOT_BEFORE: Final = datetime(2024, 3, 1, tzinfo=UTC)
_FACTORY_NOT_AFTER: Final = datetime(2034, 3, 1, tzinfo=UTC)
LEAF_NOT_BEFORE: Final = datetime(1970, 1, 1, tzinfo=UTC)  # what Android writes unless told
_LEAF_NOT_AFTER: Final = datetime(2048, 1, 1, tzinfo=UTC)
_LEAF_NAME: Final = "Android Keystore Key"
_LEAF_SERIAL: Final = 1
_ISSUERS_KEPT: Final = 256  # paths above a leaf that need not be signed again


def _usage(*, digital_signature: bool = False, certificate_signing: bool = False) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=digital_signature,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificate_signing,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


#: The keyUsage of a certificate that may issue others, and of one that may only sign.
CERTIFICATE_SIGNING: Final = _usage(certificate_signing=True)
DIGITAL_SIGNATURE: Final = _usage(digital_signature=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """One certificate between the root and the leaf.

    Attributes:
        subject: its name.
        not_before: the start of its validity.
        not_after: the end of its validity.
        label: names its key, which is always the same for one label.
        ca: what basicConstraints says; None leaves the extension out.
        path_length: basicConstraints' pathLenConstraint.
        key_usage: its keyUsage; None leaves it out.
        extensions: further extensions, each with whether it is critical.
        serial: its serial number; by default one that follows from the names and the key.
    """

    subject: x509.Name
    not_before: datetime
    not_after: datetime
    label: str
    ca: bool | None = True
    path_length: int | None = None
    key_usage: x509.KeyUsage | None = CERTIFICATE_SIGNING
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = ()
    serial: int | None = None


@cache
def google_root() -> pki.Authority:
    """Return the test root that stands for Google's: the same one every time."""
    return pki.root(ROOT_NAME)


def rkp_issuers(
    now: datetime = pki.NOW, *, level: SecurityLevel = SecurityLevel.TEE
) -> tuple[Issuer, ...]:
    """Return the issuers of a remotely provisioned device, the one next to the leaf first.

    Args:
        now: a moment at which all of them are valid; the lower two live about two weeks.
        level: the hardware that holds the attestation key.
    """
    strongbox = level is SecurityLevel.STRONGBOX
    organization = "StrongBox" if strongbox else "TEE"
    entity = "STRONG_BOX" if strongbox else "TEE"
    week = timedelta(days=7)
    year = timedelta(days=365)
    return (
        Issuer(
            subject=_provisioned_name("9f86d081884c7d659a2feaa0c55ad015", organization),
            not_before=now - week,
            not_after=now + week,
            label=f"android rkp attestation {organization}",
            extensions=((provisioning_extension(encode({1: 2, 4: entity})), False),),
        ),
        Issuer(
            subject=_provisioned_name("Droid CA3", "Google LLC"),
            not_before=now - week,
            not_after=now + week,
            label="android rkp CA3",
        ),
        Issuer(
            subject=_provisioned_name("Droid CA2", "Google LLC"),
            not_before=now - year,
            not_after=now + year,
            label="android rkp CA2",
        ),
    )


def factory_issuers() -> tuple[Issuer, ...]:
    """Return the issuers of a device whose attestation key came with it, lowest first."""
    return (
        _from_factory("c1d2e3f4a5b60718293a4b5c6d7e8f90", "android factory batch"),
        _from_factory("17a3c0ffee5b2a4d", "android factory intermediate"),
    )


def software_issuers() -> tuple[Issuer, ...]:
    """Return the one issuer of a keystore in software, as in an emulator."""
    return (
        Issuer(
            subject=x509.Name(
                [
                    x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Android"),
                    x509.NameAttribute(
                        x509.NameOID.COMMON_NAME, "Android Keystore Software Attestation Test"
                    ),
                ]
            ),
            not_before=_FACTORY_NOT_BEFORE,
            not_after=_FACTORY_NOT_AFTER,
            label="android software intermediate",
        ),
    )


@lru_cache(maxsize=_ISSUERS_KEPT)
def issue(
    issuers: tuple[Issuer, ...], root: pki.Authority | None = None
) -> tuple[pki.Authority, ...]:
    """Return the authorities that ``issuers`` describe, lowest first, the root last.

    Args:
        issuers: what they are like, lowest first; each is signed by the next one.
        root: what signs the highest; by default :func:`google_root`.
    """
    path = [root or google_root()]
    for each in reversed(issuers):
        key = pki.private_key(each.label)
        certificate = pki.mint(
            each.subject,
            key.public_key(),
            path[0],
            not_before=each.not_before,
            not_after=each.not_after,
            serial=each.serial,
            ca=each.ca,
            path_length=each.path_length,
            key_usage=each.key_usage,
            extensions=each.extensions,
        )
        path.insert(0, pki.Authority(certificate, key))
    return tuple(path)


def mint_leaf(
    public_key: ec.EllipticCurvePublicKey,
    issuer: pki.Authority,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
    *,
    not_before: datetime = LEAF_NOT_BEFORE,
    not_after: datetime = _LEAF_NOT_AFTER,
) -> bytes:
    """Return the DER of an attested key's certificate, named and numbered as every one is.

    Args:
        public_key: the attested key.
        issuer: the attestation key's certificate.
        extensions: further ones than keyUsage, each with whether it is critical.
        not_before: the start of its validity, which the app chooses.
        not_after: the end of its validity, likewise.
    """
    certificate = pki.mint(
        _LEAF_NAME,
        public_key,
        issuer,
        not_before=not_before,
        not_after=not_after,
        serial=_LEAF_SERIAL,
        key_usage=DIGITAL_SIGNATURE,
        extensions=extensions,
    )
    return certificate.public_bytes(Encoding.DER)


def chain_of(leaf: bytes, authorities: Sequence[pki.Authority]) -> tuple[bytes, ...]:
    """Return a chain, leaf first, as the device hands it out."""
    return (leaf, *(authority.der for authority in authorities))


def key_description_extension(encoded: bytes) -> x509.UnrecognizedExtension:
    """Return the extension that holds a KeyDescription."""
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(KEY_DESCRIPTION_OID), encoded)


def provisioning_extension(info: bytes) -> x509.UnrecognizedExtension:
    """Return the extension that holds a ProvisioningInfo.

    Args:
        info: the CBOR of a map; 1: the certificates issued in the last 30 days; 4: the validated
            entity.
    """
    return x509.UnrecognizedExtension(x509.ObjectIdentifier(PROVISIONING_INFO_OID), info)


def status_list(entries: Mapping[str, str] | None = None) -> bytes:
    """Return a revocation list as Google publishes it.

    Args:
        entries: serial number, as the list is to write it → status.
    """
    listed = {
        serial: {"status": status, "reason": "KEY_COMPROMISE"}
        for serial, status in (entries or {}).items()
    }
    return json.dumps({"entries": listed}, indent=2).encode()


def android_evidence(  # noqa: PLR0913  # what a device knows when it makes a key
    nonce: bytes,
    device_public_key: ec.EllipticCurvePublicKey,
    *,
    package: str,
    signer_digest: bytes,
    level: SecurityLevel = SecurityLevel.TEE,
    now: datetime,
) -> dict[str, object]:
    """Return the evidence of a software device's key, as enrolment takes it (PROTOCOL §4.3).

    It is what a remotely provisioned phone would send if this package's test root were Google's.

    Args:
        nonce: the enrolment's nonce, 32 bytes, which is the attestation challenge.
        device_public_key: the key to attest.
        package: the app's package name.
        signer_digest: the SHA-256 of the certificate it is signed with.
        level: the hardware to claim.
        now: the moment at which the key was made.

    Returns:
        The JSON member ``attestation``: ``format`` and ``chain``, base64 of the DER, leaf first.
    """
    application = android_description.application_id({package: 1}, [signer_digest])
    encoded = android_description.description(
        challenge=nonce,
        level=level,
        software=android_description.software_list(created=now, application=application),
        hardware=android_description.hardware_list(os_patch=now.year * 100 + now.month),
    ).encoded()
    # On the day, not the second, so that a device's attestation key is issued once a day.
    day = now.replace(hour=0, minute=0, second=0, microsecond=0)
    authorities = issue(rkp_issuers(day, level=level))
    leaf = mint_leaf(
        device_public_key, authorities[0], [(key_description_extension(encoded), False)]
    )
    chain = [base64.b64encode(der).decode() for der in chain_of(leaf, authorities)]
    return {"format": "android-key", "chain": chain}


def _provisioned_name(common_name: str, organization: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, organization),
        ]
    )


def _from_factory(serial_number: str, label: str) -> Issuer:
    return Issuer(
        subject=x509.Name(
            [
                x509.NameAttribute(x509.NameOID.TITLE, "TEE"),
                x509.NameAttribute(x509.NameOID.SERIAL_NUMBER, serial_number),
            ]
        ),
        not_before=_FACTORY_NOT_BEFORE,
        not_after=_FACTORY_NOT_AFTER,
        label=label,
    )
