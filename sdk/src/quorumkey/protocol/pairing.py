"""Pairing codes and the binding of a key to a pairing's secret (protocol section 4)."""

from __future__ import annotations

import hmac
from hashlib import sha256
from typing import Final

from quorumkey.protocol._members import fingerprint_in, refuse
from quorumkey.protocol.encoding import b64encode
from quorumkey.protocol.limits import (
    COMPRESSED_KEY_BYTES,
    PAIRING_CODE_CHARS,
    PAIRING_CODE_GROUP_CHARS,
    PAIRING_SECRET_BYTES,
)

__all__ = [
    "format_pairing_code",
    "make_pairing_code",
    "normalise_pairing_code",
    "pairing_binding",
]

#: Crockford's base32: no I, L, O and U.
_ALPHABET: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_READ_AS: Final = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None})
_BINDING_LABEL: Final = b"quorumkey pairing v1"
_CHAR_BITS: Final = 5
_RANDOM_BYTES: Final = 8
_MAX_TYPED_CHARS: Final = 64


def normalise_pairing_code(text: object) -> str:
    """Read a pairing code as a person may type it; answers its 12 characters.

    Hyphens and spaces are dropped, letters upper-cased, O read as 0 and I and L as 1.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    # isascii(): upper() would turn letters such as U+0131 into ones of the alphabet.
    if type(text) is str and len(text) <= _MAX_TYPED_CHARS and text.isascii():
        code = text.upper().translate(_READ_AS)
        if len(code) == PAIRING_CODE_CHARS and set(code) <= set(_ALPHABET):
            return code
    message = "pairing_code must be 12 characters like 7Q4M-2XKD-90FZ."
    raise refuse(message)


def format_pairing_code(code: str) -> str:
    """Write a pairing code as ``XXXX-XXXX-XXXX``.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    plain = normalise_pairing_code(code)
    step = PAIRING_CODE_GROUP_CHARS
    return "-".join(plain[start : start + step] for start in range(0, len(plain), step))


def make_pairing_code(random: bytes) -> str:
    """Make the 12 characters of a code from 8 random bytes, of which 60 bits are used.

    Raises:
        ValueError: not 8 bytes (a bug of the caller).
    """
    if len(random) != _RANDOM_BYTES:
        message = "a pairing code takes 8 random bytes"
        raise ValueError(message)
    number = int.from_bytes(random, "big")
    return "".join(
        _ALPHABET[number >> (_CHAR_BITS * place) & (2**_CHAR_BITS - 1)]
        for place in range(PAIRING_CODE_CHARS)
    )


def pairing_binding(secret: bytes, relay_fingerprint: str, device_public_key: bytes) -> str:
    """The ``binding`` of an enrolment, in base64.

    HMAC-SHA256(secret, ``"quorumkey pairing v1" || 0x00 || relay fingerprint || key``).

    Args:
        secret: the pairing's 32 bytes, which the relay never sees.
        relay_fingerprint: the pinned relay's, as 64 lower-case hex digits.
        device_public_key: the device's compressed key, 33 bytes.

    Raises:
        ProtocolError: ``invalid_request``; an argument has another form.
    """
    relay = fingerprint_in(relay_fingerprint, field="relay")
    if len(secret) != PAIRING_SECRET_BYTES or len(device_public_key) != COMPRESSED_KEY_BYTES:
        message = "A binding takes a secret of 32 bytes and a compressed key of 33 bytes."
        raise refuse(message)
    message_bytes = b"%b\x00%b%b" % (_BINDING_LABEL, relay.encode(), device_public_key)
    return b64encode(hmac.digest(secret, message_bytes, sha256))
