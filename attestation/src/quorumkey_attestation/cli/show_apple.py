"""App Attest objects, assertions and receipts, and WebAuthn attestation objects, for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_attestation import cbor, der
from quorumkey_attestation.apple.authdata import parse_assertion_data, parse_attestation_data
from quorumkey_attestation.apple.cms import read_signed_data
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.cli.section import Section, named, said
from quorumkey_attestation.cli.show_chain import describe_chain
from quorumkey_attestation.errors import AttestationError
from quorumkey_attestation.webauthn.authenticator_data import read_registration_data

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from quorumkey_attestation.cbor import CborKey, CborValue

__all__ = ["describe_object", "describe_receipt", "is_receipt"]

APPLE_FORMAT: Final = "apple-appattest"

_CATEGORIES: Final = {
    0: "invalid",
    1: "operating system",
    2: "TestFlight",
    3: "development",
    4: "App Store",
    5: "enterprise or ad hoc",
    6: "Developer ID",
    7: "restricted",
    8: "restricted",
    9: "restricted",
    10: "other",
}
_CATEGORY: Final = "apple_validation_category_01"
_CATEGORY_BYTES: Final = 4
_FLAGS: Final = ((1, "UP"), (4, "UV"), (8, "BE"), (16, "BS"), (64, "AT"), (128, "ED"))
_FLAGS_AT: Final = 32  # the position of the flags in authenticator data
_RECEIPT_FIELDS: Final = {
    2: "App ID",
    3: "attested certificate",
    4: "client hash",
    5: "token",
    6: "type",
    7: "environment",
    12: "creation time",
    17: "risk metric",
    19: "not before",
    21: "expiration time",
}
_BINARY_FIELDS: Final = frozenset({3, 4})
_CMS_OID: Final = bytes.fromhex("06092a864886f70d010702")  # signedData (RFC 5652 section 5.1)


def describe_object(data: bytes, at: datetime) -> list[Section]:
    """Return what a CBOR object says: App Attest's two kinds, or a passkey's attestation object.

    Raises:
        AttestationError: it is none of them.
    """
    value = cbor.decode(data, Audit(), what="object")
    members: Mapping[CborKey, CborValue] = value if isinstance(value, dict) else {}
    if "authenticatorData" in members:
        return _assertion(members)
    section = Section("attestation object")
    section.add("format", str(members.get("fmt")))
    sections = [section]
    authenticator_data = members.get("authData")
    if isinstance(authenticator_data, bytes):
        is_apple = members.get("fmt") == APPLE_FORMAT
        describe = _attestation_data if is_apple else _registration_data
        sections.append(_section("authData", authenticator_data, describe))
    statement = members.get("attStmt")
    if isinstance(statement, dict):
        sections += _statement(statement, at)
    return sections


def _statement(statement: Mapping[CborKey, CborValue], at: datetime) -> list[Section]:
    section = Section("attStmt")
    sections = [section]
    for name, value in statement.items():
        if name == "x5c" and isinstance(value, list):
            section.add("x5c", f"{len(value)} certificates")
            sections += describe_chain([each for each in value if isinstance(each, bytes)], at)
        elif name == "receipt" and isinstance(value, bytes):
            section.add("receipt", f"{len(value)} bytes")
            try:
                sections += describe_receipt(value, at)
            except AttestationError as error:
                section.add("receipt cannot be read", error.detail)
        else:
            section.add(str(name), value if isinstance(value, bytes) else str(value))
    return sections


def _assertion(members: Mapping[CborKey, CborValue]) -> list[Section]:
    section = Section("App Attest assertion")
    signature = members.get("signature")
    section.add("signature", signature if isinstance(signature, bytes) else "missing")
    data = members.get("authenticatorData")
    if not isinstance(data, bytes):
        return [section]
    return [section, _section("authenticatorData", data, _assertion_data)]


def _section(title: str, data: bytes, describe: Callable[[Section, bytes], None]) -> Section:
    section = Section(title)
    if len(data) > _FLAGS_AT:
        flags = data[_FLAGS_AT]
        names = [name for bit, name in _FLAGS if flags & bit]
        section.add("rpIdHash", data[:_FLAGS_AT])
        section.add("flags", f"0x{flags:02X} ({', '.join(names) or 'none'})")
    try:
        describe(section, data)
    except AttestationError as error:
        section.add("cannot be read further", error.detail)
    return section


def _attestation_data(section: Section, data: bytes) -> None:
    parsed = parse_attestation_data(data, Audit())
    section.add("counter", parsed.counter)
    section.add("aaguid", f"{parsed.aaguid.hex()} ({parsed.aaguid.decode('ascii', 'replace')})")
    section.add("credentialId", parsed.credential_id)
    section.add("public key", parsed.point)
    _extensions(section, parsed.extensions)


def _assertion_data(section: Section, data: bytes) -> None:
    parsed = parse_assertion_data(data, Audit())
    section.add("counter", parsed.counter)
    _extensions(section, parsed.extensions)


def _registration_data(section: Section, data: bytes) -> None:
    header, credential = read_registration_data(data, procedure="show", audit=Audit())
    section.add("signCount", header.sign_count)
    section.add("aaguid", credential.aaguid)
    section.add("credentialId", credential.credential_id)
    section.add("COSE key", credential.cose_key)


def _extensions(section: Section, extensions: Mapping[CborKey, CborValue]) -> None:
    for name, value in extensions.items():
        if name == _CATEGORY and isinstance(value, bytes) and len(value) == _CATEGORY_BYTES:
            section.add(_CATEGORY, named(int.from_bytes(value, "little"), _CATEGORIES))
        else:
            section.add(str(name), value if isinstance(value, bytes) else str(value))


def is_receipt(data: bytes) -> bool:
    """Say whether ``data`` is CMS, as App Attest receipts are."""
    return _CMS_OID in data[:32]


def describe_receipt(data: bytes, at: datetime) -> list[Section]:
    """Return what an App Attest receipt says.

    Raises:
        AttestationError: it cannot be read, or the extra ``receipt`` is missing.
    """
    signed = read_signed_data(data)
    section = Section("App Attest receipt")
    section.add("signer's serial", f"{signed.serial:x}")
    reader = der.Reader(der.Reader(signed.content, "receipt").read(der.SET).content, "receipt")
    while not reader.at_end:
        field = der.Reader(reader.read(der.SEQUENCE).content, "receipt field")
        number = der.decode_integer(field.read(der.INTEGER).content, "receipt field")
        field.read(der.INTEGER)
        value = field.read(der.OCTET_STRING).content
        label = f"{number} {_RECEIPT_FIELDS.get(number, '(unknown field)')}"
        section.add(label, said(value) if number in _BINARY_FIELDS else _text(value))
    return [section, *describe_chain(signed.certificates, at, what="receipt certificate")]


def _text(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        return said(value)
