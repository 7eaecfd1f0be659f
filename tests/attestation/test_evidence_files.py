from __future__ import annotations

import base64
import io
import json
import sys
from pathlib import Path

import pytest
from tests.attestation.attest_terminal import case_called

from quorumkey_attestation import evidence_files
from quorumkey_attestation.evidence_files import (
    AppleKind,
    EvidenceFile,
    EvidenceFileError,
    WebAuthnAssertionEvidence,
    WebAuthnRegistrationEvidence,
)

LEAF, ISSUER = b"\x30\x03\x02\x01\x00", b"\x30\x03\x02\x01\x01"


def file(data: bytes | str, name: str = "evidence") -> EvidenceFile:
    """A file that holds ``data``."""
    return EvidenceFile(name, data if isinstance(data, bytes) else data.encode())


def b64(data: bytes) -> str:
    """Base64 as PEM and Apple's SDK write it."""
    return base64.b64encode(data).decode()


def b64url(data: bytes) -> str:
    """Base64url without padding, as browsers write it."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_file_is_read_with_its_name(tmp_path: Path) -> None:
    """The name is kept for messages."""
    path = tmp_path / "chain.pem"
    path.write_bytes(LEAF)

    assert EvidenceFile(str(path), LEAF) == evidence_files.read_evidence_file(path)


def test_a_dash_is_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    """Evidence may come through a pipe."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(LEAF)))

    assert EvidenceFile("-", LEAF) == evidence_files.read_evidence_file(Path("-"))


def test_a_file_that_cannot_be_read_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A missing file, a folder and one beyond the limit are errors that name it."""
    large = tmp_path / "large"
    large.write_bytes(bytes(11))
    monkeypatch.setattr(evidence_files, "MAX_EVIDENCE_BYTES", 10)

    for path, complaint in [
        (tmp_path / "none", "No such file"),
        (tmp_path, "directory"),
        (large, "more than 10 bytes"),
    ]:
        with pytest.raises(EvidenceFileError, match=complaint) as refused:
            evidence_files.read_evidence_file(path)
        assert str(path) in str(refused.value)


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        (b"AAEC", b"\x00\x01\x02"),
        (b" AA\nEC \r\n", b"\x00\x01\x02"),
        (b"-_8", b"\xfb\xff"),
        (b"+/8=", b"\xfb\xff"),
        (b"+_8=", b"+_8="),
        (b"A", b"A"),
        (b"", b""),
        (b"\x30\x00", b"\x30\x00"),
    ],
    ids=["plain", "lines", "url", "standard", "mixed", "cut", "empty", "binary"],
)
def test_base64_is_taken_for_what_it_stands_for(written: bytes, expected: bytes) -> None:
    """Both alphabets, padded or not, in lines or not; anything else is what it is."""
    assert expected == evidence_files.unwrap(written)


def test_a_chain_is_a_bundle_or_several_files() -> None:
    """PEM bundles, DER, base64 and JSON give the same certificates in the same order."""
    bundle = evidence_files.pem_armour(LEAF) + b"a comment\n" + evidence_files.pem_armour(ISSUER)
    document = json.dumps({"format": "android-key", "chain": [b64(LEAF), b64(ISSUER)]})

    for files in (
        [file(bundle)],
        [file(LEAF), file(ISSUER)],
        [file(b64(LEAF)), file(evidence_files.pem_armour(ISSUER))],
        [file(document)],
    ):
        assert (LEAF, ISSUER) == evidence_files.read_chain(files)


def test_what_a_certificate_holds_is_not_looked_at() -> None:
    """Malformed DER comes through PEM as it is: the verifier says what is wrong with it."""
    for der in (b"", b"\xff" * 200, LEAF[:-1]):
        assert (der,) == evidence_files.read_chain([file(evidence_files.pem_armour(der))])


@pytest.mark.parametrize(
    "data",
    [
        "no certificate",
        b"\x04\x00",
        '{"chain": "no list"}',
        '{"chain": [1]}',
        '{"chain": ["%"]}',
        "{",
    ],
    ids=["text", "der", "no-list", "number", "no-base64", "no-json"],
)
def test_what_is_no_chain_is_told(data: bytes | str) -> None:
    """The message names the file."""
    with pytest.raises(EvidenceFileError, match=r"^evidence: "):
        evidence_files.read_chain([file(data)])


@pytest.mark.parametrize(
    ("case_id", "name", "kind"),
    [
        ("A0a", "object.cbor", AppleKind.ATTESTATION),
        ("S0a", "assertion.cbor", AppleKind.ASSERTION),
        ("R0a", "receipt.der", AppleKind.RECEIPT),
    ],
    ids=["attestation", "assertion", "receipt"],
)
def test_app_attest_evidence_is_told_apart(case_id: str, name: str, kind: AppleKind) -> None:
    """Raw or as base64, by its content; and the caller's word counts for more."""
    data = case_called(case_id).evidence[name]

    for written in (data, b64(data), b64url(data)):
        read = evidence_files.read_apple(file(written))
        assert (kind, data, None) == (read.kind, read.data, read.key_id)
    told = evidence_files.read_apple(file(data), AppleKind.RECEIPT)
    assert AppleKind.RECEIPT is told.kind


def test_an_enrolment_s_json_brings_the_key_id() -> None:
    """The JSON object of an enrolment holds attestation and key id."""
    data = case_called("A0a").evidence["object.cbor"]
    document = {"format": "apple-app-attest", "key_id": b64(bytes(32)), "object": b64(data)}
    read = evidence_files.read_apple(file(json.dumps(document)))

    assert (AppleKind.ATTESTATION, data, bytes(32)) == (read.kind, read.data, read.key_id)


@pytest.mark.parametrize("data", [b"\xff", "{}", '{"object": ""}'], ids=["noise", "bare", "empty"])
def test_what_is_no_app_attest_evidence_is_told(data: bytes | str) -> None:
    """Without a kind that fits, somebody has to say which it is."""
    with pytest.raises(EvidenceFileError, match=r"^evidence: "):
        evidence_files.read_apple(file(data))


def test_a_registration_is_read_from_all_its_forms() -> None:
    """Two files, the browser's JSON and an enrolment's JSON hold the same."""
    expected = WebAuthnRegistrationEvidence(b"\xa0\xff", b'{"type": "webauthn.create"}')
    parts = (b64url(expected.attestation_object), b64url(expected.client_data_json))
    browser = {
        "id": "AA",
        "type": "public-key",
        "response": {
            "attestationObject": parts[0],
            "clientDataJSON": parts[1],
            "authenticatorData": "AA",
        },
    }
    enrolment = {
        "format": "webauthn",
        "attestation_object": parts[0],
        "client_data_json": parts[1],
    }

    for files in (
        [file(expected.attestation_object), file(expected.client_data_json)],
        [file(parts[0]), file(expected.client_data_json)],
        [file(json.dumps(browser))],
        [file(json.dumps(enrolment))],
    ):
        assert expected == evidence_files.read_webauthn(files)


def test_an_assertion_is_read_from_both_its_forms() -> None:
    """Three files, or the browser's JSON."""
    expected = WebAuthnAssertionEvidence(b"\xa0\xff", b'{"type": "webauthn.get"}', b"\x30\xff")
    browser = {
        "response": {
            "authenticatorData": b64url(expected.authenticator_data),
            "clientDataJSON": b64url(expected.client_data_json),
            "signature": b64url(expected.signature),
        }
    }

    for files in (
        [
            file(expected.authenticator_data),
            file(expected.client_data_json),
            file(expected.signature),
        ],
        [file(json.dumps(browser))],
    ):
        assert expected == evidence_files.read_webauthn(files)


@pytest.mark.parametrize(
    "files",
    [
        [],
        [b"\xa0"],
        [b"{}"],
        [b'{"response": 1}'],
        [b'{"response": {"clientDataJSON": "AA"}}'],
        [b'{"attestation_object": "AA"}'],
        [b"", b"", b"", b""],
    ],
    ids=["none", "cbor", "bare", "number", "no-data", "half", "four"],
)
def test_what_is_no_passkey_s_evidence_is_told(files: list[bytes]) -> None:
    """A file too few, too many, or without what it has to have."""
    with pytest.raises(EvidenceFileError):
        evidence_files.read_webauthn([file(data) for data in files])


def test_a_token_is_text_and_a_payload_is_json() -> None:
    """What begins like an object is a payload; any other word of ASCII a token."""
    payload = b'{"requestDetails": {}}'

    assert "a.b.c" == evidence_files.read_token_or_payload(file(" a.b.c\n"))
    assert payload == evidence_files.read_token_or_payload(file(payload))
    for neither in (b"\xff", b"", b"two words"):
        with pytest.raises(EvidenceFileError, match="neither"):
            evidence_files.read_token_or_payload(file(neither))


def test_json_may_begin_with_a_byte_order_mark() -> None:
    """What an editor on Windows saved is read like any other JSON."""
    assert {"chain": []} == evidence_files.read_object(file(b'\xef\xbb\xbf {"chain": []}'))


def test_json_that_is_nested_too_deep_is_no_json() -> None:
    """A reader's recursion limit is not the caller's problem."""
    with pytest.raises(EvidenceFileError, match="begins like JSON"):
        evidence_files.read_object(file('{"a":' * 100_000))
