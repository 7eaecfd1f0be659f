"""Message encryption for Web Push: RFC 8291 over the ``aes128gcm`` coding of RFC 8188."""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

SALT_BYTES: Final = 16
POINT_BYTES: Final = 65
_RECORD_BYTES: Final = 4_096
_TAG_BYTES: Final = 16
_KEY_BYTES: Final = 16
_NONCE_BYTES: Final = 12
_HASH_BYTES: Final = 32
# The coding's header: salt, record size, length of the key id, key id (RFC 8188, section 2.1).
_HEADER_BYTES: Final = SALT_BYTES + 4 + 1 + POINT_BYTES
_LAST_RECORD: Final = b"\x02"  # the delimiter after the text of the last record (section 2)
#: What encryption adds to a text before padding.
OVERHEAD_BYTES: Final = _HEADER_BYTES + len(_LAST_RECORD) + _TAG_BYTES
#: What a push service must take (RFC 8030, section 7.2).
MAX_BODY_BYTES: Final = 4_096
#: The longest text that fits into that.
MAX_PLAINTEXT_BYTES: Final = MAX_BODY_BYTES - OVERHEAD_BYTES


class NotAPoint(ValueError):  # noqa: N818 - says what is wrong
    """A browser's key is no point of P-256."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """A browser's keys: its point, parsed and as 65 bytes, and its secret (RFC 8291, section 2)."""

    key: ec.EllipticCurvePublicKey = field(repr=False)
    point: bytes = field(repr=False)
    auth: bytes = field(repr=False)

    @classmethod
    def of(cls, point: bytes, auth: bytes) -> Receiver:
        """Parse an uncompressed point; raises ``NotAPoint``."""
        try:
            key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        except ValueError as error:
            message = "the browser's key is no point of P-256"
            raise NotAPoint(message) from error
        return cls(key, point, auth)


def new_ephemeral_key() -> ec.EllipticCurvePrivateKey:
    """Return a key for one message; none is used for a second one (RFC 8291, section 3.1)."""
    return ec.generate_private_key(ec.SECP256R1())


def encrypt(
    plaintext: bytes,
    *,
    receiver: Receiver,
    ephemeral: ec.EllipticCurvePrivateKey,
    salt: bytes,
    body_bytes: int | None = None,
) -> bytes:
    """Return the body of a push message: one record that only the browser can read.

    Zeros after the text fill it up to ``body_bytes``, so that the length does not tell the
    content; None adds none. ``salt`` is 16 random bytes; neither it nor ``ephemeral`` may be used
    again. Raises ``ValueError`` where the text does not fit.
    """
    unpadded = OVERHEAD_BYTES + len(plaintext)
    size = unpadded if body_bytes is None else body_bytes
    if not unpadded <= size <= MAX_BODY_BYTES:
        message = f"{len(plaintext)} bytes of text do not fit into a body of {size} bytes"
        raise ValueError(message)
    sender = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    # RFC 8291, section 3.4: both parties' keys and the secret make the input keying material.
    shared = ephemeral.exchange(ec.ECDH(), receiver.key)
    info = b"WebPush: info\0" + receiver.point + sender
    keying = _expand(_hmac(receiver.auth, shared), info, _HASH_BYTES)
    # RFC 8188, sections 2.2 and 2.3: with the salt it makes key and nonce of the only record.
    prk = _hmac(salt, keying)
    key = _expand(prk, b"Content-Encoding: aes128gcm\0", _KEY_BYTES)
    nonce = _expand(prk, b"Content-Encoding: nonce\0", _NONCE_BYTES)
    header = salt + _RECORD_BYTES.to_bytes(4, "big") + bytes((POINT_BYTES,)) + sender
    record = plaintext + _LAST_RECORD + bytes(size - unpadded)
    return header + AESGCM(key).encrypt(nonce, record, None)


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def _expand(prk: bytes, info: bytes, length: int) -> bytes:
    """HKDF-Expand of at most one block (RFC 5869, section 2.3)."""
    return _hmac(prk, info + b"\x01")[:length]
