"""Mint the certificates that authenticators' makers put into attestation statements."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography import x509

from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.der_encoding import octet_string

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "AIK_USAGE",
    "ATTESTATION_KEY",
    "NOT_AFTER",
    "NOT_BEFORE",
    "ROOT_NAME",
    "aaguid_extension",
    "alternative_name",
    "attestation_subject",
    "mint_leaf",
    "webauthn_authority",
    "webauthn_root",
]

#: The test root that stands for Apple's WebAuthn root and for those of other makers.
ROOT_NAME: Final = "Quorumkey UNSAFE test WebAuthn root"
INTERMEDIATE_NAME: Final = "Quorumkey UNSAFE test WebAuthn CA 1"

#: Names the key with which an authenticator signs statements.
ATTESTATION_KEY: Final = "webauthn attestation key"

NOT_BEFORE: Final = datetime(2024, 1, 1, tzinfo=UTC)
NOT_AFTER: Final = datetime(2049, 1, 1, tzinfo=UTC)

_AAGUID: Final = x509.ObjectIdentifier("1.3.6.1.4.1.45724.1.1.4")
_TPM_MANUFACTURER: Final = x509.ObjectIdentifier("2.23.133.2.1")
_TPM_MODEL: Final = x509.ObjectIdentifier("2.23.133.2.2")
_TPM_VERSION: Final = x509.ObjectIdentifier("2.23.133.2.3")

#: The extendedKeyUsage of a certificate about a TPM's attestation key (tcg-kp-AIKCertificate).
AIK_USAGE: Final = x509.ExtendedKeyUsage([x509.ObjectIdentifier("2.23.133.8.3")])


@cache
def webauthn_root() -> pki.Authority:
    """Return the test root of authenticators: the same one every time."""
    return pki.root(ROOT_NAME)


@cache
def webauthn_authority(root: pki.Authority | None = None) -> pki.Authority:
    """Return the intermediate that signs the leaves.

    Args:
        root: what signs it; by default :func:`webauthn_root`.
    """
    key = pki.private_key(INTERMEDIATE_NAME)
    certificate = pki.mint(
        INTERMEDIATE_NAME,
        key.public_key(),
        root or webauthn_root(),
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
        ca=True,
        path_length=0,
    )
    return pki.Authority(certificate, key)


def attestation_subject(unit: str = "Authenticator Attestation") -> x509.Name:
    """Return the subject of a certificate for ``packed`` (WebAuthn Level 3, section 8.2.1)."""
    return x509.Name(
        [
            x509.NameAttribute(x509.NameOID.COUNTRY_NAME, "AA"),
            x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Quorumkey"),
            x509.NameAttribute(x509.NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
            x509.NameAttribute(x509.NameOID.COMMON_NAME, "Quorumkey UNSAFE test authenticator"),
        ]
    )


def mint_leaf(  # noqa: PLR0913  # the fields of a certificate
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    *,
    issuer: pki.Authority | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ca: bool = False,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
) -> pki.Authority:
    """Return an authenticator's certificate, with the attestation key of all of them.

    Args:
        subject: its name.
        public_key: the key it is about.
        issuer: what signs it; by default :func:`webauthn_authority`.
        extensions: further ones than basicConstraints, each with whether it is critical.
        ca: what basicConstraints says.
        not_before: the start of its validity.
        not_after: the end of its validity.
    """
    certificate = pki.mint(
        subject,
        public_key,
        issuer or webauthn_authority(),
        not_before=not_before,
        not_after=not_after,
        ca=ca,
        extensions=extensions,
    )
    return pki.Authority(certificate, pki.private_key(ATTESTATION_KEY))


def aaguid_extension(aaguid: bytes) -> tuple[x509.ExtensionType, bool]:
    """Return the extension that names the model (WebAuthn Level 3, section 8.2.1)."""
    return x509.UnrecognizedExtension(_AAGUID, octet_string(aaguid)), False


def alternative_name() -> tuple[x509.ExtensionType, bool]:
    """Return the alternative name of a TPM; critical, since the subject is empty."""
    name = x509.Name(
        [
            x509.NameAttribute(_TPM_MANUFACTURER, "id:474F4F47"),
            x509.NameAttribute(_TPM_MODEL, "Quorumkey"),
            x509.NameAttribute(_TPM_VERSION, "id:1"),
        ]
    )
    return x509.SubjectAlternativeName([x509.DirectoryName(name)]), True
