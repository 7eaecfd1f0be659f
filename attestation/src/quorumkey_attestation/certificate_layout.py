"""The parts of a certificate as they are encoded, which is how they are signed and compared.

``cryptography`` hands out what a certificate means. Here stands what it says octet by octet: the
signed part, the two names, the key. Names are compared this way (RFC 5280 section 7.1 would fold
case and space besides, which no vendor's chain needs), and no part has to be encoded again.
"""

from __future__ import annotations

from typing import NamedTuple

from quorumkey_attestation.der import Reader, context

__all__ = ["CertificateLayout", "read_layout"]

_SEQUENCE = 0x30
_VERSION = context(0)


class CertificateLayout(NamedTuple):
    """The encoded parts of a certificate (RFC 5280 section 4.1).

    Attributes:
        signed: the DER of the TBSCertificate.
        issuer: the content of the issuer's name.
        subject: the content of the subject's name.
        public_key_info: the DER of the SubjectPublicKeyInfo.
        names_one_algorithm: whether the signed part and the signature name the same algorithm.
    """

    signed: bytes
    issuer: bytes
    subject: bytes
    public_key_info: bytes
    names_one_algorithm: bool


def read_layout(certificate: bytes) -> CertificateLayout:
    """Return the parts of a certificate.

    Args:
        certificate: its DER.

    Raises:
        AttestationError: ``malformed``.
    """
    outer = Reader(Reader(certificate, "certificate").content(_SEQUENCE), "certificate")
    signed = outer.read_encoded(_SEQUENCE)
    algorithm = outer.content(_SEQUENCE)
    fields = Reader(Reader(signed, "certificate").content(_SEQUENCE), "certificate")
    if fields.read().tag == _VERSION:  # absent in version 1, whose first element is the serial
        fields.read()
    signed_algorithm = fields.content(_SEQUENCE)
    issuer = fields.content(_SEQUENCE)
    fields.content(_SEQUENCE)  # the validity
    subject = fields.content(_SEQUENCE)
    return CertificateLayout(
        signed,
        issuer,
        subject,
        fields.read_encoded(_SEQUENCE),
        algorithm == signed_algorithm,
    )
