"""A chain of certificates for people: names, validity, keys, and where extensions stand."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from quorumkey_attestation import roots
from quorumkey_attestation.anchors import subject_public_key_info
from quorumkey_attestation.android.key_description import KEY_DESCRIPTION_OID
from quorumkey_attestation.android.provisioning import PROVISIONING_INFO_OID
from quorumkey_attestation.apple.nonce_extension import NONCE_OID
from quorumkey_attestation.cli.section import Section, said
from quorumkey_attestation.cli.show_android import describe_key, describe_provisioning
from quorumkey_attestation.errors import AttestationError
from quorumkey_attestation.testing_roots import TEST_ROOT_SPKI_SHA256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

__all__ = ["describe_chain"]

_EXTENSIONS: Final = {
    KEY_DESCRIPTION_OID: "KeyDescription",
    PROVISIONING_INFO_OID: "ProvisioningInfo",
    NONCE_OID: "Apple nonce",
    "1.2.840.113635.100.8.5": "Apple key attributes",
    "1.2.840.113635.100.8.6": "Apple access control",
    "1.2.840.113635.100.8.7": "Apple system versions",
    "1.2.840.113635.100.12.15": "Apple receipt signing",
    "1.3.6.1.4.1.45724.1.1.4": "FIDO AAGUID",
}
_ROOTS: Final = (roots.APPLE_APP_ATTEST, roots.APPLE_WEBAUTHN, roots.APPLE_RECEIPT, *roots.GOOGLE)


def describe_chain(
    chain: Sequence[bytes], at: datetime, *, what: str = "certificate"
) -> list[Section]:
    """Return what each certificate says, and what the attestation extensions among them say.

    Args:
        chain: the DER of each certificate, leaf first. One that cannot be read is told as such.
        at: the moment for which validity is told.
        what: what each certificate is called in the headings.
    """
    parsed = [_parsed(der) for der in chain]
    sections: list[Section] = []
    extensions: list[Section] = []
    for index, (der, certificate) in enumerate(zip(chain, parsed, strict=True)):
        title = f"{what} {index}"
        section = Section(f"{title} (the leaf)" if index == 0 else title)
        sections.append(section)
        if isinstance(certificate, str):
            section.add("cannot be read", certificate)
            continue
        try:
            _describe_names(section, certificate, at)
            _describe_key(section, der, certificate)
        except ValueError as error:  # a name or a date that is none
            section.add("cannot be read further", str(error))
            continue
        following = parsed[index + 1] if index + 1 < len(parsed) else None
        if isinstance(following, x509.Certificate):
            section.add("issued by the next", _is_issued(certificate, following))
        extensions += _describe_extensions(section, certificate, index)
    return [*sections, *extensions]


def _parsed(der: bytes) -> x509.Certificate | str:
    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        return str(error)


def _describe_names(section: Section, certificate: x509.Certificate, at: datetime) -> None:
    section.add("subject", certificate.subject.rfc4514_string() or "(empty)")
    section.add("issuer", certificate.issuer.rfc4514_string() or "(empty)")
    section.add("serial", f"{certificate.serial_number:x}")
    start, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    state = "not yet valid" if at < start else "expired" if at > end else "valid"
    section.add("validity", f"{said(start)} to {said(end)}")
    section.add(f"at {said(at)}", state)


def _describe_key(section: Section, der: bytes, certificate: x509.Certificate) -> None:
    section.add("key", _key(certificate))
    section.add("signature", _signature(certificate))
    try:
        spki = hashlib.sha256(subject_public_key_info(der)).hexdigest()
    except AttestationError as error:
        section.add("key cannot be read", error.detail)
        return
    section.add("SHA-256 of the key", spki)
    fingerprint = hashlib.sha256(der).hexdigest()
    known = [root for root in _ROOTS if root.spki_sha256 == spki]
    for root in known[-1:]:
        names = [each.name for each in known if each.sha256 == fingerprint]
        section.add("root", f"{names[0] if names else f'the key of {root.name}'}: recognised")
    for root in roots.DENIED:
        if root.spki_sha256 == spki:
            section.add("root", f"{root.name}: denied")
    if spki in TEST_ROOT_SPKI_SHA256:
        section.add("root", "one of this package's test roots: denied")


def _key(certificate: x509.Certificate) -> str:
    try:
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm, Warning):
        return f"algorithm {certificate.public_key_algorithm_oid.dotted_string}, not read here"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}"
    if isinstance(key, rsa.RSAPublicKey):
        return f"RSA {key.key_size}"
    return type(key).__name__


def _signature(certificate: x509.Certificate) -> str:
    try:
        algorithm = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        algorithm = None
    oid = certificate.signature_algorithm_oid.dotted_string
    return oid if algorithm is None else f"{oid} with {algorithm.name}"


def _is_issued(certificate: x509.Certificate, issuer: x509.Certificate) -> str:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, ValueError, TypeError, UnsupportedAlgorithm) as error:
        return f"no: {str(error) or 'the signature does not verify'}"
    return "yes"


def _describe_extensions(
    section: Section, certificate: x509.Certificate, index: int
) -> list[Section]:
    try:
        found = certificate.extensions
    except Exception as e:  # noqa: BLE001  # what its parsers raise is told nowhere
        section.add("extensions", f"cannot be read: {e}")
        return []
    described: list[Section] = []
    labels: list[str] = []
    for extension in found:
        value = extension.value
        oid = extension.oid.dotted_string
        critical = ", critical" if extension.critical else ""
        if isinstance(value, x509.BasicConstraints):
            length = "" if value.path_length is None else f", path length {value.path_length}"
            section.add("CA", ("yes" if value.ca else "no") + length)
        elif isinstance(value, x509.UnrecognizedExtension):
            labels.append(f"{_EXTENSIONS.get(oid, oid)}{critical}")
            if oid == NONCE_OID:
                section.add("Apple nonce", value.value)
            described += _describe_extension(oid, value.value, index)
        else:
            labels.append(f"{type(value).__name__}{critical}")
    section.add("extensions", labels or None)
    return described


def _describe_extension(oid: str, value: bytes, index: int) -> list[Section]:
    place = f" (in certificate {index})"
    try:
        if oid == KEY_DESCRIPTION_OID:
            sections = describe_key(value)
        elif oid == PROVISIONING_INFO_OID:
            sections = [describe_provisioning(value)]
        else:
            return []
    except AttestationError as error:
        return [Section(_EXTENSIONS[oid] + place, {"cannot be read": error.detail})]
    sections[0].title += place
    return sections
