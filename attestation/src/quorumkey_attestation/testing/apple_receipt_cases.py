"""The cases R0 to R18: App Attest receipts, good ones first."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple import APP_ID
from quorumkey_attestation.testing.apple_case import base_attestation, receipt_case
from quorumkey_attestation.testing.apple_case import judge_receipt as judge
from quorumkey_attestation.testing.apple_certificates import (
    NOT_AFTER,
    NOT_BEFORE,
    app_attest_authority,
    app_attest_root,
    key_usage,
)
from quorumkey_attestation.testing.apple_receipt import (
    ECDSA_WITH_SHA384,
    encode_payload,
    format_moment,
    receipt_authority,
    receipt_fields,
    receipt_root,
    receipt_signer,
    sign_payload,
)

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "judge"]

_CREATED: Final = pki.NOW - timedelta(minutes=1)
_EXPIRES: Final = 21  # the number of the field
_SECOND: Final = timedelta(seconds=1)
_AS_RECEIPT: Final = {"type": "RECEIPT"}


@cache
def cases() -> tuple[Case, ...]:
    """Return every case of App Attest receipts, the controls first."""
    return (
        *_controls(),
        *_field_cases(),
        *_moment_cases(),
        *_signer_cases(),
        *_structure_cases(),
    )


def _fields(kind: Literal["ATTEST", "RECEIPT"] = "ATTEST") -> dict[int, bytes]:
    base = base_attestation()
    return receipt_fields(
        app_id=APP_ID,
        certificate=base.leaf,
        client_data_hash=base.client_data_hash,
        created_at=_CREATED,
        kind=kind,
    )


def _with(number: int, value: bytes) -> bytes:
    """Return the control's receipt with another value in one field."""
    return sign_payload(encode_payload({**_fields(), number: value}))


def _controls() -> list[Case]:
    base = encode_payload(_fields())
    digest = hashlib.sha256(base).digest()
    later = _CREATED + timedelta(days=89)
    oldest = format_moment(pki.NOW - timedelta(minutes=5))
    no_root = [receipt_signer().der, receipt_authority().der]
    return [
        receipt_case("R0a", "as it comes with an attestation", sign_payload(base)),
        receipt_case(
            "R0b",
            "as Apple answers one with it",
            sign_payload(encode_payload(_fields("RECEIPT"))),
            expect=_AS_RECEIPT,
        ),
        receipt_case(
            "R0c",
            "looked at again after 89 days",
            sign_payload(base),
            expect={"max_age_seconds": 91 * 86_400},
            at=later,
        ),
        receipt_case("R0d", "exactly 5 minutes old", _with(12, oldest)),
        receipt_case(
            "R0e",
            "in development",
            _with(7, b"sandbox"),
            expect={"environment": "development"},
            settings={"environment": "development"},
        ),
        receipt_case("R0f", "without the root", sign_payload(base, certificates=no_root)),
        receipt_case("R0g", "with signed attributes", sign_payload(base, attributes_digest=digest)),
    ]


def _field_cases() -> list[Case]:
    fields = _fields()
    other = replace(base_attestation(), label="another key")
    edited = encode_payload({**fields, 5: b"another token"})
    kind = Reason.VERDICT, "apple.receipt/8-type"
    return [
        receipt_case(
            "R1",
            "for another app",
            _with(2, b"QK12345678.com.example.other"),
            Reason.APP_ID,
            "apple.receipt/6-app-id",
        ),
        receipt_case(
            "R2",
            "for another key",
            _with(3, other.leaf),
            Reason.KEY_MISMATCH,
            "apple.receipt/7-key",
        ),
        receipt_case(
            "R6",
            "edited after it was signed",
            sign_payload(encode_payload(fields), carried=edited),
            Reason.SIGNATURE,
            "apple.receipt/2-signature",
        ),
        receipt_case(
            "R7a",
            "of type ATTEST where RECEIPT is expected",
            _with(6, b"ATTEST"),
            *kind,
            control="R0b",
            expect=_AS_RECEIPT,
        ),
        receipt_case(
            "R7b",
            "of type RECEIPT where ATTEST is expected",
            sign_payload(encode_payload(_fields("RECEIPT"))),
            *kind,
        ),
        receipt_case(
            "R9",
            "for development, of a production key",
            _with(7, b"sandbox"),
            Reason.ENVIRONMENT,
            "apple.receipt/9-environment",
        ),
    ]


def _moment_cases() -> list[Case]:
    created = Reason.TIMESTAMP, "apple.receipt/10-created"
    expired = Reason.EXPIRED, "apple.receipt/12-expires"
    early = receipt_signer(not_before=_CREATED + _SECOND)
    late = receipt_signer(not_after=_CREATED - _SECOND)
    base = encode_payload(_fields())
    return [
        receipt_case(
            "R4a",
            "created 6 minutes ago",
            _with(12, format_moment(pki.NOW - timedelta(minutes=6))),
            *created,
        ),
        receipt_case(
            "R4b",
            "created in 6 minutes",
            _with(12, format_moment(pki.NOW + timedelta(minutes=6))),
            *created,
        ),
        receipt_case("R5a", "that expires now", _with(_EXPIRES, format_moment(pki.NOW)), *expired),
        receipt_case(
            "R5b",
            "looked at again after 90 days",
            sign_payload(base),
            *expired,
            control="R0c",
            expect={"max_age_seconds": 91 * 86_400},
            at=_CREATED + timedelta(days=90),
        ),
        receipt_case(
            "R10a",
            "whose signer's certificate began 1 s after it was created",
            _by(early),
            Reason.NOT_YET_VALID,
            "chain/10-not-before",
        ),
        receipt_case(
            "R10b",
            "whose signer's certificate ended 1 s before it was created",
            _by(late),
            Reason.EXPIRED,
            "chain/11-not-after",
        ),
    ]


def _by(signer: pki.Authority, issuers: tuple[pki.Authority, ...] | None = None) -> bytes:
    """Return the control's receipt by another signer, whose issuers are sent along."""
    above = (receipt_authority(), receipt_root()) if issuers is None else issuers
    certificates = [each.der for each in (signer, *above)]
    return sign_payload(encode_payload(_fields()), signer, certificates=certificates)


def _authority(issuer: pki.Authority, *, ca: bool = True) -> pki.Authority:
    """Return an intermediate with the name and the key of the genuine one."""
    genuine = receipt_authority()
    certificate = pki.mint(
        genuine.certificate.subject,
        genuine.key.public_key(),
        issuer,
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
        ca=ca,
        key_usage=key_usage(issues=True),
    )
    return pki.Authority(certificate, genuine.key)


def _signer_cases() -> list[Case]:
    root = receipt_root()
    forged_root = pki.Authority(root.certificate, pki.private_key("forged root", ec.SECP384R1()))
    attestation = app_attest_authority()
    forged = _authority(forged_root)
    itself = receipt_signer(receipt_signer())
    no_authority = _authority(root, ca=False)
    anchor = Reason.UNTRUSTED_ROOT, "chain/3-anchor"
    return [
        receipt_case(
            "R3a",
            "under the root of attestations",
            _by(receipt_signer(attestation), (attestation, app_attest_root())),
            *anchor,
        ),
        receipt_case(
            "R3b",
            "by a self-signed certificate",
            _by(itself, ()),
            *anchor,
        ),
        receipt_case(
            "R3c",
            "under a forged root of the same name",
            _by(receipt_signer(forged), (forged,)),
            *anchor,
        ),
        receipt_case(
            "R8a",
            "by a certificate without the extension for receipts",
            _by(receipt_signer(marked=False)),
            Reason.BROKEN_CHAIN,
            "apple.receipt/4-extension",
        ),
        receipt_case(
            "R8b",
            "by a certificate with another name",
            _by(receipt_signer(common_name="Quorumkey UNSAFE test signer")),
            Reason.BROKEN_CHAIN,
            "apple.receipt/4-name",
        ),
        receipt_case(
            "R11",
            "under an intermediate that is no CA",
            _by(receipt_signer(no_authority), (no_authority, root)),
            Reason.NOT_CA,
            "chain/7-ca",
        ),
    ]


def _structure_cases() -> list[Case]:
    fields = _fields()
    payload = encode_payload(fields)
    unending = {number: value for number, value in fields.items() if number != _EXPIRES}
    incomplete = Reason.MALFORMED, "apple.receipt/5-fields"
    structural = (
        ("R14a", "without an expiry", sign_payload(encode_payload(unending)), incomplete),
        ("R14b", "with a moment in another form", _with(12, b"1780315200"), incomplete),
        ("R17", "that is no CMS", payload, (Reason.MALFORMED, "apple.receipt/1-object")),
        (
            "R18",
            "without its signer's certificate",
            sign_payload(payload, certificates=[receipt_authority().der]),
            (Reason.MALFORMED, "apple.receipt/1-signer"),
        ),
    )
    return [
        receipt_case(
            "R15",
            "said to be signed with SHA-384",
            sign_payload(payload, signature_algorithm=ECDSA_WITH_SHA384),
            Reason.ALGORITHM,
            "apple.receipt/1-algorithm",
        ),
        receipt_case(
            "R16",
            "with signed attributes about another payload",
            sign_payload(payload, attributes_digest=bytes(32)),
            Reason.SIGNATURE,
            "apple.receipt/2-digest",
            control="R0g",
        ),
        receipt_case(
            "R12",
            "with a field that stands there twice",
            sign_payload(encode_payload(fields, (5, b"another token"))),
            Reason.MALFORMED,
            "apple.receipt/5-duplicate",
        ),
        receipt_case(
            "R13",
            "with something after the fields",
            sign_payload(payload + b"\5\0"),
            Reason.MALFORMED,
            "der/5-trailing",
        ),
        *(
            receipt_case(
                number,
                title,
                encoded,
                reason,
                check,
                has_reading=False,
            )
            for number, title, encoded, (reason, check) in structural
        ),
    ]
