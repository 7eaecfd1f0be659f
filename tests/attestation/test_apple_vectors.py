"""What devices and Apple's servers really sent: it verifies when it came, and not otherwise."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast

import pytest
from tests.attestation.apple_material import (
    CAPTURED_CLIENT_DATA,
    DOC_CHALLENGE,
    DOC_KEY_ID,
    DOC_MOMENT,
    DOC_SAMPLE,
    Captured,
    captured,
    captured_key,
    captured_policy,
    doc_policy,
    needs_vectors,
)

from quorumkey_attestation.apple import (
    AppAttestKey,
    verify_app_assertion,
    verify_app_attestation,
    verify_app_receipt,
)
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from quorumkey_attestation.apple.receipt import ReceiptType

pytestmark = needs_vectors

_LEAF_ENDS = datetime.fromisoformat("2026-04-23T18:13:12Z")
_LEAF_BEGINS = datetime.fromisoformat("2026-04-20T18:13:12Z")

attestations = pytest.mark.parametrize(
    "document", captured("attestation"), ids=[each.name for each in captured("attestation")]
)
assertions = pytest.mark.parametrize(
    "document", captured("assertion"), ids=[each.name for each in captured("assertion")]
)
receipts = pytest.mark.parametrize(
    "document", captured("receipt"), ids=[each.name for each in captured("receipt")]
)


def _doc_key(now: datetime = DOC_MOMENT, client_data_hash: bytes = DOC_CHALLENGE) -> AppAttestKey:
    return verify_app_attestation(
        DOC_SAMPLE.read_bytes(),
        key_id=DOC_KEY_ID,
        client_data_hash=client_data_hash,
        policy=doc_policy(),
        now=now,
    )


def _type(document: Captured) -> ReceiptType:
    return "RECEIPT" if document.properties["type"] == "RECEIPT" else "ATTEST"


def _attested(document: Captured, now: datetime) -> AppAttestKey:
    return verify_app_attestation(
        document.content,
        key_id=document.key_id,
        client_data_hash=hashlib.sha256(CAPTURED_CLIENT_DATA).digest(),
        policy=captured_policy(),
        now=now,
    )


def test_there_are_captures() -> None:
    """The folder holds what its manifest lists: three conversations with nine receipts."""
    assert [3, 3, 9] == [len(captured(kind)) for kind in ("attestation", "assertion", "receipt")]


@pytest.mark.parametrize(
    "now", [_LEAF_BEGINS, DOC_MOMENT, _LEAF_ENDS], ids=["first", "made", "last"]
)
def test_apples_own_sample_verifies_while_its_leaf_is_valid(now: datetime) -> None:
    """The sample of 2026, made over the raw challenge, is accepted from first to last second."""
    key = _doc_key(now)

    assert ("1234567890.com.example.myapp", "production", 1, "1") == (
        key.app_id,
        key.environment,
        key.category,
        key.bundle_version,
    )


@pytest.mark.parametrize(
    ("now", "reason"),
    [
        (_LEAF_BEGINS - timedelta(seconds=1), Reason.NOT_YET_VALID),
        (_LEAF_ENDS + timedelta(seconds=1), Reason.EXPIRED),
    ],
    ids=["before", "after"],
)
def test_apples_own_sample_is_refused_a_second_before_and_after(
    now: datetime, reason: Reason
) -> None:
    """The leaf's validity counts to the second."""
    with pytest.raises(AttestationError) as refused:
        _doc_key(now)

    assert reason is refused.value.reason


def test_apples_own_sample_is_refused_with_the_hash_that_an_app_should_have_used() -> None:
    """Nobody tries both: the sample signs the challenge, and its SHA-256 is another nonce."""
    with pytest.raises(AttestationError) as refused:
        _doc_key(client_data_hash=hashlib.sha256(DOC_CHALLENGE).digest())

    assert "apple.attestation/4-nonce" == refused.value.check


def test_the_receipt_of_apples_own_sample_verifies() -> None:
    """The sample's receipt leads to Apple Root CA - G3 and is about the sample's key."""
    key = _doc_key()

    receipt = verify_app_receipt(key.receipt, key=key, policy=doc_policy(), now=DOC_MOMENT)

    assert ("ATTEST", DOC_CHALLENGE, timedelta(days=90)) == (
        receipt.type,
        receipt.client_hash,
        receipt.expires - receipt.created,
    )


@attestations
def test_a_captured_attestation_verifies_when_it_came(document: Captured) -> None:
    """A development key of iOS 14 is accepted, with the point that the capture gives for it."""
    key = _attested(document, document.at)

    assert (document.point, 0, None, None) == (
        key.point,
        key.counter,
        key.category,
        key.bundle_version,
    )


@attestations
def test_a_captured_attestation_is_refused_four_days_later(document: Captured) -> None:
    """Leafs of 2020 lived for three days."""
    with pytest.raises(AttestationError) as refused:
        _attested(document, document.at + timedelta(days=4))

    assert Reason.EXPIRED is refused.value.reason


@attestations
def test_the_receipt_of_a_captured_attestation_verifies(document: Captured) -> None:
    """The receipt inside an attestation is of type ATTEST and has no risk metric."""
    key = _attested(document, document.at)

    receipt = verify_app_receipt(key.receipt, key=key, policy=captured_policy(), now=document.at)

    assert ("ATTEST", None) == (receipt.type, receipt.risk_metric)


@assertions
def test_a_captured_assertion_verifies(document: Captured) -> None:
    """Its 37 bytes of authenticator data have AT set; the nonce is hashed once more."""
    assertion = verify_app_assertion(
        document.content,
        client_data=CAPTURED_CLIENT_DATA,
        key=captured_key(document),
        last_counter=0,
        policy=captured_policy(),
        challenge=b"wurzel",
    )

    assert 1 == assertion.counter


@assertions
def test_a_captured_assertion_is_refused_the_second_time(document: Captured) -> None:
    """Once its counter is stored, the assertion is worth nothing."""
    with pytest.raises(AttestationError) as refused:
        verify_app_assertion(
            document.content,
            client_data=CAPTURED_CLIENT_DATA,
            key=captured_key(document),
            last_counter=1,
            policy=captured_policy(),
        )

    assert Reason.COUNTER is refused.value.reason


@assertions
def test_every_changed_byte_of_a_captured_assertion_is_refused(document: Captured) -> None:
    """No bit of an assertion can be changed."""
    key = captured_key(document)
    for position in range(len(document.content)):
        changed = bytearray(document.content)
        changed[position] ^= 1 << position % 8
        with pytest.raises(AttestationError):
            verify_app_assertion(
                bytes(changed),
                client_data=CAPTURED_CLIENT_DATA,
                key=key,
                last_counter=0,
                policy=captured_policy(),
            )


@receipts
def test_a_captured_receipt_says_what_the_capture_says(document: Captured) -> None:
    """Type, dates and risk metric of every captured receipt are read as they were written down."""
    said = document.properties
    receipt = verify_app_receipt(
        document.content,
        key=captured_key(document),
        policy=captured_policy(),
        now=document.at,
        expected_type=_type(document),
    )

    assert (
        said["type"],
        datetime.fromisoformat(cast("str", said["creationTime"])),
        datetime.fromisoformat(cast("str", said["expirationTime"])),
        None if said["notBefore"] is None else datetime.fromisoformat(str(said["notBefore"])),
        said["riskMetric"],
        cast("str", said["token"]).encode(),
    ) == (
        receipt.type,
        receipt.created,
        receipt.expires,
        receipt.not_before,
        receipt.risk_metric,
        receipt.token,
    )


@receipts
def test_a_captured_receipt_outlives_the_certificate_that_signed_it(document: Captured) -> None:
    """Somebody who looks at a stored receipt 80 days later still finds it good."""
    receipt = verify_app_receipt(
        document.content,
        key=captured_key(document),
        policy=captured_policy(),
        now=document.at + timedelta(days=80),
        max_age=timedelta(days=90),
        expected_type=_type(document),
    )

    assert receipt.expires > document.at + timedelta(days=80)
