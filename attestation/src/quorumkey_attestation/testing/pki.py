"""Keys and certificates for tests: deterministic, and therefore worth nothing as a proof.

A key is derived from its label, signatures are deterministic (RFC 6979) and serial numbers follow
from the names, so that every run mints the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["NOW", "Authority", "mint", "name", "private_key", "root", "sign"]

#: The moment at which the controls verify.
NOW: Final = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)

_SEED: Final = "quorumkey UNSAFE test pki v1"
_ROOT_NOT_BEFORE: Final = datetime(2024, 1, 1, tzinfo=UTC)
_ROOT_NOT_AFTER: Final = datetime(2050, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Authority:
    """A certificate that issues others, and its private key.

    Attributes:
        certificate: its certificate.
        key: the private key of the certificate's public key.
    """

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def der(self) -> bytes:
        """The certificate's DER."""
        return self.certificate.public_bytes(Encoding.DER)


def private_key(label: str, curve: ec.EllipticCurve | None = None) -> ec.EllipticCurvePrivateKey:
    """Return the test key called ``label``: the same one every time, on P-256 unless told."""
    curve = curve or ec.SECP256R1()
    digest = hashlib.sha512(f"{_SEED}\0{curve.name}\0{label}".encode()).digest()
    # Below every order of these curves, and never 0.
    scalar = 1 + int.from_bytes(digest[: curve.key_size // 8 - 1])
    return ec.derive_private_key(scalar, curve)


def sign(key: ec.EllipticCurvePrivateKey, message: bytes) -> bytes:
    """Return the deterministic ECDSA signature of ``message`` with SHA-256, in DER."""
    return key.sign(message, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))


def name(common_name: str) -> x509.Name:
    """Return a distinguished name that consists of ``common_name``."""
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def mint(  # noqa: PLR0913  # the fields of a certificate
    subject: x509.Name | str,
    public_key: ec.EllipticCurvePublicKey,
    issuer: Authority,
    *,
    not_before: datetime,
    not_after: datetime,
    serial: int | None = None,
    ca: bool | None = None,
    path_length: int | None = None,
    key_usage: x509.KeyUsage | None = None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    issuer_name: x509.Name | None = None,
) -> x509.Certificate:
    """Return a certificate signed by ``issuer``.

    Args:
        subject: its subject, or the common name of one.
        public_key: the key it is about.
        issuer: who signs it.
        not_before: the start of its validity.
        not_after: the end of its validity.
        serial: its serial number; by default one that follows from the names and the key.
        ca: what basicConstraints says; None leaves the extension out.
        path_length: basicConstraints' pathLenConstraint.
        key_usage: the keyUsage extension; None leaves it out.
        extensions: further extensions, each with whether it is critical.
        issuer_name: the issuer it names, where that is not ``issuer``'s subject.
    """
    subject = name(subject) if isinstance(subject, str) else subject
    issuer_name = issuer_name or issuer.certificate.subject
    return _build(
        subject,
        issuer_name,
        public_key,
        issuer.key,
        not_before=not_before,
        not_after=not_after,
        serial=serial,
        extensions=[
            *([] if ca is None else [(x509.BasicConstraints(ca, path_length), True)]),
            *([] if key_usage is None else [(key_usage, True)]),
            *extensions,
        ],
    )


def root(common_name: str, curve: ec.EllipticCurve | None = None) -> Authority:
    """Return the self-signed test root called ``common_name``: the same one every time."""
    key = private_key(f"root {common_name}", curve or ec.SECP384R1())
    certificate = _build(
        name(common_name),
        name(common_name),
        key.public_key(),
        key,
        not_before=_ROOT_NOT_BEFORE,
        not_after=_ROOT_NOT_AFTER,
        serial=None,
        extensions=[(x509.BasicConstraints(ca=True, path_length=None), True)],
    )
    return Authority(certificate, key)


def _build(  # noqa: PLR0913  # as above
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    signer: ec.EllipticCurvePrivateKey,
    *,
    not_before: datetime,
    not_after: datetime,
    serial: int | None,
    extensions: Sequence[tuple[x509.ExtensionType, bool]],
) -> x509.Certificate:
    if serial is None:
        point = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        seed = subject.public_bytes() + issuer.public_bytes() + point
        serial = int.from_bytes(hashlib.sha256(seed).digest()[:16]) >> 1 | 1
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(serial)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    is_p256 = isinstance(signer.curve, ec.SECP256R1)
    return builder.sign(
        signer, hashes.SHA256() if is_p256 else hashes.SHA384(), ecdsa_deterministic=True
    )
