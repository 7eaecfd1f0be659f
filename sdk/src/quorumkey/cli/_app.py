"""The command line's tree, and what its errors become."""

from __future__ import annotations

from importlib.metadata import version
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.cli import (
    _device,
    _device_push,
    _device_requests,
    _jit,
    _jit_decide,
    _mpa,
    _reads,
    _request,
    _verify,
    _webhooks,
)
from quorumkey.cli._arguments import UsageError
from quorumkey.cli._output import FAILED, INTERRUPTED, USAGE, say_error
from quorumkey.errors import ConfigurationError, QuorumkeyError, ReceiptRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["build", "run"]

_PROGRAM: Final = "quorumkey"


def build() -> typer.Typer:
    """Put the command together."""
    app = typer.Typer(
        name=_PROGRAM,
        help="Ask M of N groups of people to approve an action, answer on a software device, and"
        " verify receipts offline.",
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    device = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for part in (_device.app, _device_requests.app, _device_push.app):
        device.add_typer(_described(part))
    webhook = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for part in (_webhooks.app, _verify.webhook):
        webhook.add_typer(_described(part))
    for part in (_request.app, _reads.app, _verify.app):
        app.add_typer(_described(part))
    app.add_typer(device, name="device", help="The software device: enrol, listen, show, answer.")
    app.add_typer(
        _described(_mpa.app),
        name="mpa",
        help="Calls of protected methods that wait for approval: list, show, answer.",
    )
    jit = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
    for part in (_jit.app, _jit_decide.app):
        jit.add_typer(_described(part))
    app.add_typer(
        jit,
        name="jit",
        help="Just-in-time access: see, activate, ask for, review and end roles.",
    )
    app.add_typer(
        webhook,
        name="webhook",
        help="Webhooks: make them, look at deliveries, check one.",
    )
    return app


def _described(part: typer.Typer) -> typer.Typer:
    """Use the commands' docstrings as help, line by line as they are written."""
    for command in part.registered_commands:
        paragraphs = cleandoc((command.callback and command.callback.__doc__) or "").split("\n\n")
        command.help = "\n\n".join(f"\b\n{paragraph}" for paragraph in paragraphs)
    return part


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"{_PROGRAM} {version('quorumkey')}")
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
    """Run the command; answer the process's exit status.

    Errors become one sentence on standard error, never a traceback.
    """
    try:
        status: object = build()(args=list(arguments), prog_name=_PROGRAM, standalone_mode=False)
    except typer.TyperException as error:
        message = error.format_message()
        if "\n" in message:  # the help, where a command is missing
            typer.echo(message, err=True)
        else:
            say_error(message)
        return USAGE
    except (UsageError, ConfigurationError) as error:
        say_error(str(error))
        return USAGE
    except ReceiptRefused as refused:
        say_error(f"Refused at step {refused.step} ({refused.reason.value}): {refused.message}")
        return FAILED
    except QuorumkeyError as error:
        say_error(str(error))
        return FAILED
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    return status if isinstance(status, int) else 0
