"""The verifier for format none, and what every verifier is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation import (
    Assurance,
    AttestationError,
    Expectation,
    NoEvidence,
    Reason,
    Result,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation import Verifier

EXPECTED = Expectation(nonce=bytes(32), device_public_key=b"\x02" + bytes(32), now=1_777_000_000)


@pytest.fixture
def verifier() -> Verifier:
    """The verifier under test, as its port."""
    return NoEvidence()


def test_no_evidence_proves_nothing(verifier: Verifier) -> None:
    """Format none is accepted at the lowest level."""
    result = verifier.verify({"format": "none"}, EXPECTED)

    assert Result(format="none", assurance=Assurance.NONE) == result


@pytest.mark.parametrize(
    ("evidence", "reason"),
    [
        ({}, Reason.UNSUPPORTED),
        ({"format": "android-key", "chain": []}, Reason.UNSUPPORTED),
        ({"format": ["none"]}, Reason.UNSUPPORTED),
        ({"format": "none", "chain": []}, Reason.MALFORMED),
    ],
)
def test_anything_else_is_refused_with_its_reason(
    verifier: Verifier, evidence: Mapping[str, object], reason: Reason
) -> None:
    """Other formats are unsupported; format none with more members is malformed."""
    with pytest.raises(AttestationError) as refused:
        verifier.verify(evidence, EXPECTED)

    assert reason is refused.value.reason


@pytest.mark.parametrize(("nonce", "key"), [(bytes(31), bytes(33)), (bytes(32), bytes(65))])
def test_an_expectation_of_wrong_length_cannot_be_made(nonce: bytes, key: bytes) -> None:
    """A nonce has 32 bytes and a compressed key 33."""
    with pytest.raises(ValueError, match="must be"):
        Expectation(nonce=nonce, device_public_key=key, now=0)
