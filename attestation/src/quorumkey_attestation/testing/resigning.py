"""Change what a certificate says in ways that no certificate builder offers, and sign it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation import der
from quorumkey_attestation.testing.der_encoding import element, sequence

if TYPE_CHECKING:
    from quorumkey_attestation.testing import pki

__all__ = ["ecdsa_with_null", "resign"]

_BIT_STRING: Final = 0x03
_SIGNATURE_ALGORITHM: Final = 2  # positions in TBSCertificate, the version being 0 (RFC 5280)
_PUBLIC_KEY: Final = 6
_EXTENSIONS: Final = 7
_SHA384_FROM_BITS: Final = 384  # size of the issuer's curve


def resign(  # noqa: PLR0913  # the parts of a certificate that a builder does not give away
    certificate: bytes,
    issuer: pki.Authority,
    *,
    public_key_info: bytes | None = None,
    algorithm: bytes | None = None,
    digest: hashes.HashAlgorithm | None = None,
    extensions: bytes | None = None,
) -> bytes:
    """Return a certificate with parts of it replaced, validly signed.

    Args:
        certificate: the DER of the certificate, of version 2 or 3.
        issuer: who signs it.
        public_key_info: another SubjectPublicKeyInfo, in DER.
        algorithm: another AlgorithmIdentifier for the signature, in DER.
        digest: the hash to sign with, where it is not the one that suits the issuer's key.
        extensions: other extensions, in DER with their tag [3].
    """
    outer = der.Reader(der.Reader(certificate, "").read(der.SEQUENCE).content, "")
    fields = _elements(outer.read(der.SEQUENCE).content)
    algorithm = algorithm or fields[_SIGNATURE_ALGORITHM]
    fields[_SIGNATURE_ALGORITHM] = algorithm
    fields[_PUBLIC_KEY] = public_key_info or fields[_PUBLIC_KEY]
    if extensions is not None:
        fields[_EXTENSIONS] = extensions
    signed = sequence(*fields)
    if digest is None:
        is_long = issuer.key.curve.key_size >= _SHA384_FROM_BITS
        digest = hashes.SHA384() if is_long else hashes.SHA256()
    signature = issuer.key.sign(signed, ec.ECDSA(digest, deterministic_signing=True))
    return sequence(signed, algorithm, element(_BIT_STRING, b"\0" + signature))


def ecdsa_with_null(certificate: bytes) -> bytes:
    """Return a certificate's signature algorithm with NULL parameters.

    RFC 5758 section 3.2 has ECDSA without parameters; some genuine devices write them.
    """
    outer = der.Reader(der.Reader(certificate, "").read(der.SEQUENCE).content, "")
    outer.read(der.SEQUENCE)
    algorithm = outer.read(der.SEQUENCE).content
    return sequence(algorithm, element(der.NULL, b""))


def _elements(content: bytes) -> list[bytes]:
    reader = der.Reader(content, "")
    found: list[bytes] = []
    while not reader.at_end:
        each = reader.read()
        found.append(element(each.tag, each.content))
    return found
