"""The keys that sign the tokens in links: files of the operator, or one that the relay makes.

Keys are changed by a new first file, which signs from the next start on, with the old one behind
it until the last of its tokens has expired. A key that is published before it signs stands second
first. Each key is of one algorithm, and its id is its thumbprint (RFC 7638).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from quorumkey.protocol import b64url_encode
from quorumkey_relay.identity.files import UnsafeFileError, read_private, write_private
from quorumkey_relay.identity.signed_tokens import MAX_RSA_BITS, MIN_RSA_BITS, VerifyingKey
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.identity.signed_tokens import Algorithm, PublicKey
    from quorumkey_relay.jit_settings import TokenSettings

PrivateKey: TypeAlias = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

MADE_KEY_NAME: Final = "jit-token-key.pem"

_RSA_EXPONENT: Final = 65_537
_EC_BYTES: Final = 32
_WANTED: Final = f"a P-256 key, or an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, in PEM"


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The key that signs."""

    kid: str
    algorithm: Algorithm
    private: PrivateKey = field(repr=False)


@dataclass(frozen=True, slots=True)
class TokenKeys:
    """Which key signs, and every one that verifies, in the order of the settings."""

    signing: SigningKey
    verifying: tuple[VerifyingKey, ...]

    @property
    def algorithms(self) -> frozenset[Algorithm]:
        """Return what these keys sign with; nothing else is read."""
        return frozenset(key.algorithm for key in self.verifying)

    @property
    def jwks(self) -> bytes:
        """Return the public keys as a JWK Set."""
        keys = [
            {**jwk(key.public), "kid": key.kid, "alg": key.algorithm, "use": "sig"}
            for key in self.verifying
        ]
        return msgspec.json.encode({"keys": keys})


def open_token_keys(settings: TokenSettings, data_dir: Path) -> TokenKeys:
    """Read the keys, making one (mode 0600) in the data folder where no file is named.

    A file after the first may hold a public key only. Raises `ConfigError`.
    """
    files = settings.key_files
    if not files:
        made = data_dir / MADE_KEY_NAME
        if not made.exists():
            write_private(made, _new_key(settings.algorithm))
        files = (made,)
    keys = [_read(path) for path in files]
    first = keys[0]
    if isinstance(first, (ec.EllipticCurvePublicKey, rsa.RSAPublicKey)):
        raise ConfigError((f"{files[0]} must hold a private key: the first one signs.",))
    by_id = {known.kid: known for known in (verifying_key(_public(key)) for key in keys)}
    verifying = tuple(by_id.values())
    known = verifying[0]
    if known.algorithm != settings.algorithm:
        message = (
            f"{files[0]} holds a key for {known.algorithm}, but tokens are to be signed with "
            f"{settings.algorithm}: name a key for it as the first of tokens.key_files, or change "
            f"tokens.algorithm."
        )
        raise ConfigError((message,))
    return TokenKeys(SigningKey(thumbprint(known.public), known.algorithm, first), verifying)


def verifying_key(public: PublicKey) -> VerifyingKey:
    """Return a public key under its thumbprint."""
    is_curve = isinstance(public, ec.EllipticCurvePublicKey)
    return VerifyingKey(thumbprint(public), "ES256" if is_curve else "RS256", public)


def thumbprint(public: PublicKey) -> str:
    """Return the SHA-256 thumbprint of a key in base64url (RFC 7638, section 3)."""
    members = msgspec.json.encode(dict(sorted(jwk(public).items())))
    return b64url_encode(hashlib.sha256(members).digest())


def jwk(public: PublicKey) -> dict[str, str]:
    """Return the required members of a public key's JWK (RFC 7518, section 6)."""
    if isinstance(public, ec.EllipticCurvePublicKey):
        point = public.public_numbers()
        return {
            "kty": "EC",
            "crv": "P-256",
            "x": b64url_encode(point.x.to_bytes(_EC_BYTES)),
            "y": b64url_encode(point.y.to_bytes(_EC_BYTES)),
        }
    numbers = public.public_numbers()
    return {"kty": "RSA", "n": _unsigned(numbers.n), "e": _unsigned(numbers.e)}


def _unsigned(number: int) -> str:
    return b64url_encode(number.to_bytes((number.bit_length() + 7) // 8))


def _read(path: Path) -> PrivateKey | PublicKey:
    try:
        text = read_private(path)
    except UnsafeFileError as error:
        raise ConfigError((f"{error}.",)) from None
    try:
        if b"PUBLIC KEY" in text:
            key: object = load_pem_public_key(text)
        else:
            key = load_pem_private_key(text, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: the key is encrypted
        key = None
    if isinstance(key, (ec.EllipticCurvePrivateKey, ec.EllipticCurvePublicKey)):
        if isinstance(key.curve, ec.SECP256R1):
            return key
    elif (
        isinstance(key, (rsa.RSAPrivateKey, rsa.RSAPublicKey))
        and MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS
    ):
        return key
    raise ConfigError((f"{path} must hold {_WANTED}.",))


def _public(key: PrivateKey | PublicKey) -> PublicKey:
    if isinstance(key, (ec.EllipticCurvePrivateKey, rsa.RSAPrivateKey)):
        return key.public_key()
    return key


def _new_key(algorithm: Algorithm) -> bytes:
    key: PrivateKey = (
        ec.generate_private_key(ec.SECP256R1())
        if algorithm == "ES256"
        else rsa.generate_private_key(_RSA_EXPONENT, MIN_RSA_BITS)
    )
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
