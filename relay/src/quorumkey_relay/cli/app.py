"""The command's parts put together, and how it ends."""

from __future__ import annotations

import traceback
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from quorumkey.errors import ProtocolError
from quorumkey_relay.cli import (
    admins,
    attestation,
    devices,
    integrators,
    jit,
    keys,
    pairings,
    protection,
    requests,
    standins,
    webhooks,
)
from quorumkey_relay.cli.check import check as check_relay
from quorumkey_relay.cli.options import (
    EVERY_SETTING,
    STORE_SETTINGS,
    JsonOption,
    TestOption,
    explained,
    own,
    takes_settings,
)
from quorumkey_relay.cli.output import (
    FAILED,
    INTERRUPTED,
    PROGRAM,
    USAGE,
    Output,
    Refused,
    forget_output,
    say_error,
)
from quorumkey_relay.cli.serve import serve as serve_relay
from quorumkey_relay.cli.setup import init as set_up
from quorumkey_relay.identity.files import UnsafeFileError
from quorumkey_relay.identity.relaykeys import RelayKeyError
from quorumkey_relay.identity.vault import VaultError
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.protocol import StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

#: What keeps a command from doing its work; the message is a sentence for the operator.
_REFUSALS: Final = (Refused, StoreError, UnsafeFileError, RelayKeyError, VaultError)
_USAGE_ERRORS: Final = (ConfigError, ProtocolError)

app = typer.Typer(
    name=PROGRAM,
    help="The Quorumkey relay: set it up, serve it, look after it."
    " Each option is also a variable QUORUMKEY_RELAY_*.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"{PROGRAM} {version('quorumkey-relay')}")
        raise typer.Exit


@app.callback()
def before_a_command(
    *,
    _version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    """Take the options that stand before a command."""


@app.command(
    "init",
    help=explained(
        "Set up a data folder: the relay's key, the database, the first integrator and its first"
        " API key, which is shown only now. A folder that is set up already is left as it is.",
        "quorumkey-relay init --data-dir data --integrator 'Acme Corp'",
        "quorumkey-relay init --data-dir data --integrator 'Acme Corp' --json",
    ),
)
@takes_settings(*STORE_SETTINGS)
def init(
    settings: Settings,
    *,
    integrator: Annotated[
        str, own("integrator", "NAME", "The first integrator's name, as approvers see it.")
    ],
    test: TestOption = False,
    as_json: JsonOption = False,
) -> None:
    """Set up a data folder."""
    set_up(settings, integrator, test=test, out=Output(as_json=as_json))


@app.command(
    "serve",
    help=explained(
        "Serve a data folder until SIGINT or SIGTERM. One process can serve a folder. Logs go to"
        " standard error; one line on standard output says when calls are answered.",
        "quorumkey-relay serve --data-dir data",
        "quorumkey-relay serve --data-dir data --host 127.0.0.1 --port 0 --json",
        "quorumkey-relay serve --host 0.0.0.0 --public-url https://relay.example.com"
        " --attestation off",
    ),
)
@takes_settings(*EVERY_SETTING)
def serve(settings: Settings, *, as_json: JsonOption = False) -> None:
    """Serve a data folder."""
    serve_relay(settings, out=Output(as_json=as_json))


@app.command(
    "check",
    help=explained(
        "Read the configuration as serve would, and look at the data folder: files, keys, database,"
        " whether it can be written, and what is in it. Nothing is changed.",
        "quorumkey-relay check --data-dir data",
        "quorumkey-relay check --json",
        status="Exit status: 0 healthy, 1 something is wrong, 2 usage or configuration.",
    ),
)
@takes_settings(*EVERY_SETTING)
def check(settings: Settings, *, as_json: JsonOption = False) -> None:
    """Check configuration and data."""
    raise typer.Exit(check_relay(settings, out=Output(as_json=as_json)))


@app.command(
    "demo",
    help=explained(
        "Show everything in less than a minute: start a relay in a temporary folder, enrol software"
        " devices, wake two of them by push through stand-ins, have one request approved and one"
        " denied, and verify the receipt offline. Nothing is left behind.",
        "quorumkey-relay demo",
        "quorumkey-relay demo --scenario mine.json --pace 2",
    ),
)
def demo(
    *,
    scenario: Annotated[
        Path | None, own("scenario", "FILE", "Who takes part, what is asked, who answers what.")
    ] = None,
    pace: Annotated[
        float | None,
        own("pace", "SECONDS", "Between two events; in a terminal 0.4.", least=0, most=60),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Show everything."""
    from quorumkey_relay.demo.run import (  # noqa: PLC0415 - only here is the SDK's client needed
        demonstrate,
    )

    demonstrate(scenario, pace=pace, out=Output(as_json=as_json))


app.registered_commands += standins.app.registered_commands

for part in (
    integrators.app,
    keys.app,
    devices.app,
    attestation.app,
    requests.app,
    pairings.app,
    webhooks.app,
    admins.app,
    protection.app,
    jit.app,
):
    app.add_typer(part)


def run(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status.

    Errors become a sentence each on standard error, never a traceback.
    """
    try:
        status: object = app(args=list(arguments), prog_name=PROGRAM, standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:  # quietly, as head expects
        forget_output()
        return FAILED
    except typer.TyperException as error:
        _say_usage(error.format_message())
        return USAGE
    except Exception as error:  # noqa: BLE001 - the operator gets a sentence, whatever it is
        for sentence in _sentences(error):
            say_error(sentence)
        return USAGE if isinstance(error, _USAGE_ERRORS) else FAILED
    return status if isinstance(status, int) else 0


def _sentences(error: Exception) -> Sequence[str]:
    """Return what the operator reads of an error."""
    if isinstance(error, ConfigError):
        return error.problems
    if isinstance(error, OSError):
        where = "" if error.filename is None else f"{error.filename}: "
        return (f"{where}{error.strerror or error}",)
    if isinstance(error, (ProtocolError, *_REFUSALS)):
        return (str(error),)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{frame.filename}:{frame.lineno}"
    return (f"this is a bug in {PROGRAM}: {type(error).__name__} at {place}",)


def _say_usage(message: str) -> None:
    if "\n" in message:  # the help, where a command is missing
        typer.echo(message, err=True)
    else:
        say_error(message)
