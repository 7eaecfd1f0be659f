"""Web Push encryption: the RFC's own example, an independent implementation, and padding."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from quorumkey.protocol import b64url_decode
from quorumkey_relay.delivery.push.webpush_encryption import (
    MAX_BODY_BYTES,
    MAX_PLAINTEXT_BYTES,
    OVERHEAD_BYTES,
    NotAPoint,
    Receiver,
    encrypt,
    new_ephemeral_key,
)

http_ece: Any = import_module("http_ece")  # it has no types


def raw(text: str) -> bytes:
    """Bytes that the RFC writes as base64url."""
    return b64url_decode(text, field="vector")


def private_key(text: str) -> ec.EllipticCurvePrivateKey:
    """A private key from its number."""
    return ec.derive_private_key(int.from_bytes(raw(text), "big"), ec.SECP256R1())


def point_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The uncompressed point of a key."""
    return key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


# RFC 8291, Appendix A.
TEXT = b"When I grow up, I want to be a watermelon"
SENDER = private_key("yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw")
BROWSER = private_key("q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94")
AUTH = raw("BTBZMqHH6r4Tts7J_aSIgg")
SALT = raw("DGv6ra1nlYgDCS1FRnbzlw")
BODY = raw(
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27ml"
    "mlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A_yl95bQpu6cVPT"
    "pK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)
RECEIVER = Receiver.of(point_of(BROWSER), AUTH)


def test_the_rfcs_example() -> None:
    """The keys, salt and text of RFC 8291, Appendix A, give its message byte for byte."""
    assert BODY == encrypt(TEXT, receiver=RECEIVER, ephemeral=SENDER, salt=SALT)


@settings(deadline=None, max_examples=60)
@given(
    text=st.binary(max_size=MAX_PLAINTEXT_BYTES),
    room=st.integers(min_value=0, max_value=MAX_BODY_BYTES),
    salt=st.binary(min_size=16, max_size=16),
    auth=st.binary(min_size=16, max_size=16),
)
def test_another_implementation_reads_ours(
    text: bytes, room: int, salt: bytes, auth: bytes
) -> None:
    """http_ece decrypts what we encrypted, padded by any amount."""
    size = max(room, OVERHEAD_BYTES + len(text))
    receiver = Receiver.of(point_of(BROWSER), auth)

    body = encrypt(
        text, receiver=receiver, ephemeral=new_ephemeral_key(), salt=salt, body_bytes=size
    )

    read = http_ece.decrypt(body, private_key=BROWSER, auth_secret=auth, version="aes128gcm")
    assert (size, text) == (len(body), read)


@settings(deadline=None, max_examples=40)
@given(text=st.binary(min_size=1, max_size=MAX_PLAINTEXT_BYTES), salt=st.binary(min_size=16))
def test_another_implementation_writes_the_same(text: bytes, salt: bytes) -> None:
    """With the same keys and salt http_ece makes the same bytes, so each reads the other."""
    theirs = http_ece.encrypt(
        text,
        salt=salt[:16],
        private_key=SENDER,
        dh=point_of(BROWSER),
        auth_secret=AUTH,
        version="aes128gcm",
    )

    assert theirs == encrypt(text, receiver=RECEIVER, ephemeral=SENDER, salt=salt[:16])


@pytest.mark.parametrize("length", [0, 1, 200, 1_500, 1_945])
def test_the_length_tells_nothing(length: int) -> None:
    """Texts of any length fill the same body."""
    body = encrypt(bytes(length), receiver=RECEIVER, ephemeral=SENDER, salt=SALT, body_bytes=2_048)

    assert 2_048 == len(body)


@pytest.mark.parametrize(
    ("length", "size"),
    [(MAX_PLAINTEXT_BYTES + 1, None), (1_946, 2_048), (10, MAX_BODY_BYTES + 1), (0, 0)],
)
def test_what_does_not_fit_is_refused(length: int, size: int | None) -> None:
    """Neither a text that is too long nor a body that is too large is made."""
    with pytest.raises(ValueError, match="do not fit"):
        encrypt(bytes(length), receiver=RECEIVER, ephemeral=SENDER, salt=SALT, body_bytes=size)


@pytest.mark.parametrize(
    "point",
    [b"", bytes(65), b"\x04" + bytes(64), point_of(BROWSER)[:-1], b"\x04" + b"\xff" * 64],
    ids=["nothing", "zeros", "off-the-curve", "short", "too-large"],
)
def test_no_point_no_key(point: bytes) -> None:
    """A browser's key that is no point of the curve is refused before anything is computed."""
    with pytest.raises(NotAPoint):
        Receiver.of(point, AUTH)


def test_a_browsers_secrets_are_not_shown() -> None:
    """The representation has neither the point nor the secret."""
    assert "Receiver()" == repr(RECEIVER)
