"""Evidence from another program: what a software device sends as its attestation."""

from __future__ import annotations

import shlex
import subprocess
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.errors import ConfigurationError, ProtocolError
from quorumkey.protocol.limits import MAX_BODY_BYTES
from quorumkey.protocol.strict_json import dumps, loads

if TYPE_CHECKING:
    from quorumkey.device import Attest, AttestationChallenge
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["AttestationCommandOption", "RequiredAttestationCommandOption", "attest_by"]

COMMAND_SECONDS: Final = 60  # seconds that the program may take

_OPTION: Final[object] = typer.Option(
    "--attestation-command",
    metavar="COMMAND",
    help="Program that makes evidence of where the key lives: it reads nonce and"
    " device_public_key as JSON and writes the attestation.",
)
AttestationCommandOption = Annotated[str | None, _OPTION]
RequiredAttestationCommandOption = Annotated[str, _OPTION]


def attest_by(command: str) -> Attest:
    """Have a program make the evidence.

    Args:
        command: the program and its arguments, divided as a shell divides them; no shell runs.

    Raises:
        ConfigurationError: it cannot be divided, or is empty.
    """
    try:
        arguments = shlex.split(command)
    except ValueError as error:
        raise ConfigurationError(f"The attestation command cannot be read: {error}.") from None
    if not arguments:
        raise ConfigurationError("The attestation command is empty.")

    def attest(challenge: AttestationChallenge) -> JsonValue:
        return _run(arguments, dumps(challenge.to_json()))

    return attest


def _run(arguments: list[str], question: bytes) -> JsonValue:
    try:
        # S603: the person at this terminal named the program.
        done = subprocess.run(  # noqa: S603 - as above
            arguments, input=question, stdout=subprocess.PIPE, timeout=COMMAND_SECONDS, check=False
        )
    except OSError as error:
        message = f"The attestation command cannot be run: {error.strerror}."
        raise ConfigurationError(message) from None
    except subprocess.TimeoutExpired:
        message = f"The attestation command took more than {COMMAND_SECONDS} seconds."
        raise ConfigurationError(message) from None
    if done.returncode != 0:
        raise ConfigurationError(f"The attestation command failed with status {done.returncode}.")
    try:
        value = loads(done.stdout, max_bytes=MAX_BODY_BYTES)
    except ProtocolError as error:
        raise ConfigurationError(f"The attestation command wrote no JSON: {error}") from None
    if not isinstance(value, dict) or "format" not in value:
        raise ConfigurationError("The attestation command wrote no object with a format.")
    return value
