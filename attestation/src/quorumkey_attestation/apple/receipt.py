"""The receipt of an App Attest key (Apple, "Assessing fraud risk").

A receipt comes with the attestation, of type ``ATTEST``; sent to Apple, it is answered with one of
type ``RECEIPT`` that says how many keys were attested on the device. Verifying needs the extra
``receipt``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from quorumkey_attestation import chain, der
from quorumkey_attestation.apple.cms import read_signed_data
from quorumkey_attestation.apple.policy import point_of
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.moment import require_aware

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.apple.cms import SignedData
    from quorumkey_attestation.apple.policy import AppAttestKey, AppAttestPolicy, Environment

__all__ = ["Receipt", "ReceiptType", "examine_app_receipt", "verify_app_receipt"]

ReceiptType: TypeAlias = Literal["ATTEST", "RECEIPT"]
"""The receipt that comes with an attestation, or the one that Apple gives for it later."""

MAX_AGE: Final = timedelta(minutes=5)  # how long ago a receipt may have been created
MAX_CLOCK_SKEW: Final = timedelta(seconds=90)  # how far in the future it may seem to have been
MAX_RISK_DIGITS: Final = 9  # digits of the risk metric, a count of keys

SIGNER_NAME: Final = "Application Attestation Fraud Receipt Signing"
_SIGNER_EXTENSION: Final = x509.ObjectIdentifier("1.2.840.113635.100.12.15")
_ECDSA: Final = ec.ECDSA(hashes.SHA256())

# Numbers of the payload's fields.
_APP_ID: Final = 2
_CERTIFICATE: Final = 3
_CLIENT_HASH: Final = 4
_TOKEN: Final = 5
_TYPE: Final = 6
_ENVIRONMENT: Final = 7
_CREATED: Final = 12
_RISK_METRIC: Final = 17
_NOT_BEFORE: Final = 19
_EXPIRES: Final = 21

_ENVIRONMENTS: Final[Mapping[Environment, frozenset[bytes]]] = MappingProxyType(
    {
        "production": frozenset({b"production"}),
        "development": frozenset({b"sandbox", b"development"}),
    }
)
_MOMENT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?Z", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """A receipt that was accepted.

    Attributes:
        type: ``ATTEST`` or ``RECEIPT``.
        app_id: the App ID it is about.
        environment: the environment of the key.
        created: when Apple made it.
        not_before: the earliest moment to ask Apple for a newer one; None where it says nothing.
        expires: when it ends to be good for asking.
        risk_metric: how many keys were attested on this device in 30 days; ``RECEIPT`` only.
        client_hash: the hash that it was made for, where it says so.
        token: what Apple knows the key by.
        checks: the checks that it passed.
    """

    type: ReceiptType
    app_id: str
    environment: Environment
    created: datetime
    not_before: datetime | None
    expires: datetime
    risk_metric: int | None
    client_hash: bytes | None
    token: bytes
    checks: tuple[str, ...]


def verify_app_receipt(  # noqa: PLR0913  # what the server knows, by name
    der: bytes,
    *,
    key: AppAttestKey,
    policy: AppAttestPolicy,
    now: datetime,
    max_age: timedelta = MAX_AGE,
    expected_type: ReceiptType = "ATTEST",
) -> Receipt:
    """Return what a receipt says.

    The numbers stand in the names of the checks.

    1. The receipt is a CMS SignedData with one signer, signed with ECDSA and SHA-256, and encloses
       the signer's certificate.
    2. The signature is that certificate's key's, over the payload; or over signed attributes that
       name the payload's digest.
    3. The signer's certificate leads to an anchor of ``policy.receipt_anchors`` (``chain/1`` to
       ``chain/9``), which is not the root of attestations.
    4. It was issued for signing receipts: its name says so, and the extension
       1.2.840.113635.100.12.15.
    5. The payload is a SET of fields ``SEQUENCE {type, version, OCTET STRING}``, each type once,
       and nothing follows it.
    6. Field 2, the App ID, is the key's.
    7. Field 3, the attested certificate, is about the key.
    8. Field 6, the type, is ``expected_type``.
    9. Field 7, the environment, is the key's, where the receipt names one.
    10. Field 12: it was created at most ``max_age`` ago, and not in the future but for
        ``MAX_CLOCK_SKEW``.
    11. The certificates were valid when it was created (``chain/10``, ``chain/11``). A receipt
        outlives its signer's certificate: it is good for 90 days.
    12. Field 21: it has not expired.

    Field 19 is not held against ``now``: it says when a newer receipt can be had, not when this one
    begins to be good.

    Args:
        der: the receipt as it came, BER.
        key: the key that it has to be about.
        policy: where its chain has to end.
        now: the moment of judgement.
        max_age: how long ago it may have been created; Apple asks for 5 minutes where it comes with
            an attestation. Somebody who looks at a stored one again says how old it may be.
        expected_type: ``ATTEST`` for the one that came with the attestation, ``RECEIPT`` for those
            that Apple's server gave since.

    Raises:
        AttestationError: the receipt is refused; ``unsupported`` without the extra ``receipt``.
        ValueError: ``now`` has no time zone.
    """
    return examine_app_receipt(
        der,
        key=key,
        policy=policy,
        now=now,
        max_age=max_age,
        expected_type=expected_type,
        audit=Audit(),
    )


def examine_app_receipt(  # noqa: PLR0913  # as above, and the trail
    der: bytes,
    *,
    key: AppAttestKey,
    policy: AppAttestPolicy,
    now: datetime,
    max_age: timedelta = MAX_AGE,
    expected_type: ReceiptType = "ATTEST",
    audit: Audit,
) -> Receipt:
    """Do what :func:`verify_app_receipt` does, and leave the trail in ``audit``."""
    require_aware(now)
    signed_data = read_signed_data(der, audit)
    path = _require_signed(signed_data, policy, audit)
    fields = _read_fields(signed_data.content, audit)
    audit.require(
        "apple.receipt/6-app-id",
        fields.get(_APP_ID) == key.app_id.encode(),
        Reason.APP_ID,
        "The receipt is about another app than the key.",
    )
    audit.require(
        "apple.receipt/7-key",
        _certified_point(_field(fields, _CERTIFICATE)) == key.point,
        Reason.KEY_MISMATCH,
        "The receipt is about another key.",
    )
    audit.require(
        "apple.receipt/8-type",
        fields.get(_TYPE) == expected_type.encode(),
        Reason.VERDICT,
        f"The receipt is not of type {expected_type}.",
    )
    audit.require(
        "apple.receipt/9-environment",
        fields.get(_ENVIRONMENT) in {None, *_ENVIRONMENTS[key.environment]},
        Reason.ENVIRONMENT,
        "The receipt belongs to another App Attest environment.",
    )
    created = _moment(_field(fields, _CREATED))
    audit.require(
        "apple.receipt/10-created",
        -MAX_CLOCK_SKEW <= now - created <= max_age,
        Reason.TIMESTAMP,
        "The receipt is too old, or comes from the future.",
    )
    for index, certificate in enumerate(path):
        chain.require_valid(certificate, index, audit, now=created)
    expires = _moment(_field(fields, _EXPIRES))
    audit.require(
        "apple.receipt/12-expires", now < expires, Reason.EXPIRED, "The receipt has expired."
    )
    not_before = fields.get(_NOT_BEFORE)
    return Receipt(
        type=expected_type,
        app_id=key.app_id,
        environment=key.environment,
        created=created,
        not_before=None if not_before is None else _moment(not_before),
        expires=expires,
        risk_metric=_risk_metric(fields.get(_RISK_METRIC)),
        client_hash=fields.get(_CLIENT_HASH),
        token=_field(fields, _TOKEN),
        checks=audit.checks,
    )


def _require_signed(
    signed_data: SignedData, policy: AppAttestPolicy, audit: Audit
) -> list[x509.Certificate]:
    certificates = chain.load_chain(signed_data.certificates, audit, least=1)
    order = _order(signed_data, certificates)
    path = chain.resolve_anchor(
        [signed_data.certificates[index] for index in order],
        [certificates[index] for index in order],
        policy.receipt_anchors,
        audit,
    )
    chain.require_issued(path, audit, anchored=len(path) > len(order))
    signer = path[0]
    audit.require(
        "apple.receipt/2-signature",
        _is_signed(signed_data, signer),
        Reason.SIGNATURE,
        "The receipt's signature does not verify.",
    )
    extensions = chain.extensions_of(signer, 0)
    audit.require(
        "apple.receipt/4-extension",
        any(extension.oid == _SIGNER_EXTENSION for extension in extensions),
        Reason.BROKEN_CHAIN,
        "The receipt's signer has no certificate for signing receipts.",
        index=0,
    )
    audit.require(
        "apple.receipt/4-name",
        [each.value for each in signer.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
        == [SIGNER_NAME],
        Reason.BROKEN_CHAIN,
        "The receipt's signer has another name than Apple's.",
        index=0,
    )
    return path


def _order(signed_data: SignedData, certificates: list[x509.Certificate]) -> list[int]:
    """Return the positions of the signer's certificate, its issuer's, and so on."""
    try:
        names = [(each.subject, each.issuer) for each in certificates]
        order = [
            index
            for index, each in enumerate(certificates)
            if each.serial_number == signed_data.serial
            and names[index][1].public_bytes() == signed_data.issuer
        ][:1]
    except (ValueError, TypeError, Warning) as error:
        raise _malformed("A certificate's names are not well-formed.", "1-object") from error
    if not order:
        raise _malformed("The receipt does not enclose its signer's certificate.", "1-signer")
    while True:
        issuer = names[order[-1]][1]
        following = [
            index
            for index, (subject, _) in enumerate(names)
            if subject == issuer and index not in order
        ]
        if not following:
            return order
        order.append(following[0])


def _is_signed(signed_data: SignedData, signer: x509.Certificate) -> bool:
    try:
        public_key = signer.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, Warning):
        return False
    if not isinstance(public_key, ec.EllipticCurvePublicKey):
        return False
    try:
        public_key.verify(signed_data.signature, signed_data.signed, _ECDSA)
    except InvalidSignature:
        return False
    return True


def _read_fields(payload: bytes, audit: Audit) -> dict[int, bytes]:
    outer = der.Reader(payload, "receipt payload")
    reader = der.Reader(outer.read(der.SET).content, "receipt payload")
    outer.finish(audit)
    fields: dict[int, bytes] = {}
    while not reader.at_end:
        field = der.Reader(reader.read(der.SEQUENCE).content, "receipt field")
        number = der.decode_integer(field.read(der.INTEGER).content, "receipt field")
        field.read(der.INTEGER)  # the field's version, of which nothing is documented
        value = field.read(der.OCTET_STRING).content
        field.finish(audit)
        audit.require(
            "apple.receipt/5-duplicate",
            number not in fields,
            Reason.MALFORMED,
            "The receipt has a field twice.",
        )
        fields.setdefault(number, value)
    return fields


def _field(fields: Mapping[int, bytes], number: int) -> bytes:
    value = fields.get(number)
    if value is None:
        raise _malformed(f"The receipt has no field {number}.", "5-fields")
    return value


def _certified_point(certificate: bytes) -> bytes | None:
    try:
        public_key = x509.load_der_x509_certificate(certificate).public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, Warning) as error:
        raise _malformed("The receipt's field 3 is no certificate.", "5-fields") from error
    return point_of(public_key) if isinstance(public_key, ec.EllipticCurvePublicKey) else None


def _moment(value: bytes) -> datetime:
    """Return a moment from RFC 3339 in UTC, the form that receipts have."""
    text = value.decode("ascii", "replace")
    try:
        if _MOMENT.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass  # a month 13, or an hour 25: refused below, like any other form
    raise _malformed("The receipt has a date that is not RFC 3339 in UTC.", "5-fields")


def _risk_metric(value: bytes | None) -> int | None:
    if value is None:
        return None
    if not value.isdigit() or len(value) > MAX_RISK_DIGITS:
        raise _malformed("The receipt's risk metric is no number.", "5-fields")
    return int(value)


def _malformed(detail: str, step: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=f"apple.receipt/{step}")
