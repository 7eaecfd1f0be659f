"""Wycheproof's ECDSA signatures, against the functions that check signatures in the verifiers."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypedDict, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import load_der_public_key

from quorumkey_attestation.apple import assertion
from quorumkey_attestation.webauthn import signatures

if TYPE_CHECKING:
    from collections.abc import Callable

    Check = Callable[[ec.EllipticCurvePublicKey, bytes, bytes], bool]

FILE = (
    Path(__file__).resolve().parents[3]
    / "shared/vectors/wycheproof/ecdsa_secp256r1_sha256_test.json"
)
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256, SEC 2

pytestmark = pytest.mark.skipif(
    not FILE.is_file(), reason="the public vectors are not beside the checkout"
)


class Attempt(NamedTuple):
    """One signature of the collection."""

    number: int
    key: ec.EllipticCurvePublicKey
    message: bytes
    signature: bytes
    is_valid: bool


class Entry(TypedDict):
    """A test in Wycheproof's file."""

    tcId: int
    msg: str
    sig: str
    result: str


class Group(TypedDict):
    """Tests with one key in Wycheproof's file."""

    publicKeyDer: str
    tests: list[Entry]


@cache
def attempts() -> tuple[Attempt, ...]:
    """Return every signature of the collection."""
    content = cast("dict[str, list[Group]]", json.loads(FILE.read_bytes()))
    found: list[Attempt] = []
    for group in content["testGroups"]:
        key = load_der_public_key(bytes.fromhex(group["publicKeyDer"]))
        assert isinstance(key, ec.EllipticCurvePublicKey)
        found.extend(
            Attempt(
                entry["tcId"],
                key,
                bytes.fromhex(entry["msg"]),
                bytes.fromhex(entry["sig"]),
                entry["result"] == "valid",
            )
            for entry in group["tests"]
        )
    return tuple(found)


def by_app_attest(key: ec.EllipticCurvePublicKey, signature: bytes, message: bytes) -> bool:
    """Check as App Attest assertions are checked; the message stands for the nonce."""
    return assertion._is_signed(signature, message, key)  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]  # a vector's message cannot be had as a nonce, so the entry point cannot be used


CHECKS: list[Check] = [by_app_attest, signatures.is_signed]


def test_the_collection_is_whole() -> None:
    """There are 310 invalid and 174 valid signatures."""
    verdicts = [attempt.is_valid for attempt in attempts()]

    assert (310, 174) == (verdicts.count(False), verdicts.count(True))


@pytest.mark.parametrize("check", CHECKS, ids=["app attest", "webauthn"])
def test_every_invalid_signature_is_refused(check: Check) -> None:
    """No signature that Wycheproof calls invalid verifies."""
    accepted = [
        each.number
        for each in attempts()
        if not each.is_valid and check(each.key, each.signature, each.message)
    ]

    assert accepted == []


@pytest.mark.parametrize("check", CHECKS, ids=["app attest", "webauthn"])
def test_every_valid_signature_is_accepted(check: Check) -> None:
    """Every signature that Wycheproof calls valid verifies."""
    refused = [
        each.number
        for each in attempts()
        if each.is_valid and not check(each.key, each.signature, each.message)
    ]

    assert refused == []


@pytest.mark.parametrize("check", CHECKS, ids=["app attest", "webauthn"])
def test_the_other_s_of_a_valid_signature_is_accepted(check: Check) -> None:
    """Both values of s verify: hardware sends either, so a signature's bytes name nothing."""
    for each in attempts():
        if each.is_valid:
            r, s = decode_dss_signature(each.signature)

            assert check(each.key, encode_dss_signature(r, ORDER - s), each.message)
