"""The command line's tree, and what its errors become."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from inspect import cleandoc
from traceback import extract_tb
from typing import TYPE_CHECKING, Annotated

import typer

from quorumkey_attestation.cli import harness, mint, show, verify
from quorumkey_attestation.cli.output import (
    FAILED,
    INTERRUPTED,
    PROGRAM,
    USAGE,
    forget_output,
    say_error,
)
from quorumkey_attestation.errors import AttestationError
from quorumkey_attestation.evidence_files import EvidenceFileError
from quorumkey_attestation.settings import PolicyFileError, UnsuitableError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build", "run"]

_USAGE_ERRORS = (PolicyFileError, EvidenceFileError, UnsuitableError)


def build() -> typer.Typer:
    """Put the command together."""
    app = typer.Typer(
        name=PROGRAM,
        help="Judge the evidence a device gives about where its key lives, or show what it says.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    app.add_typer(
        _described(verify.app), name="verify", help="Judge evidence by a policy: accepted or not."
    )
    app.add_typer(
        _described(mint.app), name="mint", help="Make evidence of the test PKI for an enrolment."
    )
    for part in (show.app, harness.app):
        app.add_typer(_described(part))
    return app


def _described(part: typer.Typer) -> typer.Typer:
    """Use the commands' docstrings as help, line by line as they are written."""
    for command in part.registered_commands:
        paragraphs = cleandoc((command.callback and command.callback.__doc__) or "").split("\n\n")
        command.help = "\n\n".join(f"\b\n{paragraph}" for paragraph in paragraphs)
    return part


def _show_version(wanted: bool) -> None:  # noqa: FBT001  # typer calls it so
    if wanted:
        try:
            number = version("quorumkey-attestation")
        except PackageNotFoundError:  # run from a folder or an archive, not installed
            number = "(not installed)"
        typer.echo(f"{PROGRAM} {number}")
        raise typer.Exit


def _options(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def run(arguments: Sequence[str]) -> int:
    """Run the command; return the process's exit status.

    Errors become one sentence on standard error, never a traceback.
    """
    try:
        status: object = build()(args=list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # quietly, as head expects
        forget_output()
        return FAILED
    except OSError as error:  # what reads a file says itself when it cannot
        forget_output()
        say_error(f"cannot write the output: {error.strerror}")
        return FAILED
    except typer.TyperException as error:
        message = error.format_message()
        if "\n" in message:  # the help, where a command is missing
            typer.echo(message, err=True)
        else:
            say_error(message)
        return USAGE
    except Exception as error:  # noqa: BLE001  # whoever runs it gets a sentence, whatever it is
        say_error(_sentence(error))
        return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED
    return status if isinstance(status, int) else 0


def _sentence(error: Exception) -> str:
    """Return what is said of an error."""
    if isinstance(error, AttestationError):
        return f"{error.reason.value}: {error.detail}"
    if isinstance(error, _USAGE_ERRORS):
        return str(error)
    frame = extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename}:{frame.lineno}"
    return f"this is a bug in {PROGRAM}: {type(error).__name__} at {place}"
