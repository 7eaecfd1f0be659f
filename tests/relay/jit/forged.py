"""Tokens that were made by hand, for what no library writes."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Signer = Callable[[bytes], bytes]


def part(data: bytes) -> str:
    """Base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def es256(key: ec.EllipticCurvePrivateKey) -> Signer:
    """Sign as ES256 does."""

    def sign(message: bytes) -> bytes:
        r, s = decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32) + s.to_bytes(32)

    return sign


def rs256(key: rsa.RSAPrivateKey) -> Signer:
    """Sign as RS256 does."""
    return lambda message: key.sign(message, padding.PKCS1v15(), hashes.SHA256())


def token(
    header: Mapping[str, object] | bytes, claims: Mapping[str, object] | bytes, sign: Signer
) -> str:
    """A token of any header and claims, which may be JSON as it stands."""
    parts = [
        part(one if isinstance(one, bytes) else json.dumps(one).encode())
        for one in (header, claims)
    ]
    message = ".".join(parts)
    return f"{message}.{part(sign(message.encode()))}"
