"""Mint App Attest receipts: CMS SignedData with indefinite lengths, as Apple's servers write it.

A receipt is an attribute SET inside a PKCS #7 SignedData (RFC 5652) without signed attributes; its
outer layers have indefinite lengths and the payload comes in chunks of 1,000 octets. Field numbers
are those of Apple's "Assessing fraud risk".
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Final, Literal

from cryptography import x509

from quorumkey_attestation import der
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple_certificates import NOT_AFTER, NOT_BEFORE, key_usage
from quorumkey_attestation.testing.der_encoding import (
    element,
    integer,
    null,
    octet_string,
    sequence,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "ECDSA_WITH_SHA384",
    "RECEIPT_ROOT_NAME",
    "SIGNER_NAME",
    "SIGNING_EXTENSION",
    "encode_payload",
    "format_moment",
    "receipt_authority",
    "receipt_fields",
    "receipt_root",
    "receipt_signer",
    "sign_payload",
]

RECEIPT_ROOT_NAME: Final = "Quorumkey UNSAFE test receipt root"
_AUTHORITY_NAME: Final = "Quorumkey UNSAFE test Application Integration CA"
SIGNER_NAME: Final = "Application Attestation Fraud Receipt Signing"
SIGNING_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113635.100.12.15")

_LIFETIME: Final = timedelta(days=90)
_CHUNK: Final = 1000  # octets of one segment of the payload
_LONG_FORM: Final = 0x80

_EXPLICIT_0: Final = 0xA0
_CONSTRUCTED_OCTET_STRING: Final = 0x24

_OID_SIGNED_DATA: Final = bytes.fromhex("06092a864886f70d010702")
_OID_DATA: Final = bytes.fromhex("06092a864886f70d010701")
_OID_CONTENT_TYPE: Final = bytes.fromhex("06092a864886f70d010903")
_OID_MESSAGE_DIGEST: Final = bytes.fromhex("06092a864886f70d010904")
_SHA256: Final = bytes.fromhex("300d06096086480165030402010500")
_ECDSA_WITH_SHA256: Final = bytes.fromhex("300a06082a8648ce3d040302")
ECDSA_WITH_SHA384: Final = bytes.fromhex("300a06082a8648ce3d040303")
"""The AlgorithmIdentifier of what receipts are not signed with."""


def _indefinite(tag: int, content: bytes) -> bytes:
    return bytes([tag, _LONG_FORM]) + content + b"\0\0"


@cache
def receipt_root() -> pki.Authority:
    """Return the test root that stands for Apple Root CA - G3."""
    return pki.root(RECEIPT_ROOT_NAME)


@cache
def receipt_authority() -> pki.Authority:
    """Return the intermediate that stands for Apple Application Integration CA 5 - G1."""
    key = pki.private_key(_AUTHORITY_NAME)
    certificate = pki.mint(
        _AUTHORITY_NAME,
        key.public_key(),
        receipt_root(),
        not_before=NOT_BEFORE,
        not_after=NOT_AFTER,
        ca=True,
        key_usage=key_usage(issues=True),
    )
    return pki.Authority(certificate, key)


def receipt_signer(  # noqa: PLR0913  # the fields of its certificate
    issuer: pki.Authority | None = None,
    *,
    label: str = "receipt signer",
    common_name: str = SIGNER_NAME,
    marked: bool = True,
    not_before: datetime = NOT_BEFORE,
    not_after: datetime = NOT_AFTER,
) -> pki.Authority:
    """Return a certificate that signs receipts, and its key.

    Args:
        issuer: who issued it; by default :func:`receipt_authority`.
        label: which test key it has.
        common_name: its subject.
        marked: whether it has the extension 1.2.840.113635.100.12.15.
        not_before: the start of its validity.
        not_after: the end of its validity.
    """
    key = pki.private_key(label)
    mark = x509.UnrecognizedExtension(SIGNING_EXTENSION, null())
    certificate = pki.mint(
        common_name,
        key.public_key(),
        issuer or receipt_authority(),
        not_before=not_before,
        not_after=not_after,
        ca=False,
        key_usage=key_usage(issues=False),
        extensions=[(mark, False)] if marked else [],
    )
    return pki.Authority(certificate, key)


def format_moment(moment: datetime) -> bytes:
    """Return ``moment`` as receipts write it: RFC 3339 in UTC, with milliseconds."""
    return moment.strftime(f"%Y-%m-%dT%H:%M:%S.{moment.microsecond // 1000:03}Z").encode()


def receipt_fields(  # noqa: PLR0913  # the fields of a receipt
    *,
    app_id: str,
    certificate: bytes,
    client_data_hash: bytes,
    created_at: datetime,
    environment: str = "production",
    kind: Literal["ATTEST", "RECEIPT"] = "ATTEST",
    risk_metric: int = 4,
) -> dict[int, bytes]:
    """Return the fields of a receipt, by their numbers.

    Args:
        app_id: field 2.
        certificate: field 3, the DER of the attested key's certificate.
        client_data_hash: field 4, as the app passed it to ``attestKey``.
        created_at: field 12; 21 is 90 days later.
        environment: field 7.
        kind: field 6. A ``RECEIPT`` has the fields 17 and 19 (a day after ``created_at``) as well.
        risk_metric: field 17, how many keys this device made for this app within 30 days.
    """
    fields = {
        2: app_id.encode(),
        3: certificate,
        4: client_data_hash,
        5: b"cXVvcnVta2V5IFVOU0FGRSB0ZXN0IHRva2Vu",
        6: kind.encode(),
        7: environment.encode(),
        12: format_moment(created_at),
    }
    if kind == "RECEIPT":
        fields[17] = str(risk_metric).encode()
        fields[19] = format_moment(created_at + timedelta(days=1))
    return {**fields, 21: format_moment(created_at + _LIFETIME)}


def encode_payload(fields: Mapping[int, bytes], *more: tuple[int, bytes]) -> bytes:
    """Return the SET of (type, version 1, OCTET STRING) that is signed.

    Args:
        fields: the value of each field, by its number.
        more: fields to append, whose numbers may stand in ``fields`` already.
    """
    return element(
        der.SET,
        b"".join(
            sequence(integer(number), integer(1), octet_string(value))
            for number, value in (*fields.items(), *more)
        ),
    )


def _attributes(digest: bytes) -> bytes:
    """Return contentType and messageDigest (RFC 5652 section 11), in the order of a DER SET."""
    return sequence(_OID_CONTENT_TYPE, element(der.SET, _OID_DATA)) + sequence(
        _OID_MESSAGE_DIGEST, element(der.SET, octet_string(digest))
    )


def sign_payload(  # noqa: PLR0913  # what a receipt can get wrong
    payload: bytes,
    signer: pki.Authority | None = None,
    *,
    certificates: Sequence[bytes] | None = None,
    carried: bytes | None = None,
    attributes_digest: bytes | None = None,
    signature_algorithm: bytes = _ECDSA_WITH_SHA256,
) -> bytes:
    """Return the receipt: the DER-or-BER of a CMS ContentInfo.

    Args:
        payload: what is signed.
        signer: who signs; by default :func:`receipt_signer`.
        certificates: the DER of the certificates to enclose; by default the signer, its issuer
            and the root.
        carried: the payload that is enclosed, where that is not the signed one.
        attributes_digest: sign attributes with this digest instead of the payload. Apple does not.
        signature_algorithm: what the signature is said to be.
    """
    signer = signer or receipt_signer()
    if certificates is None:
        certificates = [signer.der, receipt_authority().der, receipt_root().der]
    content = payload if carried is None else carried
    chunks = b"".join(
        octet_string(content[start : start + _CHUNK]) for start in range(0, len(content), _CHUNK)
    )
    certificate = signer.certificate
    signer_identifier = sequence(
        certificate.issuer.public_bytes(), integer(certificate.serial_number)
    )
    attributes = b"" if attributes_digest is None else _attributes(attributes_digest)
    signed = payload if attributes_digest is None else element(der.SET, attributes)
    signer_info = sequence(
        integer(1),
        signer_identifier,
        _SHA256,
        b"" if attributes_digest is None else element(_EXPLICIT_0, attributes),
        signature_algorithm,
        octet_string(pki.sign(signer.key, signed)),
    )
    encapsulated = _indefinite(_EXPLICIT_0, _indefinite(_CONSTRUCTED_OCTET_STRING, chunks))
    signed_data = (
        integer(1)
        + element(der.SET, _SHA256)
        + _indefinite(der.SEQUENCE, _OID_DATA + encapsulated)
        + _indefinite(_EXPLICIT_0, b"".join(certificates))
        + element(der.SET, signer_info)
    )
    return _indefinite(
        der.SEQUENCE,
        _OID_SIGNED_DATA + _indefinite(_EXPLICIT_0, _indefinite(der.SEQUENCE, signed_data)),
    )
