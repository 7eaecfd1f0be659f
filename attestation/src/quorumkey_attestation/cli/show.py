"""``quorumkey-attest show``: what a file says, whoever wrote it; nothing is judged."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, cast

import typer

from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.cli.output import Output
from quorumkey_attestation.cli.section import Section
from quorumkey_attestation.cli.show_android import describe_key
from quorumkey_attestation.cli.show_apple import describe_object, describe_receipt, is_receipt
from quorumkey_attestation.cli.show_chain import describe_chain
from quorumkey_attestation.evidence_files import (
    EvidenceFile,
    EvidenceFileError,
    WebAuthnRegistrationEvidence,
    read_apple,
    read_chain,
    read_evidence_file,
    read_object,
    read_webauthn,
    unwrap,
)
from quorumkey_attestation.play_integrity import IntegrityPayload, PlayIntegrityDecoder
from quorumkey_attestation.settings import moment

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["app"]

_SEQUENCE: Final = 0x30
_KEY_DESCRIPTION_START: Final = 0x02  # an INTEGER, where a certificate has a SEQUENCE
_MAP: Final = 0xA0  # CBOR's major type 5
_COMPACT_JWE: Final = re.compile(rb"[\w-]*(?:\.[\w-]*){4}", re.ASCII)  # RFC 7516 section 3.1

app = typer.Typer(rich_markup_mode=None)


@app.command("show")
def show(  # one argument for each option
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE…", help="One, or a chain in several; - is standard input."),
    ],
    *,
    at: Annotated[
        str | None,
        typer.Option("--at", metavar="TIME", help="Say what is valid then; now without."),
    ] = None,
    decryption_key: Annotated[
        str | None,
        typer.Option("--decryption-key", metavar="BASE64", help="Of a Play Integrity token."),
    ] = None,
    verification_key: Annotated[
        str | None,
        typer.Option("--verification-key", metavar="BASE64", help="Of a Play Integrity token."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Show what evidence says, without judging it: anybody can write anything.

    Takes certificates and chains (PEM, DER, base64), a KeyDescription, App Attest objects,
    assertions and receipts, WebAuthn attestation objects, the JSON around any of them, Play
    Integrity payloads and tokens (with their two keys), and Google's revocation list.
    Exit status: 0 shown, 1 it cannot be read, 2 usage.

    Examples:
      quorumkey-attest show chain.pem --at 2026-06-01T12:00:00Z
      quorumkey-attest show object.cbor --json
    """
    now = datetime.now(UTC).replace(microsecond=0) if at is None else _time(at)
    keys = None
    if decryption_key is not None and verification_key is not None:
        keys = (decryption_key, verification_key)
    sections = _sections([read_evidence_file(file) for file in files], now, keys)
    out = Output(as_json=as_json)
    out.json({"sections": [{"title": each.title, "values": each.values} for each in sections]})
    for number, section in enumerate(sections):
        if number:
            out.line()
        out.line(section.title, style="bold")
        width = max((len(name) for name in section.values), default=0)
        for name, value in section.values.items():
            out.line(f"  {name:<{width}}  {value}")


def _time(text: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise EvidenceFileError(f"--at must be {error}") from None


def _sections(
    files: list[EvidenceFile], at: datetime, keys: tuple[str, str] | None
) -> list[Section]:
    if len(files) != 1:
        return describe_chain(read_chain(files), at)
    (file,) = files
    members = read_object(file)
    if members is not None:
        return _of_json(file, members, at)
    if b"-----BEGIN CERTIFICATE-----" in file.data:
        return describe_chain(read_chain(files), at)
    if _COMPACT_JWE.fullmatch(file.data.strip()) is not None:
        return [_token(file, keys)]
    return _of_bytes(file, unwrap(file.data), at)


def _of_json(file: EvidenceFile, members: Mapping[str, object], at: datetime) -> list[Section]:
    if "chain" in members:
        return describe_chain(read_chain([file]), at)
    if "object" in members:
        return describe_object(read_apple(file).data, at)
    if "attestation_object" in members or "response" in members:
        evidence = read_webauthn([file])
        sections = [_client_data(evidence.client_data_json)]
        if isinstance(evidence, WebAuthnRegistrationEvidence):
            sections += describe_object(evidence.attestation_object, at)
        return sections
    if "requestDetails" in members or "tokenPayloadExternal" in members:
        return [_payload(IntegrityPayload.from_json(file.data))]
    if "entries" in members:
        return [_revocations(file, at)]
    raise file.error("JSON that is no evidence known here")


def _of_bytes(file: EvidenceFile, data: bytes, at: datetime) -> list[Section]:
    if data[:1] == bytes([_SEQUENCE]):
        if is_receipt(data):
            return describe_receipt(data, at)
        if _is_key_description(data):
            return describe_key(data)
        return describe_chain([data], at)
    if data and data[0] & 0xE0 == _MAP:
        return describe_object(data, at)
    raise file.error("no evidence known here")


def _is_key_description(data: bytes) -> bool:
    """Say whether a SEQUENCE begins with an INTEGER: certificates begin with a SEQUENCE."""
    header = 2 + (data[1] & 0x7F if len(data) > 1 and data[1] & 0x80 else 0)
    return data[header : header + 1] == bytes([_KEY_DESCRIPTION_START])


def _client_data(data: bytes) -> Section:
    section = Section("client data")
    try:
        members: object = json.loads(data)
    except (ValueError, RecursionError):
        section.add("cannot be read", "no JSON")
        return section
    if isinstance(members, dict):
        for name, value in cast("Mapping[str, object]", members).items():
            section.add(name, value if isinstance(value, str) else json.dumps(value))
    return section


def _token(file: EvidenceFile, keys: tuple[str, str] | None) -> Section:
    if keys is None:
        raise file.error("a token: give --decryption-key and --verification-key to open it")
    try:
        decoder = PlayIntegrityDecoder.from_console(*keys)
    except ValueError as error:
        raise EvidenceFileError(str(error)) from None
    return _payload(decoder.decode(file.data.decode().strip()))


def _payload(payload: IntegrityPayload) -> Section:
    section = Section("Play Integrity payload")
    request, application = payload.request, payload.app
    section.add("requestPackageName", request.package)
    section.add("nonce", request.nonce)
    section.add("requestHash", request.request_hash)
    section.add("timestamp", request.timestamp)
    section.add("appRecognitionVerdict", application.recognition)
    section.add("packageName", application.package)
    section.add("certificateSha256Digest", sorted(application.certificate_digests))
    section.add("versionCode", application.version_code)
    section.add("appLicensingVerdict", application.licensing)
    section.add("deviceRecognitionVerdict", sorted(payload.device.labels))
    section.add("sdkVersion", payload.device.sdk_version)
    section.add("deviceActivityLevel", payload.device.activity_level)
    section.add("appsDetected", sorted(payload.environment.access_risks))
    section.add("playProtectVerdict", payload.environment.play_protect)
    return section


def _revocations(file: EvidenceFile, at: datetime) -> Section:
    revocations = RevocationList.from_json(file.data, fetched_at=at)
    section = Section("Google's revocation list")
    section.add("entries", len(revocations.entries))
    for serial, entry in revocations.entries.items():
        section.add(f"{serial:x}", f"{entry.status} {entry.reason or ''}".strip())
    return section
