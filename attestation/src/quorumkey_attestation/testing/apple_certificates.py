"""Mint the certificates of App Attest, and what stands in the extensions of its leaves."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import cache
from typing import Final

from cryptography import x509

from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.der_encoding import (
    boolean,
    element,
    explicit,
    integer,
    octet_string,
    sequence,
)

__all__ = [
    "INTERMEDIATE_NAME",
    "NONCE_EXTENSION",
    "NOT_AFTER",
    "NOT_BEFORE",
    "PLATFORM_EXTENSION",
    "ROOT_NAME",
    "app_attest_authority",
    "app_attest_root",
    "ios_access_policy",
    "key_usage",
    "macos_access_policy",
    "nonce_extension",
]

ROOT_NAME: Final = "Quorumkey UNSAFE test App Attest root"
INTERMEDIATE_NAME: Final = "Quorumkey UNSAFE test App Attest CA 1"
NONCE_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.2")
"""The leaf's extension that covers authenticator data and client data hash."""

PLATFORM_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113635.100.8.6")
"""What a leaf says about the key's access control; iOS and macOS write different things there."""

NOT_BEFORE: Final = datetime(2024, 1, 1, tzinfo=UTC)
"""The start of every certificate's validity, but where a case changes it."""

NOT_AFTER: Final = datetime(2049, 1, 1, tzinfo=UTC)
"""The end of every certificate's validity, but where a case changes it."""

_UTF8_STRING: Final = 0x0C


@cache
def app_attest_root() -> pki.Authority:
    """Return the test root that stands for Apple App Attestation Root CA."""
    return pki.root(ROOT_NAME)


@cache
def app_attest_authority() -> pki.Authority:
    """Return the intermediate that stands for Apple App Attestation CA 1."""
    key = pki.private_key(INTERMEDIATE_NAME)
    certificate = pki.mint(
        INTERMEDIATE_NAME,
        key.public_key(),
        app_attest_root(),
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
        ca=True,
        path_length=0,
        key_usage=key_usage(issues=True),
    )
    return pki.Authority(certificate, key)


def key_usage(*, issues: bool) -> x509.KeyUsage:
    """Return the keyUsage of a certificate that issues others, or of one that does not."""
    return x509.KeyUsage(
        digital_signature=not issues,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=issues,
        crl_sign=issues,
        encipher_only=False,
        decipher_only=False,
    )


def nonce_extension(nonce: bytes) -> bytes:
    """Return the value of extension 1.2.840.113635.100.8.2: ``SEQUENCE{[1]{OCTET STRING}}``."""
    return sequence(explicit(1, octet_string(nonce)))


def ios_access_policy() -> bytes:
    """Return extension 8.6 as iOS leaves have it, where it says nothing that is documented."""
    return _access_policy(*(_allowed(name) for name in (b"okd", b"oa", b"osgn", b"odel", b"ock")))


def macos_access_policy() -> bytes:
    """Return extension 8.6 of a Mac with System Integrity Protection and Full Security."""
    secure = explicit(0, element(_UTF8_STRING, b"rsec"))
    sign = sequence(element(_UTF8_STRING, b"osgn"), secure, sequence(explicit(6, integer(1))))
    return _access_policy(_allowed(b"ok"), _allowed(b"oa"), _allowed(b"odel"), sign)


def _access_policy(*operations: bytes) -> bytes:
    policy = sequence(element(_UTF8_STRING, b"11"), sequence(*operations))
    return sequence(explicit(3, octet_string(policy)))


def _allowed(operation: bytes) -> bytes:
    return sequence(element(_UTF8_STRING, operation), explicit(1, boolean(value=True)))
