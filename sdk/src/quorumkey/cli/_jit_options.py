"""What the commands of just-in-time access share: their options, their client, who calls."""

from __future__ import annotations

import os
import shlex
import subprocess
from typing import TYPE_CHECKING, Annotated, Final
from urllib.parse import parse_qs, urlsplit

import typer

from quorumkey.cli._arguments import UsageError, read_input
from quorumkey.errors import ConfigurationError
from quorumkey.jit.client import TOKEN_VARIABLE, JitClient

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = [
    "CountOption",
    "EntitlementArgument",
    "JustificationOption",
    "LinkArgument",
    "MinutesOption",
    "TokenCommandOption",
    "TokenFileOption",
    "activation_of",
    "connect",
    "project_of",
]

TokenFileOption = Annotated[
    str | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        help="Holds your ID token (- is standard input); default: QUORUMKEY_JIT_TOKEN.",
    ),
]
TokenCommandOption = Annotated[
    str | None,
    typer.Option(
        "--token-command",
        metavar="COMMAND",
        help="Prints your ID token, such as 'gcloud auth print-identity-token'.",
    ),
]
EntitlementArgument = Annotated[
    str, typer.Argument(metavar="ENTITLEMENT", help="PROJECT:ROLE, as quorumkey jit roles has it.")
]
LinkArgument = Annotated[
    str,
    typer.Argument(metavar="LINK", help="The link of the e-mail, or the token in it."),
]
JustificationOption = Annotated[
    str,
    typer.Option("--justification", "-j", metavar="TEXT", help="Your reason, such as BUG-12345."),
]
MinutesOption = Annotated[
    int | None,
    typer.Option("--minutes", "-m", min=1, help="How long; default: what the relay says."),
]
CountOption = Annotated[
    int, typer.Option("--count", min=1, metavar="N", help="How many, newest first.")
]

_MAX_TOKEN_BYTES: Final = 16_386  # with the end of the line
_COMMAND_SECONDS: Final = 60


def connect(
    url: str | None,
    http_hosts: list[str] | None,
    token_file: str | None,
    token_command: str | None,
) -> JitClient:
    """A client of the person whose ID token is in the file, the command or the environment.

    Raises:
        UsageError: there is none, the file has none, or both options are given.
        ConfigurationError: the command fails, or the relay's address is missing.
    """
    token: str | Callable[[], str] | None = None
    if token_file is not None and token_command is not None:
        raise UsageError("Give --token-file or --token-command, not both.")
    if token_file is not None:
        token = _line(read_input(token_file, max_bytes=_MAX_TOKEN_BYTES), token_file)
    elif token_command is not None:
        token = _printed_by(token_command)
    elif not os.environ.get(TOKEN_VARIABLE):
        raise UsageError(
            "Your ID token is missing: "
            f"give --token-file or --token-command, or set {TOKEN_VARIABLE}."
        )
    return JitClient(url, token, http_hosts=http_hosts or ())


def _printed_by(command: str) -> str:
    """Run a command, without a shell, and answer the line that it prints."""
    try:
        words = shlex.split(command)
        done = subprocess.run(  # noqa: S603 - the caller's own command, which is what they ask for
            words, check=True, stdout=subprocess.PIPE, timeout=_COMMAND_SECONDS
        )
    except (ValueError, IndexError, OSError, subprocess.SubprocessError) as error:
        raise ConfigurationError(f"The token command failed ({type(error).__name__}).") from None
    return _line(done.stdout, "the token command's output")


def _line(data: bytes, source: str) -> str:
    try:
        text = data.decode("ascii").strip()
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise UsageError(f"There is no ID token in {source}.")
    return text


def project_of(entitlement: str) -> str:
    """The project of an entitlement's id.

    Raises:
        UsageError: it is no such id.
    """
    project, colon, role = entitlement.partition(":")
    if not (project and colon and role):
        raise UsageError("An entitlement is PROJECT:ROLE, such as project-1:roles/compute.admin.")
    return project


def activation_of(link: str) -> str:
    """The token in the link of an e-mail, or the token itself.

    Raises:
        UsageError: the link has none.
    """
    if "://" not in link:
        return link
    try:
        tokens = parse_qs(urlsplit(link).query).get("activation", [])
    except ValueError:
        tokens = []
    if len(tokens) != 1:
        raise UsageError("The link has no activation in it; copy the whole link.")
    return tokens[0]
