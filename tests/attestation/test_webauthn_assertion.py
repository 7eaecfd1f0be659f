"""What an assertion returns, and under which keys it verifies."""

from __future__ import annotations

from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, x25519
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.attestation.webauthn_material import GET, POLICY, assert_with

from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing import webauthn
from quorumkey_attestation.testing.webauthn import (
    BACKED_UP,
    BACKUP_ELIGIBLE,
    DEFAULT_FLAGS,
    assertion_signature,
)
from quorumkey_attestation.webauthn import verify_webauthn_assertion
from quorumkey_attestation.webauthn.signatures import is_signed, key_fits

#: The order of P-256 (SEC 2 section 2.4.2).
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.mark.parametrize(
    ("encoding", "form"),
    [
        (Encoding.X962, PublicFormat.CompressedPoint),
        (Encoding.X962, PublicFormat.UncompressedPoint),
        (Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["compressed", "uncompressed", "spki"],
)
def test_a_stored_key_may_be_bytes(encoding: Encoding, form: PublicFormat) -> None:
    """A key that a server stored as a point or in DER is as good as the key itself."""
    stored = GET.key.public_key().public_bytes(encoding, form)

    assert assert_with() == assert_with(public_key=stored)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\x04" + bytes(64),
        b"0\x00",
        bytes.fromhex("300a300406028103030200ff"),  # an algorithm that nobody knows
        x25519.X25519PrivateKey.from_private_bytes(bytes(32))
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
    ],
    ids=["nothing", "off-curve", "not-a-key", "unknown", "x25519"],
)
def test_an_impossible_stored_key_is_the_callers_mistake(stored: bytes) -> None:
    """Bytes that are no key of a credential cannot have come from a registration."""
    with pytest.raises(ValueError, match=r".+"):
        assert_with(public_key=stored)


def test_the_counter_and_the_flags_are_returned() -> None:
    """What a server stores after an assertion comes back as the authenticator gave it."""
    assertion = assert_with(replace(GET, flags=DEFAULT_FLAGS | BACKUP_ELIGIBLE | BACKED_UP))

    assert (5, True, True, True) == (
        assertion.sign_count,
        assertion.user_verified,
        assertion.backup_eligible,
        assertion.backed_up,
    )


def test_either_half_of_s_is_taken() -> None:
    """ECDSA signatures come in pairs; authenticators send either, so both verify."""
    r, s = decode_dss_signature(assertion_signature(GET))

    assert assert_with() == assert_with(signature=encode_dss_signature(r, ORDER - s))


def test_a_stored_key_of_another_algorithm_is_refused() -> None:
    """A policy for ES256 alone accepts no Ed25519 key, wherever it came from."""
    key = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    with pytest.raises(AttestationError) as refusal:
        assert_with(public_key=key)

    assert refusal.value.reason is Reason.ALGORITHM


def test_a_key_that_cannot_sign_signs_nothing() -> None:
    """A key for key agreement verifies no signature."""
    key = x25519.X25519PrivateKey.from_private_bytes(bytes(32)).public_key()

    assert not is_signed(key, b"", b"")
    assert not key_fits(key, -7)


def test_nothing_has_to_be_installed_for_an_assertion() -> None:
    """An assertion names the checks it passed; none of them asks for a root or an attestation."""
    checks = assert_with().checks

    assert checks
    assert all(check.startswith("webauthn.assertion/") for check in checks)


def test_a_credential_without_a_counter_may_stay_without_one() -> None:
    """0 after 0 is accepted, again and again; the challenge has to be single-use."""
    parts = replace(GET, sign_count=0)
    assertion = verify_webauthn_assertion(
        authenticator_data=parts.assertion_data,
        client_data_json=parts.client_data_json,
        signature=assertion_signature(parts),
        challenge=webauthn.CHALLENGE,
        public_key=parts.key.public_key(),
        last_sign_count=0,
        policy=POLICY,
    )

    assert assertion.sign_count == 0
