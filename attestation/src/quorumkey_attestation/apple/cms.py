"""The CMS SignedData (RFC 5652) that a receipt comes in.

Apple writes it in BER, with indefinite lengths and the content in chunks, and without signed
attributes; asn1crypto reads that. It has no types and raises what it likes, so it is used here and
nowhere else, and what leaves this module is plain.
"""

from __future__ import annotations

import hashlib
from importlib import import_module
from typing import Any, Final, NamedTuple

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason

__all__ = ["MAX_RECEIPT_BYTES", "SignedData", "read_signed_data"]

MAX_RECEIPT_BYTES: Final = 32_768  # bytes of a receipt; real ones have about 4,000

_SET_TAG: Final = b"\x31"


class SignedData(NamedTuple):
    """A SignedData with one signer.

    Attributes:
        content: the content, of type ``data``.
        certificates: the DER of the enclosed certificates.
        issuer: the DER of the issuer that the signer's certificate names.
        serial: the serial number of the signer's certificate.
        signed: what the signature is over: the content, or the signed attributes that name it.
        signature: the signature, ECDSA with SHA-256 in DER.
    """

    content: bytes
    certificates: tuple[bytes, ...]
    issuer: bytes
    serial: int
    signed: bytes
    signature: bytes


def read_signed_data(data: bytes, audit: Audit | None = None) -> SignedData:
    """Return what a receipt's outer layers hold; nothing is verified but their form.

    1. It is a ContentInfo with a SignedData of at most ``MAX_RECEIPT_BYTES``, and nothing else.
    2. Its content is of type ``data`` and present; the enclosed certificates are X.509.
    3. One signer, named by issuer and serial number, signed with SHA-256 and ECDSA.
    4. Where there are signed attributes, they name the content's type and its digest (RFC 5652
       section 5.4); they are signed then, instead of the content.

    Args:
        data: the receipt, BER.
        audit: the trail of the verification it belongs to.

    Raises:
        AttestationError: ``malformed``, ``algorithm``, ``bad_signature`` (the digest), or
            ``unsupported`` without the extra ``receipt``.
    """
    if len(data) > MAX_RECEIPT_BYTES:
        raise _malformed(f"A receipt has at most {MAX_RECEIPT_BYTES} bytes.")
    try:
        cms: Any = import_module("asn1crypto.cms")
    except ImportError as error:
        raise AttestationError(
            Reason.UNSUPPORTED,
            "Receipts need a further package: install quorumkey-attestation[receipt].",
        ) from error
    try:
        return _read(cms.ContentInfo.load(data, strict=True), audit or Audit())
    except AttestationError:
        raise
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
        raise _malformed("The receipt is no CMS SignedData.") from error
    except RecursionError:
        raise _malformed("The receipt is nested too deep.") from None


def _read(info: Any, audit: Audit) -> SignedData:  # noqa: ANN401  # asn1crypto has no types
    if info["content_type"].native != "signed_data":
        raise _malformed("The receipt is no CMS SignedData.")
    signed_data = info["content"]
    encapsulated = signed_data["encap_content_info"]
    if encapsulated["content_type"].native != "data":
        raise _malformed("The receipt's content is not of type data.")
    content = encapsulated["content"].native
    signers = signed_data["signer_infos"]
    certificates = signed_data["certificates"]
    if not isinstance(content, bytes) or len(signers) != 1:
        raise _malformed("The receipt has no content, or not exactly one signer.")
    if any(each.name != "certificate" for each in certificates):
        raise _malformed("The receipt encloses what is no X.509 certificate.")
    signer = signers[0]
    if signer["sid"].name != "issuer_and_serial_number":
        raise _malformed("The receipt does not name its signer by issuer and serial number.")
    audit.require(
        "apple.receipt/1-algorithm",
        (signer["digest_algorithm"]["algorithm"].native, _algorithm(signer))
        == ("sha256", "sha256_ecdsa"),
        Reason.ALGORITHM,
        "The receipt is not signed with ECDSA and SHA-256.",
    )
    sid = signer["sid"].chosen
    return SignedData(
        content=content,
        certificates=tuple(each.chosen.dump() for each in certificates),
        issuer=sid["issuer"].dump(),
        serial=sid["serial_number"].native,
        signed=_signed(signer["signed_attrs"], content, audit),
        signature=signer["signature"].native,
    )


def _algorithm(signer: Any) -> object:  # noqa: ANN401  # as above
    return signer["signature_algorithm"]["algorithm"].native


def _signed(attributes: Any, content: bytes, audit: Audit) -> bytes:  # noqa: ANN401  # as above
    if len(attributes) == 0:
        return content
    values = [(each["type"].native, each["values"].native) for each in attributes]
    expected = {"content_type": ["data"], "message_digest": [hashlib.sha256(content).digest()]}
    named = {kind: value for kind, value in values if kind in expected}
    audit.require(
        "apple.receipt/2-digest",
        len(values) == len({kind for kind, _ in values}) and named == expected,
        Reason.SIGNATURE,
        "The receipt's signed attributes are about other content.",
    )
    # They stand there with the tag [0], and are signed as the SET they are.
    encoded: bytes = attributes.dump()
    return _SET_TAG + encoded[1:]


def _malformed(detail: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check="apple.receipt/1-object")
