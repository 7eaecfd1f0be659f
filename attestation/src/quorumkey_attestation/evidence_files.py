"""Evidence as people have it in files: raw, as base64 text, as PEM, or inside JSON.

Nothing here judges. What a file *is* follows from its content; where that leaves a choice, the
caller says which kind is meant. Certificates are taken out of their armour without being parsed,
so that what is wrong inside them is the verifier's to say.
"""

from __future__ import annotations

import base64
import binascii
import codecs
import json
import re
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = [
    "MAX_EVIDENCE_BYTES",
    "AppleEvidence",
    "AppleKind",
    "EvidenceFile",
    "EvidenceFileError",
    "WebAuthnAssertionEvidence",
    "WebAuthnRegistrationEvidence",
    "pem_armour",
    "read_apple",
    "read_chain",
    "read_evidence_file",
    "read_object",
    "read_token_or_payload",
    "read_webauthn",
    "unwrap",
]

MAX_EVIDENCE_BYTES: Final = 1024 * 1024  # bytes of one file; real evidence has at most 30,000

_STANDARD_INPUT: Final = "-"
_SEQUENCE: Final = 0x30  # the first byte of every DER structure that is evidence
_PEM: Final = re.compile(
    rb"-----BEGIN CERTIFICATE-----(?P<body>[^-]*)-----END CERTIFICATE-----", re.DOTALL
)
_BASE64: Final = re.compile(rb"(?:[A-Za-z0-9+/]+|[A-Za-z0-9_-]+)={0,2}")
_PEM_LINE: Final = 64  # characters of a line of PEM (RFC 7468 section 2)


class EvidenceFileError(ValueError):
    """A file is not what it has to be; the message names it."""


@dataclass(frozen=True, slots=True)
class EvidenceFile:
    """A file's name, for messages, and its bytes."""

    name: str
    data: bytes

    def error(self, complaint: str) -> EvidenceFileError:
        """Return the error that says ``complaint`` of this file."""
        return EvidenceFileError(f"{self.name}: {complaint}")


class AppleKind(StrEnum):
    """What App Attest evidence is."""

    ATTESTATION = "attestation"
    ASSERTION = "assertion"
    RECEIPT = "receipt"


@dataclass(frozen=True, slots=True)
class AppleEvidence:
    """App Attest evidence.

    Attributes:
        kind: what it is.
        data: the CBOR of an attestation or assertion, or a receipt's CMS.
        key_id: the key id, where the file holds it too.
    """

    kind: AppleKind
    data: bytes
    key_id: bytes | None = None


@dataclass(frozen=True, slots=True)
class WebAuthnRegistrationEvidence:
    """What ``navigator.credentials.create`` gave."""

    attestation_object: bytes
    client_data_json: bytes


@dataclass(frozen=True, slots=True)
class WebAuthnAssertionEvidence:
    """What ``navigator.credentials.get`` gave."""

    authenticator_data: bytes
    client_data_json: bytes
    signature: bytes


def read_evidence_file(path: Path) -> EvidenceFile:
    """Read a file, or standard input for ``-``.

    Raises:
        EvidenceFileError: it cannot be read, or is larger than ``MAX_EVIDENCE_BYTES``; every
            function of this module raises it.
    """
    try:
        if str(path) == _STANDARD_INPUT:
            data = sys.stdin.buffer.read(MAX_EVIDENCE_BYTES + 1)
        else:
            with path.open("rb") as stream:
                data = stream.read(MAX_EVIDENCE_BYTES + 1)
    except OSError as error:
        raise EvidenceFileError(f"{path}: {error.strerror}") from None
    if len(data) > MAX_EVIDENCE_BYTES:
        raise EvidenceFileError(f"{path}: more than {MAX_EVIDENCE_BYTES} bytes")
    return EvidenceFile(str(path), data)


def unwrap(data: bytes) -> bytes:
    """Return what base64 or base64url text stands for, and anything else as it is."""
    compact = b"".join(data.split())
    if _BASE64.fullmatch(compact) is None:
        return data
    compact = compact.rstrip(b"=").translate(bytes.maketrans(b"-_", b"+/"))
    try:
        return base64.b64decode(compact + b"=" * (-len(compact) % 4), validate=True)
    except binascii.Error:
        return data


def read_object(file: EvidenceFile) -> Mapping[str, object] | None:
    """Return the JSON object that a file holds, or None where it holds no JSON."""
    if not file.data.removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"{"):
        return None
    try:
        value: object = json.loads(file.data)
    except (ValueError, RecursionError):
        raise file.error("begins like JSON and is none") from None
    return cast("Mapping[str, object]", value)


def read_apple(file: EvidenceFile, kind: AppleKind | None = None) -> AppleEvidence:
    """Return the App Attest evidence in a file.

    Args:
        file: CBOR, DER or base64 of either, or JSON ``{"format", "key_id", "object"}``.
        kind: what it is; None finds out.
    """
    members = read_object(file)
    if members is not None:
        data = _bytes_at(file, members, "object")
        key_id = _bytes_at(file, members, "key_id") if "key_id" in members else None
    else:
        data = unwrap(file.data)
        key_id = None
    return AppleEvidence(kind or _apple_kind(file, data), data, key_id)


def _apple_kind(file: EvidenceFile, data: bytes) -> AppleKind:
    if data[:1] == bytes([_SEQUENCE]):
        return AppleKind.RECEIPT
    # The names of the CBOR map's members, which only the one kind has.
    if b"attStmt" in data:
        return AppleKind.ATTESTATION
    if b"authenticatorData" in data:
        return AppleKind.ASSERTION
    raise file.error("neither an attestation, an assertion nor a receipt of App Attest")


def read_chain(files: Sequence[EvidenceFile]) -> tuple[bytes, ...]:
    """Return the DER of each certificate in ``files``, in the order in which they come.

    Each file is PEM with any number of certificates, one certificate as DER or as base64 of it, or
    JSON ``{"format", "chain"}`` with base64 in a list.
    """
    return tuple(der for file in files for der in _certificates(file))


def _certificates(file: EvidenceFile) -> list[bytes]:
    armoured = [unwrap(found["body"].strip()) for found in _PEM.finditer(file.data)]
    if armoured:
        return armoured
    members = read_object(file)
    if members is not None:
        chain = members.get("chain")
        if not isinstance(chain, list):
            raise file.error("has no list called chain")
        texts = cast("list[object]", chain)
        return [_decoded(file, f"chain[{index}]", text) for index, text in enumerate(texts)]
    der = unwrap(file.data)
    if der[:1] != bytes([_SEQUENCE]):
        raise file.error("holds no certificate")
    return [der]


def pem_armour(der: bytes) -> bytes:
    """Return a certificate as PEM; ``der`` may be malformed, or no certificate at all."""
    text = base64.b64encode(der).decode()
    lines = [text[start : start + _PEM_LINE] for start in range(0, len(text), _PEM_LINE)]
    body = "".join(f"{line}\n" for line in lines)
    return f"-----BEGIN CERTIFICATE-----\n{body}-----END CERTIFICATE-----\n".encode()


def read_webauthn(
    files: Sequence[EvidenceFile],
) -> WebAuthnRegistrationEvidence | WebAuthnAssertionEvidence:
    """Return a passkey's registration or assertion.

    Args:
        files: one JSON file, as the browser's ``toJSON()`` writes it or ``{"format",
            "attestation_object", "client_data_json"}``; or attestation object and client data; or
            authenticator data, client data and signature. All but the client data may be base64.
    """
    match files:
        case [file]:
            return _webauthn_json(file)
        case [attestation_object, client_data]:
            return WebAuthnRegistrationEvidence(unwrap(attestation_object.data), client_data.data)
        case [authenticator_data, client_data, signature]:
            return WebAuthnAssertionEvidence(
                unwrap(authenticator_data.data), client_data.data, unwrap(signature.data)
            )
        case _:
            raise EvidenceFileError(
                "a passkey's evidence is one JSON file, or attestation object and client data, or"
                " authenticator data, client data and signature"
            )


def _webauthn_json(
    file: EvidenceFile,
) -> WebAuthnRegistrationEvidence | WebAuthnAssertionEvidence:
    members = read_object(file)
    if members is None:
        raise file.error("is no JSON; give the client data in a file of its own")
    if "attestation_object" in members:
        return WebAuthnRegistrationEvidence(
            _bytes_at(file, members, "attestation_object"),
            _bytes_at(file, members, "client_data_json"),
        )
    response = members.get("response")
    if not isinstance(response, dict):
        raise file.error("has neither attestation_object nor response")
    parts = cast("Mapping[str, object]", response)
    client_data = _bytes_at(file, parts, "clientDataJSON")
    if "attestationObject" in parts:
        return WebAuthnRegistrationEvidence(
            _bytes_at(file, parts, "attestationObject"), client_data
        )
    return WebAuthnAssertionEvidence(
        _bytes_at(file, parts, "authenticatorData"),
        client_data,
        _bytes_at(file, parts, "signature"),
    )


def read_token_or_payload(file: EvidenceFile) -> str | bytes:
    """Return a Play Integrity token as text, or a payload that Google decoded as its JSON."""
    if read_object(file) is not None:
        return file.data
    words = file.data.split()
    if len(words) != 1 or not words[0].isascii():
        raise file.error("neither a token nor a decoded payload")
    return words[0].decode("ascii")


def _bytes_at(file: EvidenceFile, members: Mapping[str, object], name: str) -> bytes:
    return _decoded(file, name, members.get(name))


def _decoded(file: EvidenceFile, name: str, text: object) -> bytes:
    if isinstance(text, str) and _BASE64.fullmatch(text.encode(errors="replace")) is not None:
        encoded = text.encode()
        decoded = unwrap(encoded)
        if decoded != encoded:
            return decoded
    raise file.error(f"{name} is no base64")
