"""Mint Play Integrity payloads and classic tokens, with keys that everybody can derive."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from quorumkey_attestation.testing import pki

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from cryptography.hazmat.primitives.asymmetric import ec

__all__ = [
    "CERTIFICATE_DIGEST",
    "DECRYPTION_KEY",
    "NONCE",
    "PACKAGE",
    "REQUEST_HASH",
    "Json",
    "Token",
    "base64url",
    "derive",
    "encode_json",
    "milliseconds",
    "payload",
    "signing_key",
]

Json: TypeAlias = "str | int | bool | list[Json] | dict[str, Json]"

_SEED: Final = "quorumkey UNSAFE test play integrity v1"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_COORDINATE_BYTES: Final = 32  # RFC 7518 section 3.4


def derive(label: str, size: int = 32) -> bytes:
    """Return ``size`` bytes, at most 64, that follow from ``label``: the same ones every time."""
    return hashlib.sha512(f"{_SEED}\0{label}".encode()).digest()[:size]


def base64url(data: bytes) -> str:
    """Return ``data`` in base64url without padding (RFC 7515 section 2)."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def encode_json(value: Json) -> bytes:
    """Return ``value`` as compact JSON, members in the order given."""
    return json.dumps(value, separators=(",", ":")).encode()


def milliseconds(moment: datetime) -> str:
    """Return a moment as Google writes 64-bit integers: milliseconds of the epoch, as a string."""
    elapsed: timedelta = moment - _EPOCH
    return str(round(elapsed.total_seconds() * 1000))


PACKAGE: Final = "org.quorumkey.test"
"""The test app's package name."""

CERTIFICATE_DIGEST: Final = derive("signing certificate")
"""SHA-256 of the certificate that the test app would be signed with."""

NONCE: Final = urlsafe_b64encode(derive("nonce", 25)).decode()
"""The nonce of the classic requests; its padding is a part of it."""

REQUEST_HASH: Final = base64url(derive("request hash"))
"""The hash of the standard requests."""

DECRYPTION_KEY: Final = derive("decryption key")
"""The AES-256 key that the Play Console would have handed out."""


def signing_key() -> ec.EllipticCurvePrivateKey:
    """Return the key that stands for Google's: its public half is the verification key."""
    return pki.private_key("play integrity")


def payload(request: Mapping[str, Json] | None = None) -> dict[str, Json]:
    """Return what a token says of a genuine app on a sound device, every optional part included.

    Args:
        request: what to ask with, ``nonce`` or ``requestHash``; the test nonce unless given.
    """
    return {
        "requestDetails": {
            "requestPackageName": PACKAGE,
            **({"nonce": NONCE} if request is None else request),
            "timestampMillis": milliseconds(pki.NOW),
        },
        "appIntegrity": {
            "appRecognitionVerdict": "PLAY_RECOGNIZED",
            "packageName": PACKAGE,
            "certificateSha256Digest": [base64url(CERTIFICATE_DIGEST)],
            "versionCode": "42",
        },
        "deviceIntegrity": {
            "deviceRecognitionVerdict": ["MEETS_DEVICE_INTEGRITY"],
            "deviceAttributes": {"sdkVersion": 36},
            "recentDeviceActivity": {"deviceActivityLevel": "LEVEL_1"},
            "deviceRecall": {"values": {"bitFirst": False, "bitSecond": False}},
        },
        "accountDetails": {"appLicensingVerdict": "LICENSED"},
        "environmentDetails": {
            "appAccessRiskVerdict": {"appsDetected": ["KNOWN_INSTALLED", "UNKNOWN_INSTALLED"]},
            "playProtectVerdict": "NO_ISSUES",
        },
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """A classic token, and everything that may be wrong with one.

    Attributes:
        content: what is signed.
        jwe_header: the outer header, as JSON.
        jws_header: the inner header, as JSON.
        decryption_key: the key that wraps the content key.
        signer: the key that signs.
        is_signed: whether the content is inside a JWS at all.
    """

    content: bytes
    jwe_header: bytes = b'{"alg":"A256KW","enc":"A256GCM"}'
    jws_header: bytes = b'{"alg":"ES256"}'
    decryption_key: bytes = DECRYPTION_KEY
    signer: ec.EllipticCurvePrivateKey = field(default_factory=signing_key)
    is_signed: bool = True

    def signing_input(self) -> str:
        """Return what the inner signature covers (RFC 7515 section 5.1)."""
        return f"{base64url(self.jws_header)}.{base64url(self.content)}"

    def jws(self, signature: bytes | None = None) -> str:
        """Return the inner, signed token.

        Args:
            signature: what stands in the signature's place; by default a valid one.
        """
        if signature is None:
            r, s = decode_dss_signature(pki.sign(self.signer, self.signing_input().encode()))
            signature = r.to_bytes(_COORDINATE_BYTES) + s.to_bytes(_COORDINATE_BYTES)
        return f"{self.signing_input()}.{base64url(signature)}"

    def encrypt(self, content: bytes | None = None) -> str:
        """Return the outer token; its content key and nonce are fixed, as nothing real has them.

        Args:
            content: what it holds; by default the inner token, or the bare content.
        """
        if content is None:
            content = self.jws().encode() if self.is_signed else self.content
        content_key, nonce = derive("content key"), derive("content nonce", 12)
        header = base64url(self.jwe_header)
        sealed = AESGCM(content_key).encrypt(nonce, content, header.encode())
        wrapped = aes_key_wrap(self.decryption_key, content_key)
        parts = (wrapped, nonce, sealed[:-16], sealed[-16:])
        return ".".join((header, *(base64url(part) for part in parts)))
