"""The signature algorithms of credentials, by their COSE identifiers (RFC 9053, RFC 8812)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_der_public_key

if TYPE_CHECKING:
    from quorumkey_attestation.webauthn.policy import CredentialPublicKey

__all__ = ["is_signed", "key_fits", "load_public_key"]

_ES256: Final = -7
_EDDSA: Final = -8
_ES384: Final = -35
_ES512: Final = -36
_RS256: Final = -257
_SEC1_POINTS: Final = (b"\x02", b"\x03", b"\x04")


def key_fits(key: object, algorithm: int) -> bool:
    """Say whether ``key`` is of the kind, and on the curve, that WebAuthn asks of ``algorithm``.

    WebAuthn Level 3, section 5.8.5, ties each ECDSA identifier to one curve.
    """
    if isinstance(key, ec.EllipticCurvePublicKey):
        curve = key.curve
        return (
            (algorithm == _ES256 and isinstance(curve, ec.SECP256R1))
            or (algorithm == _ES384 and isinstance(curve, ec.SECP384R1))
            or (algorithm == _ES512 and isinstance(curve, ec.SECP521R1))
        )
    if isinstance(key, RSAPublicKey):
        return algorithm == _RS256
    return isinstance(key, Ed25519PublicKey) and algorithm == _EDDSA


def is_signed(key: object, signature: bytes, data: bytes) -> bool:
    """Say whether ``signature`` over ``data`` verifies under ``key``, with the hash that fits it.

    ECDSA signatures are DER (RFC 3279 section 2.2.3); of the two values of ``s`` that verify,
    either is taken, so a signature's bytes identify nothing.
    """
    try:
        if isinstance(key, ec.EllipticCurvePublicKey):
            key.verify(signature, data, ec.ECDSA(_hash_for(key.curve)))
        elif isinstance(key, RSAPublicKey):
            key.verify(signature, data, PKCS1v15(), hashes.SHA256())
        elif isinstance(key, Ed25519PublicKey):
            key.verify(signature, data)
        else:
            return False
    except (InvalidSignature, UnsupportedAlgorithm, ValueError):
        return False
    return True


def _hash_for(curve: ec.EllipticCurve) -> hashes.HashAlgorithm:
    if isinstance(curve, ec.SECP384R1):
        return hashes.SHA384()
    return hashes.SHA512() if isinstance(curve, ec.SECP521R1) else hashes.SHA256()


def load_public_key(encoded: bytes) -> CredentialPublicKey:
    """Return the key that a server stored.

    Args:
        encoded: a SEC 1 point of P-256, compressed or not, or the DER of a SubjectPublicKeyInfo.

    Raises:
        ValueError: it is neither, or of a kind that no credential has.
    """
    try:
        if encoded[:1] in _SEC1_POINTS:
            return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), encoded)
        key = load_der_public_key(encoded)
    except UnsupportedAlgorithm as error:
        raise ValueError("the public key is of an unknown kind") from error
    except ValueError as error:
        raise ValueError(
            "the public key is neither a point of P-256 nor a SubjectPublicKeyInfo"
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey | RSAPublicKey | Ed25519PublicKey):
        raise ValueError("no credential has a public key of this kind")  # noqa: TRY004  # a value
    return key
