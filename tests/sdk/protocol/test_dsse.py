from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey.errors import ProtocolError
from quorumkey.protocol import (
    Kind,
    PasskeyPolicy,
    PrivateKey,
    media_type,
    pae,
    parse_envelope,
    sign,
    strict_json,
    verify_signature,
)

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue


def test_pae_of_the_specification() -> None:
    """The example of the DSSE specification, protocol.md, comes out byte for byte."""
    assert b"DSSEv1 29 http://example.com/HelloWorld 11 hello world" == pae(
        "http://example.com/HelloWorld", b"hello world"
    )


def test_pae_counts_bytes() -> None:
    """Lengths are of bytes, not of characters."""
    assert "DSSEv1 2 é 3 ".encode() + b"\x00\xff " == pae("é", b"\x00\xff ")


@pytest.mark.parametrize("kind", Kind)
def test_signed_envelopes_verify_after_travel(kind: Kind) -> None:
    """An envelope of any type verifies after being written and read."""
    key = PrivateKey.generate()

    envelope = parse_envelope(
        strict_json.loads(sign(kind, b"payload", key).encode(), max_bytes=1_000)
    )

    assert f"application/vnd.quorumkey.{kind}.v1+json" == media_type(kind) == envelope.payload_type
    assert (b"payload", key.public_key.fingerprint) == (envelope.payload, envelope.keyid)
    assert verify_signature(envelope, kind=kind, key=key.public_key) is None


def test_refusal_names_the_field() -> None:
    """The message names the body's member that held the envelope."""
    with pytest.raises(ProtocolError, match=r"^push must be a JSON object"):
        parse_envelope([], field="push")


def test_passkey_policy_round_trip() -> None:
    """A relying party survives its JSON."""
    policy = PasskeyPolicy(
        "example.com", frozenset({"https://b.example.com", "https://a.example.com"})
    )

    assert {
        "rp_id": "example.com",
        "origins": ["https://a.example.com", "https://b.example.com"],
    } == policy.to_json()
    assert policy == PasskeyPolicy.from_json(policy.to_json())


@pytest.mark.parametrize(
    "value",
    [
        {"rp_id": "", "origins": ["https://example.com"]},
        {"rp_id": "example.com", "origins": []},
        {"rp_id": "example.com"},
        {"rp_id": 1, "origins": ["https://example.com"]},
        {"rp_id": "example.com", "origins": [1]},
        {"rp_id": "example.com", "origins": "https://example.com"},
        {"rp_id": "example.com", "origins": ["https://example.com"], "extra": 1},
    ],
)
def test_passkey_policy_that_names_nobody(value: dict[str, JsonValue]) -> None:
    """A relying party without id or origin is refused: empty never means any."""
    with pytest.raises(ProtocolError) as caught:
        PasskeyPolicy.from_json(value)

    assert "invalid_request" == caught.value.code
