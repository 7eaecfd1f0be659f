from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from quorumkey.errors import ProtocolError
from quorumkey.protocol import PrivateKey, PublicKey, keys
from quorumkey.protocol.limits import PUBLIC_KEY_CACHE_KEYS

_WYCHEPROOF = (
    Path(__file__).resolve().parents[4]
    / "shared/vectors/wycheproof/ecdsa_secp256r1_sha256_test.json"
)


def test_private_key_survives_its_file() -> None:
    """A key read from its PEM signs as before, byte for byte."""
    key = PrivateKey.generate()

    again = PrivateKey.from_pem(key.to_pem())

    assert key == again
    assert key.public_key == again.public_key
    assert key.sign(b"message") == again.sign(b"message")


def test_signatures_are_deterministic_and_verify() -> None:
    """One message has one signature (RFC 6979), which verifies under the public key only."""
    key = PrivateKey.generate()
    signature = key.sign(b"message")

    assert signature == key.sign(b"message")
    key.public_key.verify(signature, b"message")
    with pytest.raises(ProtocolError) as caught:
        PrivateKey.generate().public_key.verify(signature, b"message")
    assert "invalid_signature" == caught.value.code


def test_private_key_hides_in_its_repr() -> None:
    """The repr of a private key shows what is public only."""
    key = PrivateKey.generate()
    secret = key.to_pem().decode().splitlines()[1]

    assert key.public_key.fingerprint in repr(key)
    assert "EllipticCurve" not in repr(key)
    assert secret not in repr(key)


def _pem(key: Any, *, password: bytes | None = None) -> bytes:  # noqa: ANN401 - keys of any kind
    protection = NoEncryption() if password is None else BestAvailableEncryption(password)
    pem: bytes = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection)
    return pem


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"not a key",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        _pem(ec.generate_private_key(ec.SECP384R1())),
        _pem(ec.generate_private_key(ec.SECP256K1())),
        _pem(rsa.generate_private_key(65_537, 2_048)),
        _pem(ed25519.Ed25519PrivateKey.generate()),
        _pem(ec.generate_private_key(ec.SECP256R1()), password=b"secret"),
    ],
    ids=["empty", "text", "garbage", "P-384", "secp256k1", "RSA", "Ed25519", "encrypted"],
)
def test_other_private_keys(pem: bytes) -> None:
    """What is no unencrypted P-256 key in PEM is refused with our own error."""
    with pytest.raises(ProtocolError, match="unencrypted P-256") as caught:
        PrivateKey.from_pem(pem)

    assert "invalid_request" == caught.value.code


def test_public_keys_are_kept_loaded() -> None:
    """The same 33 bytes give the same loaded key, and only so many are kept."""
    compressed = PrivateKey.generate().public_key.compressed

    assert PublicKey.from_compressed(compressed) is PublicKey.from_compressed(compressed)
    kept, limit = keys.loaded_keys()
    assert PUBLIC_KEY_CACHE_KEYS == limit
    assert 1 <= kept <= PUBLIC_KEY_CACHE_KEYS


def test_public_keys_are_equal_by_their_bytes() -> None:
    """Two public keys are equal, and hash alike, when their 33 bytes are."""
    compressed = PrivateKey.generate().public_key.compressed
    one, other = PublicKey(compressed), PublicKey(compressed)

    assert one is not other
    assert one == other
    assert 1 == len({one, other})
    assert one != PrivateKey.generate().public_key


def test_public_keys_do_not_change() -> None:
    """A public key is frozen."""
    key = PrivateKey.generate().public_key

    with pytest.raises(FrozenInstanceError):
        key.compressed = b""  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue] - the point


def test_refused_keys_name_the_field() -> None:
    """The message names the member that held the key."""
    with pytest.raises(ProtocolError, match=r"^next_public_key must be"):
        PublicKey.from_base64("AAAA", field="next_public_key")
    with pytest.raises(ProtocolError, match=r"^A public key must be"):
        PublicKey.from_compressed(b"")


def _wycheproof() -> list[Any]:
    if not _WYCHEPROOF.exists():
        return []
    groups: list[Any] = json.loads(_WYCHEPROOF.read_text(encoding="utf-8"))["testGroups"]
    return [(group, test) for group in groups for test in group["tests"]]


@pytest.mark.skipif(
    not _WYCHEPROOF.exists(),
    reason=f"Project Wycheproof's vectors are not at {_WYCHEPROOF.name} beside this repository",
)
def test_wycheproof() -> None:
    """Every ECDSA P-256 SHA-256 vector of Project Wycheproof is judged as published."""
    cases = _wycheproof()

    assert len(cases) > 400
    for group, test in cases:
        point = bytes.fromhex(group["publicKey"]["uncompressed"])
        key = PublicKey(bytes([2 + (point[-1] & 1)]) + point[1:33])
        message, signature = bytes.fromhex(test["msg"]), bytes.fromhex(test["sig"])
        if test["result"] == "valid":
            key.verify(signature, message)
        else:
            with pytest.raises(ProtocolError) as caught:
                key.verify(signature, message)

            assert "invalid_signature" == caught.value.code, test["tcId"]
