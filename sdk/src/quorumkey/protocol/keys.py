"""P-256 keys, fingerprints and signatures (protocol section 2).

A public key travels as its SEC1 compressed point, 33 bytes; its fingerprint is the lower-case
hex SHA-256 of those bytes. Signatures are ECDSA with SHA-256 in strict ASN.1 DER, which OpenSSL
enforces (it encodes what it has read again and compares).
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Final

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

from quorumkey.errors import ERRORS, ProtocolError
from quorumkey.protocol.encoding import b64decode, b64encode
from quorumkey.protocol.limits import (
    COMPRESSED_KEY_BYTES,
    MAX_SIGNATURE_BYTES,
    PUBLIC_KEY_CACHE_KEYS,
)

__all__ = ["PrivateKey", "PublicKey", "check_fingerprint", "fingerprint_of"]

_CURVE: Final = ec.SECP256R1()
_ECDSA: Final = ec.ECDSA(SHA256())
_DETERMINISTIC: Final = ec.ECDSA(SHA256(), deterministic_signing=True)
_COMPRESSED_PREFIXES: Final = (0x02, 0x03)
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}", re.ASCII)


def fingerprint_of(compressed: bytes) -> str:
    """Lower-case hex SHA-256 of a compressed key's 33 bytes."""
    return sha256(compressed).hexdigest()


def check_fingerprint(value: object, *, field: str) -> str:
    """Check that `value` is 64 lower-case hex digits; answers it.

    Raises:
        ProtocolError: ``invalid_fingerprint``.
    """
    if type(value) is str and _FINGERPRINT.fullmatch(value):
        return value
    message = f"{field} must be 64 lower-case hex digits."
    raise ProtocolError("invalid_fingerprint", message)


def _refuse_key(field_name: str) -> ProtocolError:
    message = f"{field_name} must be a compressed P-256 point (33 bytes) in base64."
    return ProtocolError("invalid_public_key", message)


def _load(compressed: bytes) -> ec.EllipticCurvePublicKey:
    if len(compressed) != COMPRESSED_KEY_BYTES or compressed[0] not in _COMPRESSED_PREFIXES:
        raise _refuse_key("A public key")
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(_CURVE, compressed)
    except ValueError:
        raise _refuse_key("A public key") from None


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A P-256 public key that is on the curve.

    Two are equal when their 33 bytes are.

    Attributes:
        compressed: the SEC1 compressed point, 33 bytes.
        base64: the same in base64, the protocol's ``device_public_key``.
        fingerprint: lower-case hex SHA-256 of `compressed`.
    """

    compressed: bytes
    base64: str = field(init=False, repr=False, compare=False)
    fingerprint: str = field(init=False, compare=False)
    _loaded: ec.EllipticCurvePublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Load the point.

        Raises:
            ProtocolError: ``invalid_public_key``; not a compressed point of P-256.
        """
        object.__setattr__(self, "_loaded", _load(self.compressed))
        object.__setattr__(self, "base64", b64encode(self.compressed))
        object.__setattr__(self, "fingerprint", fingerprint_of(self.compressed))

    @staticmethod
    def from_compressed(compressed: bytes) -> PublicKey:
        """The key of these 33 bytes; the most recently used ones are kept loaded.

        Raises:
            ProtocolError: ``invalid_public_key``.
        """
        return _cached(compressed)

    @staticmethod
    def from_base64(text: object, *, field: str = "device_public_key") -> PublicKey:
        """The key of this base64 text, as it came out of the JSON.

        Raises:
            ProtocolError: ``invalid_public_key``; `field` is named in the message.
        """
        try:
            return _cached(b64decode(text, field=field, length=COMPRESSED_KEY_BYTES))
        except ProtocolError:
            raise _refuse_key(field) from None

    def verify(self, signature: bytes, message: bytes) -> None:
        """Check an ECDSA-SHA256 signature (strict DER) over `message`.

        Raises:
            ProtocolError: ``invalid_signature``.
        """
        if len(signature) <= MAX_SIGNATURE_BYTES:
            try:
                self._loaded.verify(signature, message, _ECDSA)
            except InvalidSignature:
                pass
            else:
                return
        raise ProtocolError("invalid_signature", ERRORS["invalid_signature"].message)


@lru_cache(maxsize=PUBLIC_KEY_CACHE_KEYS)
def _cached(compressed: bytes) -> PublicKey:
    return PublicKey(compressed)


def loaded_keys() -> tuple[int, int | None]:
    """How many public keys are kept loaded, and how many may be."""
    info = _cached.cache_info()
    return info.currsize, info.maxsize


@dataclass(frozen=True, slots=True)
class PrivateKey:
    """A P-256 private key. Its repr shows the fingerprint only."""

    _loaded: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)
    public_key: PublicKey = field(init=False)

    def __post_init__(self) -> None:
        """Derive the public key.

        Raises:
            ProtocolError: ``invalid_request``; another curve.
        """
        if not isinstance(self._loaded.curve, ec.SECP256R1):
            raise _refuse_private()
        point = self._loaded.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        object.__setattr__(self, "public_key", PublicKey.from_compressed(point))

    @staticmethod
    def generate() -> PrivateKey:
        """Make a new key from the operating system's randomness."""
        return PrivateKey(ec.generate_private_key(_CURVE))

    @staticmethod
    def from_pem(pem: bytes) -> PrivateKey:
        """Read an unencrypted P-256 key in PEM.

        Raises:
            ProtocolError: ``invalid_request``; anything else.
        """
        try:
            loaded = load_pem_private_key(pem, password=None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise _refuse_private() from None
        if not isinstance(loaded, ec.EllipticCurvePrivateKey):
            raise _refuse_private()
        return PrivateKey(loaded)

    def to_pem(self) -> bytes:
        """Write the key as unencrypted PKCS #8 PEM: a secret, for a file of mode 0600."""
        return self._loaded.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())

    def sign(self, message: bytes) -> bytes:
        """Sign with ECDSA and SHA-256, deterministically (RFC 6979); answers strict DER."""
        return self._loaded.sign(message, _DETERMINISTIC)


def _refuse_private() -> ProtocolError:
    message = "The private key must be an unencrypted P-256 key in PEM."
    return ProtocolError("invalid_request", message)
