"""Trust anchors: the root keys at which a chain may end."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.serialization import Encoding

from quorumkey_attestation import roots
from quorumkey_attestation.certificate_layout import read_layout
from quorumkey_attestation.testing_roots import TEST_ROOT_SPKI_SHA256

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.x509 import Certificate

__all__ = ["TrustAnchors", "subject_public_key_info"]

_DENIED_SPKI: Final = frozenset(root.spki_sha256 for root in roots.DENIED) | TEST_ROOT_SPKI_SHA256


def subject_public_key_info(certificate: bytes) -> bytes:
    """Return the SubjectPublicKeyInfo of a certificate, as its DER stands there.

    Args:
        certificate: the certificate's DER (RFC 5280 section 4.1).

    Raises:
        AttestationError: ``malformed``.
    """
    return read_layout(certificate).public_key_info


@dataclass(frozen=True, slots=True)
class TrustAnchors:
    """The roots that a verifier trusts, matched by their public key.

    A vendor re-issues a root under the same key; what is trusted is the key. Of the certificate
    that a device sends as its root nothing is used: the configured one takes its place.

    Args:
        certs: the root certificates; where several have one key, the first stands for it.
        allow_test_roots: accept roots of the deny list too (Android's software roots, Google's
            pre-production root, this package's own test roots). Never in production: the private
            keys of most of them are public.

    Attributes:
        spki: the DER of each root's SubjectPublicKeyInfo.
    """

    certs: tuple[Certificate, ...]
    allow_test_roots: bool = False
    spki: frozenset[bytes] = field(init=False)
    _by_spki: Mapping[bytes, Certificate] = field(init=False, repr=False, compare=False)
    _spki_by_der: Mapping[bytes, bytes] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_spki: dict[bytes, Certificate] = {}
        spki_by_der: dict[bytes, bytes] = {}
        for certificate in self.certs:
            der = certificate.public_bytes(Encoding.DER)
            spki = spki_by_der[der] = subject_public_key_info(der)
            by_spki.setdefault(spki, certificate)
        object.__setattr__(self, "spki", frozenset(by_spki))
        object.__setattr__(self, "_by_spki", MappingProxyType(by_spki))
        object.__setattr__(self, "_spki_by_der", MappingProxyType(spki_by_der))

    def spki_of(self, certificate: bytes) -> bytes:
        """Return :func:`subject_public_key_info`, without reading where it is a configured root.

        Raises:
            AttestationError: ``malformed``.
        """
        return self._spki_by_der.get(certificate) or subject_public_key_info(certificate)

    def find(self, spki: bytes) -> Certificate | None:
        """Return the configured root that has this key, or None."""
        return self._by_spki.get(spki)

    @property
    def roots(self) -> Mapping[bytes, Certificate]:
        """The configured roots by their keys, each key's first."""
        return self._by_spki

    def denies(self, spki: bytes) -> bool:
        """Say whether a root key is refused however it was configured."""
        return not self.allow_test_roots and hashlib.sha256(spki).hexdigest() in _DENIED_SPKI

    def including(self, *certs: Certificate, allow_test_roots: bool = False) -> TrustAnchors:
        """Return these anchors and ``certs``; test roots among them only where that is said."""
        return TrustAnchors(
            (*self.certs, *certs), allow_test_roots=self.allow_test_roots or allow_test_roots
        )

    @staticmethod
    @cache
    def apple_app_attest() -> TrustAnchors:
        """Apple's App Attestation Root CA."""
        return TrustAnchors((roots.load(roots.APPLE_APP_ATTEST),))

    @staticmethod
    @cache
    def apple_webauthn() -> TrustAnchors:
        """Apple's WebAuthn Root CA: for the WebAuthn format ``apple`` and nothing else."""
        return TrustAnchors((roots.load(roots.APPLE_WEBAUTHN),))

    @staticmethod
    @cache
    def apple_receipt() -> TrustAnchors:
        """Apple Root CA - G3, which App Attest receipts lead to."""
        return TrustAnchors((roots.load(roots.APPLE_RECEIPT),))

    @staticmethod
    @cache
    def google_hardware() -> TrustAnchors:
        """Google's hardware attestation roots: the RSA key of 2016 and the P-384 key of 2026."""
        return TrustAnchors(tuple(roots.load(root) for root in roots.GOOGLE))
