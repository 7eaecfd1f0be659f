"""Opening a Web Push message as the browser does (RFC 8188 and RFC 8291)."""

from __future__ import annotations

import hmac
import secrets
import struct
from base64 import urlsafe_b64encode
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

AUTH_BYTES: Final = 16
_SALT_BYTES: Final = 16
_POINT_BYTES: Final = 65
#: Salt, record size, length of the key id, key id (RFC 8188, section 2.1).
_HEAD: Final = struct.Struct(f">{_SALT_BYTES}sLB{_POINT_BYTES}s")
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_LAST_RECORD: Final = 2
#: Tag and delimiter: what a record is longer than its text by (RFC 8188, section 2).
_OVERHEAD_BYTES: Final = _TAG_BYTES + 1


class UnreadableMessageError(ValueError):
    """The browser could not open this message; the message is a sentence."""


class BrowserKeys:
    """What a browser made for one subscription, and keeps for itself."""

    def __init__(self) -> None:
        """Make them."""
        self._private = generate_private_key(SECP256R1())
        public = self._private.public_key()
        self._point = public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
        self._auth = secrets.token_bytes(AUTH_BYTES)

    @property
    def p256dh(self) -> str:
        """The public key, an uncompressed point in base64url."""
        return base64url(self._point)

    @property
    def auth(self) -> str:
        """The authentication secret in base64url."""
        return base64url(self._auth)

    def open(self, body: bytes) -> bytes:
        """Return the text of an aes128gcm body of one record; raises ``UnreadableMessageError``."""
        if len(body) < _HEAD.size + _OVERHEAD_BYTES:
            raise UnreadableMessageError("The body is shorter than an empty record.")
        salt, record_bytes, id_bytes, point = _HEAD.unpack_from(body)
        record = body[_HEAD.size :]
        if id_bytes != _POINT_BYTES:
            raise UnreadableMessageError("The key id must be the sender's point of 65 bytes.")
        if len(record) > record_bytes:
            raise UnreadableMessageError("There must be one record only (RFC 8291, section 4).")
        key, nonce = self._derive(salt, point)
        try:
            padded = AESGCM(key).decrypt(nonce, record, None)
        except InvalidTag:
            raise UnreadableMessageError("The record does not decrypt.") from None
        text = padded.rstrip(b"\0")
        if not text or text[-1] != _LAST_RECORD:
            raise UnreadableMessageError("The record is not marked as the last one.")
        return text[:-1]

    def _derive(self, salt: bytes, point: bytes) -> tuple[bytes, bytes]:
        """Return content key and nonce (RFC 8291, section 3.4)."""
        try:
            sender = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
        except ValueError:
            raise UnreadableMessageError("The sender's key is no point of P-256.") from None
        shared = self._private.exchange(ECDH(), sender)
        info = b"WebPush: info\0" + self._point + point
        secret = _hkdf(self._auth, shared, info, 32)
        key = _hkdf(salt, secret, b"Content-Encoding: aes128gcm\0", _KEY_BYTES)
        return key, _hkdf(salt, secret, b"Content-Encoding: nonce\0", _NONCE_BYTES)


def base64url(data: bytes) -> str:
    """Return base64url without padding."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _hkdf(salt: bytes, secret: bytes, info: bytes, length: int) -> bytes:
    """Return HKDF-SHA-256 for at most one block (RFC 5869)."""
    extracted = hmac.digest(salt, secret, "sha256")
    return hmac.digest(extracted, info + b"\1", "sha256")[:length]
