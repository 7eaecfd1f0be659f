"""``quorumkey-attest mint``: evidence of the test PKI for one enrolment, made on the spot.

A program that enrols asks for it in JSON on standard input, nonce and device public key in base64
as they stand in the enrollment, and is answered with the member ``attestation`` of the call. Only a
verifier that was told to accept test roots believes a word of it.
"""

from __future__ import annotations

import json
import sys
from base64 import b64decode, b64encode
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final, cast

import typer
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from quorumkey_attestation.settings import PolicyFileError, hex_bytes, moment
from quorumkey_attestation.verifier import NONCE_BYTES, PUBLIC_KEY_BYTES

__all__ = ["app"]

MAX_QUESTION_BYTES: Final = 4096  # bytes of JSON on standard input; a question has about 150

_APP_ID: Final = "QK12345678.com.example.approver"
_PACKAGE: Final = "com.example.approver"
_SIGNER: Final = "5a" * 32
_SHA256_BYTES: Final = 32


class Level(StrEnum):
    """The hardware that an Android key claims."""

    TEE = "tee"
    STRONGBOX = "strongbox"


class Environment(StrEnum):
    """Apple's App Attest environments."""

    PRODUCTION = "production"
    DEVELOPMENT = "development"


AtOption = Annotated[
    str | None,
    typer.Option("--at", metavar="TIME", help="When it is made, like 2026-06-01T12:00:00Z."),
]

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


@dataclass(frozen=True, slots=True)
class _Question:
    nonce: bytes
    device_public_key: bytes


@app.command("android-key")
def android_key(
    *,
    level: Annotated[Level, typer.Option("--level", help="The hardware to claim.")] = Level.TEE,
    package: Annotated[
        str, typer.Option("--package", metavar="NAME", help="The app's package name.")
    ] = _PACKAGE,
    signer: Annotated[
        str,
        typer.Option("--signer", metavar="SHA256", help="Of the certificate that signs the app."),
    ] = _SIGNER,
    at: AtOption = None,
) -> None:
    """Make the evidence of an Android phone whose keys are provisioned remotely.

    Standard input: {"nonce": …, "device_public_key": …} in base64. Standard output: the member
    attestation of an enrolment.
    Exit status: 0 made, 2 usage.

    Example:
      quorumkey device enroll LINK --attestation-command 'quorumkey-attest mint android-key'
    """
    from quorumkey_attestation.android.key_description import SecurityLevel  # noqa: PLC0415  # only here
    from quorumkey_attestation.testing.android import android_evidence  # noqa: PLC0415  # mints

    asked = _question()
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), asked.device_public_key)
    except ValueError:
        raise PolicyFileError("device_public_key must be a point of P-256") from None
    evidence = android_evidence(
        asked.nonce,
        key,
        package=package,
        signer_digest=_digest(signer),
        level=SecurityLevel[level.name],
        now=_now(at),
    )
    typer.echo(json.dumps(evidence))


@app.command("apple-app-attest")
def apple_app_attest(
    *,
    app_id: Annotated[
        str, typer.Option("--app-id", metavar="ID", help="The app, TEAM.bundle.")
    ] = _APP_ID,
    environment: Annotated[
        Environment, typer.Option("--environment", help="Apple's environment.")
    ] = Environment.PRODUCTION,
    label: Annotated[
        str | None,
        typer.Option("--key", metavar="NAME", help="Which App Attest key; one for each device."),
    ] = None,
    at: AtOption = None,
) -> None:
    """Make the evidence of an iPhone on which a genuine copy of the app runs.

    Standard input: {"nonce": …, "device_public_key": …} in base64. Standard output: the member
    attestation of an enrolment. Without --key each device key has an App Attest key of its own.
    Exit status: 0 made, 2 usage.

    Example:
      quorumkey device enroll LINK --attestation-command 'quorumkey-attest mint apple-app-attest'
    """
    from quorumkey_attestation.testing.apple import apple_evidence  # noqa: PLC0415  # mints

    asked = _question()
    evidence = apple_evidence(
        asked.nonce,
        asked.device_public_key,
        app_id=app_id,
        environment=environment.value,
        label=_key_of(asked, label),
        now=_now(at),
    )
    typer.echo(json.dumps(evidence))


@app.command("apple-assertion")
def apple_assertion(
    *,
    counter: Annotated[
        int,
        typer.Option("--counter", metavar="N", min=1, help="How often the key has signed by now."),
    ],
    app_id: Annotated[
        str, typer.Option("--app-id", metavar="ID", help="The app, TEAM.bundle.")
    ] = _APP_ID,
    label: Annotated[
        str | None,
        typer.Option("--key", metavar="NAME", help="Which App Attest key; one for each device."),
    ] = None,
) -> None:
    """Make an assertion by the App Attest key of a device that enrolled with apple-app-attest.

    Standard input: {"nonce": …, "device_public_key": …} in base64. Standard output: the member
    attestation of a device that proves itself anew.
    Exit status: 0 made, 2 usage.

    Example:
      quorumkey device reattest
        --attestation-command 'quorumkey-attest mint apple-assertion --counter 1'
    """
    from quorumkey_attestation.testing import apple  # noqa: PLC0415  # mints

    asked = _question()
    key = _key_of(asked, label)
    assertion = apple.apple_assertion(
        asked.nonce, asked.device_public_key, counter=counter, app_id=app_id, label=key
    )
    key_id = apple.Attestation(client_data_hash=bytes(_SHA256_BYTES), label=key).key_id
    evidence = {
        "format": "apple-app-attest-assertion",
        "key_id": b64encode(key_id).decode(),
        "assertion": b64encode(assertion).decode(),
    }
    typer.echo(json.dumps(evidence))


@app.command("roots")
def roots() -> None:
    """Print the roots of the test PKI in PEM, for a verifier that is to accept them.

    Whoever accepts them accepts evidence that anybody can make.
    Exit status: 0.

    Example:
      quorumkey-attest mint roots > roots.pem
    """
    from quorumkey_attestation.testing import (  # noqa: PLC0415  # mints
        android,
        apple_certificates,
        apple_receipt,
        webauthn_certificates,
    )

    for root in (
        apple_certificates.app_attest_root(),
        apple_receipt.receipt_root(),
        android.google_root(),
        webauthn_certificates.webauthn_root(),
    ):
        typer.echo(root.certificate.public_bytes(Encoding.PEM).decode(), nl=False)


@app.command("status-list")
def status_list(
    *,
    revoked: Annotated[
        list[str] | None,
        typer.Option("--revoked", metavar="SERIAL", help="A certificate to list, in hex."),
    ] = None,
) -> None:
    """Print a revocation list in Google's format, empty unless told otherwise.

    Exit status: 0 printed, 2 usage.

    Example:
      quorumkey-attest mint status-list > status.json
    """
    from quorumkey_attestation.testing.android import status_list as write  # noqa: PLC0415  # mints

    serials = [serial.lower() for serial in revoked or []]
    for serial in serials:
        try:
            int(serial, 16)
        except ValueError:
            raise PolicyFileError(f"{serial} is no serial number in hex") from None
    typer.echo(write(dict.fromkeys(serials, "REVOKED")).decode())


def _question() -> _Question:
    """Read what the evidence has to be about.

    Raises:
        PolicyFileError: standard input holds something else.
    """
    wanted = '{"nonce": …, "device_public_key": …} in base64'
    try:
        value: object = json.loads(sys.stdin.buffer.read(MAX_QUESTION_BYTES))
        members = cast("dict[str, str]", value) if isinstance(value, dict) else {}
        nonce = b64decode(members["nonce"], validate=True)
        key = b64decode(members["device_public_key"], validate=True)
    except (ValueError, TypeError, KeyError):
        raise PolicyFileError(f"standard input must hold {wanted}") from None
    if (len(nonce), len(key)) != (NONCE_BYTES, PUBLIC_KEY_BYTES):
        raise PolicyFileError(
            f"nonce must be {NONCE_BYTES} bytes, device_public_key {PUBLIC_KEY_BYTES}"
        )
    return _Question(nonce, key)


def _key_of(asked: _Question, label: str | None) -> str:
    """Return the name of an App Attest key: the device's own, unless another is asked for."""
    return label or f"app attest key of {asked.device_public_key.hex()}"


def _digest(text: str) -> bytes:
    try:
        digest = hex_bytes(text.replace(":", "").lower())
    except ValueError:
        digest = b""
    if len(digest) != _SHA256_BYTES:
        raise PolicyFileError("--signer must be a SHA-256 in hex")
    return digest


def _now(at: str | None) -> datetime:
    """Return the moment that was given, or the present one."""
    if at is None:
        return datetime.now(UTC)
    try:
        return moment(at)
    except ValueError as error:
        raise PolicyFileError(f"--at must be {error}") from None
