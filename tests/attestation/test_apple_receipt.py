"""App Attest receipts: who signed them, what they are about, and when."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cache
from importlib import import_module
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519
from hypothesis import example, given
from hypothesis import strategies as st
from tests.attestation.apple_material import (
    ATTESTATION,
    CAPTURED_APP_ID,
    CLIENT_DATA_HASH,
    Everything,
    attested_key,
    captured,
    captured_key,
    captured_policy,
    mangled,
    needs_vectors,
    policy,
)

from quorumkey_attestation.apple import Receipt, verify_app_receipt
from quorumkey_attestation.apple.receipt import ReceiptType, examine_app_receipt
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple import APP_ID
from quorumkey_attestation.testing.apple_certificates import app_attest_authority, app_attest_root
from quorumkey_attestation.testing.apple_receipt import (
    encode_payload,
    format_moment,
    receipt_authority,
    receipt_fields,
    receipt_root,
    receipt_signer,
    sign_payload,
)
from quorumkey_attestation.testing.der_encoding import integer, sequence


@cache
def _leaf() -> bytes:
    return ATTESTATION.leaf


def fields(kind: ReceiptType = "ATTEST", created_at: datetime = pki.NOW) -> dict[int, bytes]:
    """Return the fields of a receipt for the attested key."""
    return receipt_fields(
        app_id=APP_ID,
        certificate=_leaf(),
        client_data_hash=CLIENT_DATA_HASH,
        created_at=created_at,
        kind=kind,
    )


@cache
def minted() -> bytes:
    """Return the receipt that passes."""
    return sign_payload(encode_payload(fields()))


def verify(
    receipt: bytes,
    *,
    now: datetime = pki.NOW,
    max_age: timedelta = timedelta(minutes=5),
    kind: ReceiptType = "ATTEST",
) -> Receipt:
    """Verify a receipt for the attested key under the test root."""
    return verify_app_receipt(
        receipt,
        key=attested_key(),
        policy=policy(),
        now=now,
        max_age=max_age,
        expected_type=kind,
    )


def refusal(receipt: bytes, *, now: datetime = pki.NOW) -> tuple[Reason, str | None]:
    """Return why a receipt is refused."""
    with pytest.raises(AttestationError) as refused:
        verify(receipt, now=now)
    return refused.value.reason, refused.value.check


def changed(number: int, value: bytes | None) -> bytes:
    """Return a receipt with one field changed, or without it."""
    payload = {**fields(), number: value}
    return sign_payload(
        encode_payload({each: content for each, content in payload.items() if content is not None})
    )


def test_a_receipt_says_what_apple_knows() -> None:
    """Type, app, environment, dates, hash and token come out of it."""
    receipt = verify(minted())

    assert ("ATTEST", APP_ID, "production", pki.NOW, None, CLIENT_DATA_HASH, None) == (
        receipt.type,
        receipt.app_id,
        receipt.environment,
        receipt.created,
        receipt.not_before,
        receipt.client_hash,
        receipt.risk_metric,
    )
    assert timedelta(days=90) == receipt.expires - receipt.created


def test_a_later_receipt_has_the_risk_metric() -> None:
    """What Apple answers says how many keys the device made, and when to ask again."""
    receipt = verify(sign_payload(encode_payload(fields("RECEIPT"))), kind="RECEIPT")

    assert (4, pki.NOW + timedelta(days=1)) == (receipt.risk_metric, receipt.not_before)


def test_the_receipt_inside_an_attestation_verifies() -> None:
    """The attestation's own receipt is about its key."""
    assert "ATTEST" == verify(attested_key().receipt).type


@pytest.mark.parametrize(
    ("now", "passes"),
    [
        (pki.NOW - timedelta(seconds=91), False),
        (pki.NOW - timedelta(seconds=90), True),
        (pki.NOW + timedelta(minutes=5), True),
        (pki.NOW + timedelta(minutes=5, seconds=1), False),
    ],
    ids=["from the future", "clocks differ", "five minutes", "too old"],
)
def test_a_receipt_is_at_most_five_minutes_old(now: datetime, *, passes: bool) -> None:
    """Clocks may differ by a minute and a half, which Apple's and a server's have been seen to."""
    if passes:
        assert pki.NOW == verify(minted(), now=now).created
    else:
        assert (Reason.TIMESTAMP, "apple.receipt/10-created") == refusal(minted(), now=now)


def test_a_stored_receipt_is_judged_by_the_age_that_the_caller_names() -> None:
    """Looked at after two months, a receipt is still good; after three it is not."""
    after = pki.NOW + timedelta(days=60)

    assert after < verify(minted(), now=after, max_age=timedelta(days=90)).expires
    with pytest.raises(AttestationError) as refused:
        verify(minted(), now=pki.NOW + timedelta(days=90), max_age=timedelta(days=120))
    assert (Reason.EXPIRED, "apple.receipt/12-expires") == (
        refused.value.reason,
        refused.value.check,
    )


@pytest.mark.parametrize(
    ("begins", "ends", "reason"),
    [(1, 9, Reason.NOT_YET_VALID), (-9, -1, Reason.EXPIRED)],
    ids=["before", "after"],
)
def test_the_signers_certificate_was_valid_when_it_signed(
    begins: int, ends: int, reason: Reason
) -> None:
    """It counts when the receipt was made, for a receipt may outlive the certificate."""
    signer = receipt_signer(
        not_before=pki.NOW + timedelta(days=begins), not_after=pki.NOW + timedelta(days=ends)
    )

    receipt = sign_payload(encode_payload(fields()), signer)

    assert reason is refusal(receipt)[0]


def test_a_moment_without_time_zone_is_the_callers_mistake() -> None:
    """No zone is guessed."""
    with pytest.raises(ValueError, match="time zone"):
        verify(minted(), now=pki.NOW.replace(tzinfo=None))


@pytest.mark.parametrize(
    ("number", "value", "reason", "check"),
    [
        (2, b"QK12345678.com.example.other", Reason.APP_ID, "6-app-id"),
        (2, None, Reason.APP_ID, "6-app-id"),
        (3, None, Reason.MALFORMED, "5-fields"),
        (3, b"\x30\x00", Reason.MALFORMED, "5-fields"),
        (3, app_attest_root().der, Reason.KEY_MISMATCH, "7-key"),
        (5, None, Reason.MALFORMED, "5-fields"),
        (6, b"RECEIPT", Reason.VERDICT, "8-type"),
        (6, None, Reason.VERDICT, "8-type"),
        (7, b"sandbox", Reason.ENVIRONMENT, "9-environment"),
        (12, None, Reason.MALFORMED, "5-fields"),
        (12, b"2026-06-01T12:00:00", Reason.MALFORMED, "5-fields"),
        (12, b"2026-06-01T12:00:00+00:00", Reason.MALFORMED, "5-fields"),
        (12, b"2026-13-01T12:00:00Z", Reason.MALFORMED, "5-fields"),
        (12, b"\xff", Reason.MALFORMED, "5-fields"),
        (12, b"0001-01-01T00:00:00Z", Reason.TIMESTAMP, "10-created"),
        (12, b"9999-12-31T23:59:59Z", Reason.TIMESTAMP, "10-created"),
        (17, b"-1", Reason.MALFORMED, "5-fields"),
        (17, b"", Reason.MALFORMED, "5-fields"),
        (17, b"1234567890", Reason.MALFORMED, "5-fields"),
        (19, b"tomorrow", Reason.MALFORMED, "5-fields"),
        (21, format_moment(pki.NOW), Reason.EXPIRED, "12-expires"),
        (21, None, Reason.MALFORMED, "5-fields"),
    ],
)
def test_a_field_that_is_not_as_it_has_to_be_is_refused(
    number: int, value: bytes | None, reason: Reason, check: str
) -> None:
    """Each field of a well-signed receipt is held against the key, the policy and the moment."""
    assert (reason, f"apple.receipt/{check}") == refusal(changed(number, value))


def test_a_receipt_need_not_name_the_environment() -> None:
    """Apple does not document field 7, so that a receipt without it stays good."""
    assert "ATTEST" == verify(changed(7, None)).type


def test_a_field_that_nobody_knows_is_passed_over() -> None:
    """Apple numbers many fields and documents few."""
    assert "ATTEST" == verify(changed(4711, b"?")).type


def test_a_field_twice_is_refused() -> None:
    """Which of the two would count is nobody's to choose."""
    receipt = sign_payload(encode_payload(fields(), (2, APP_ID.encode())))

    assert (Reason.MALFORMED, "apple.receipt/5-duplicate") == refusal(receipt)


@pytest.mark.parametrize(
    ("payload", "check"),
    [
        (b"", "der/3-bounds"),
        (b"\x30\x00", "der/4-tag"),
        (b"\x31\x00\x00", "der/5-trailing"),
        (b"\x31\x02\x30\x00", "der/3-bounds"),
        (b"\x31\x80\x00\x00", "der/2-length"),
        (b"\x31\x03\x30\x01\x02", "der/3-bounds"),
    ],
    ids=["empty", "sequence", "trailing", "empty field", "indefinite", "cut off"],
)
def test_a_payload_of_another_shape_is_refused(payload: bytes, check: str) -> None:
    """The payload, which is signed, is strict DER, whatever the layers around it are."""
    assert (Reason.MALFORMED, check) == refusal(sign_payload(payload))


def test_an_edited_payload_is_refused() -> None:
    """What the signer signed is what counts."""
    edited = fields() | {2: b"QK12345678.com.example.other"}

    receipt = sign_payload(encode_payload(fields()), carried=encode_payload(edited))

    assert (Reason.SIGNATURE, "apple.receipt/2-signature") == refusal(receipt)


def test_signed_attributes_count_where_there_are_any() -> None:
    """Apple sends none; with them, RFC 5652 has the payload's digest signed instead of it."""
    payload = encode_payload(fields())
    digest = hashlib.sha256(payload).digest()

    assert "ATTEST" == verify(sign_payload(payload, attributes_digest=digest)).type
    assert (Reason.SIGNATURE, "apple.receipt/2-digest") == refusal(
        sign_payload(payload, attributes_digest=bytes(32))
    )


@pytest.mark.parametrize(
    "certificates",
    [
        [receipt_signer().der, receipt_authority().der],
        [receipt_root().der, receipt_authority().der, receipt_signer().der],
    ],
    ids=["without the root", "in another order"],
)
def test_the_enclosed_certificates_are_a_set(certificates: list[bytes]) -> None:
    """They are looked up by name, and the root is the configured one anyway."""
    receipt = sign_payload(encode_payload(fields()), certificates=certificates)

    assert "ATTEST" == verify(receipt).type


def test_a_receipt_without_its_signers_certificate_is_refused() -> None:
    """Nobody else's certificate takes its place."""
    receipt = sign_payload(encode_payload(fields()), certificates=[receipt_authority().der])

    assert (Reason.MALFORMED, "apple.receipt/1-signer") == refusal(receipt)


def test_a_receipt_that_leads_to_the_attestation_root_is_refused() -> None:
    """Receipts and attestations have different roots."""
    receipt = sign_payload(
        encode_payload(fields()),
        receipt_signer(app_attest_authority()),
        certificates=[receipt_signer(app_attest_authority()).der, app_attest_authority().der],
    )

    assert (Reason.UNTRUSTED_ROOT, "chain/3-anchor") == refusal(receipt)


@pytest.mark.parametrize(
    ("signer", "check"),
    [
        (receipt_signer(marked=False), "apple.receipt/4-extension"),
        (receipt_signer(common_name="Some Other Signing"), "apple.receipt/4-name"),
    ],
    ids=["not marked", "other name"],
)
def test_a_certificate_for_something_else_signs_no_receipts(
    signer: pki.Authority, check: str
) -> None:
    """The same authority issues certificates for much else."""
    receipt = sign_payload(
        encode_payload(fields()), signer, certificates=[signer.der, receipt_authority().der]
    )

    assert (Reason.BROKEN_CHAIN, check) == refusal(receipt)


def test_another_signature_algorithm_is_refused() -> None:
    """Receipts are signed with ECDSA and SHA-256, as they have always been."""
    sha384 = bytes.fromhex("300a06082a8648ce3d040303")

    receipt = sign_payload(encode_payload(fields()), signature_algorithm=sha384)

    assert (Reason.ALGORITHM, "apple.receipt/1-algorithm") == refusal(receipt)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x30\x00",
        bytes.fromhex("300b06092a864886f70d010701"),
        minted() + b"\0",
        b"\x24\x80" * 10_000,
        b"\x30\x80" * 10_000,
        bytes(40_000),
    ],
    ids=["empty", "sequence", "data", "trailing", "deep strings", "deep sequences", "long"],
)
def test_what_is_no_signed_data_is_refused(data: bytes) -> None:
    """However it is malformed, however deep it is nested."""
    assert (Reason.MALFORMED, "apple.receipt/1-object") == refusal(data)


def _replaced(old: bytes, new: bytes) -> bytes:
    assert 1 == minted().count(old)
    return minted().replace(old, new)


def _signer_identifier() -> bytes:
    certificate = receipt_signer().certificate
    return sequence(certificate.issuer.public_bytes(), integer(certificate.serial_number))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (bytes.fromhex("06092a864886f70d010701"), bytes.fromhex("06092a864886f70d010702")),
        (receipt_signer().der, b"\xa1" + receipt_signer().der[1:]),
        (_signer_identifier(), b"\x80" + _signer_identifier()[1:]),
    ],
    ids=["other content", "attribute certificate", "signer by key identifier"],
)
def test_signed_data_of_another_kind_is_refused(old: bytes, new: bytes) -> None:
    """CMS has many forms, and receipts have one."""
    assert (Reason.MALFORMED, "apple.receipt/1-object") == refusal(_replaced(old, new))


def test_a_receipt_without_signer_is_refused() -> None:
    """A SignedData may have no signer at all, and proves nothing then."""
    cms: Any = import_module("asn1crypto.cms")
    info = cms.ContentInfo.load(minted())
    info["content"]["signer_infos"] = []

    assert (Reason.MALFORMED, "apple.receipt/1-object") == refusal(info.dump(force=True))


def test_a_receipt_signed_with_another_kind_of_key_is_refused() -> None:
    """The signature is said to be ECDSA's, so that the key has to be on a curve for it."""
    key: Any = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    template = receipt_signer().certificate
    certificate = pki.mint(
        template.subject,
        key,
        receipt_authority(),
        not_before=template.not_valid_before_utc,
        not_after=template.not_valid_after_utc,
        serial=7,
    )
    signer = pki.Authority(certificate, receipt_signer().key)

    receipt = sign_payload(
        encode_payload(fields()), signer, certificates=[signer.der, receipt_authority().der]
    )

    assert (Reason.SIGNATURE, "apple.receipt/2-signature") == refusal(receipt)


def test_without_the_extra_a_receipt_is_refused_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Everything else of App Attest works without asn1crypto."""
    monkeypatch.setitem(sys.modules, "asn1crypto.cms", None)

    with pytest.raises(AttestationError, match=r"quorumkey-attestation\[receipt\]") as refused:
        verify(minted())

    assert Reason.UNSUPPORTED is refused.value.reason


def _same_or_refused(receipt: bytes, position: int, value: int) -> None:
    altered = bytearray(receipt)
    altered[position] = value
    try:
        result = verify(bytes(altered))
    except AttestationError:
        return
    assert replace(verify(receipt), checks=()) == replace(result, checks=())


@given(st.integers(0, len(minted()) - 1), st.integers(0, 255))
def test_no_changed_byte_makes_a_receipt_say_something_else(position: int, value: int) -> None:
    """What is not signed, as the root that came along, may differ; what it says may not."""
    _same_or_refused(minted(), position, value)


def test_no_byte_of_the_payload_can_be_changed() -> None:
    """Every byte that is signed counts."""
    payload = encode_payload(fields())
    start = minted().index(payload)
    for position in range(start, start + len(payload), 3):
        altered = bytearray(minted())
        altered[position] ^= 1
        assert Reason.SIGNATURE is refusal(bytes(altered))[0]


@needs_vectors
def test_no_changed_byte_makes_a_captured_receipt_say_something_else() -> None:
    """The same holds for a genuine one, from the first byte to the last."""
    document = captured("receipt")[1]
    key = captured_key(document)
    assert CAPTURED_APP_ID == key.app_id

    def read(content: bytes) -> Receipt:
        receipt = verify_app_receipt(
            content,
            key=key,
            policy=captured_policy(),
            now=document.at,
            expected_type="RECEIPT",
        )
        return replace(receipt, checks=())

    genuine = read(document.content)
    for position in range(len(document.content)):
        altered = bytearray(document.content)
        altered[position] ^= 1 << position % 8
        try:
            receipt = read(bytes(altered))
        except AttestationError:
            continue
        assert genuine == receipt


@given(mangled(minted()))
@example(b"")
def test_any_bytes_give_a_receipt_or_a_refusal(data: bytes) -> None:
    """Nothing but AttestationError comes out, even where no check refuses anything."""
    for audit in (Audit(), Audit(ignored=Everything())):
        try:
            receipt = examine_app_receipt(
                data, key=attested_key(), policy=policy(), now=pki.NOW, audit=audit
            )
        except AttestationError:
            continue
        assert isinstance(receipt, Receipt)


@given(mangled(encode_payload(fields())))
def test_any_signed_payload_gives_a_receipt_or_a_refusal(payload: bytes) -> None:
    """Not even a genuine signer's payload can make the reader fail in another way."""
    for audit in (Audit(), Audit(ignored=Everything())):
        try:
            receipt = examine_app_receipt(
                sign_payload(payload), key=attested_key(), policy=policy(), now=pki.NOW, audit=audit
            )
        except AttestationError:
            continue
        assert isinstance(receipt, Receipt)
