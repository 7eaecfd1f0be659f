"""``jit``: the settings of just-in-time access."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from quorumkey_relay.cli.options import JsonOption, explained, own, takes_settings
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.jit_migration import MigrationError, environment_of, migrated
from quorumkey_relay.settings import Settings

app = typer.Typer(
    name="jit",
    help="The settings of just-in-time access.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command(
    "migrate",
    help=explained(
        "Print the settings of just-in-time access that do what a deployment of Google's JIT Access"
        " does, from its environment variables: those of this process, or of a file with NAME=value"
        " lines or the YAML of App Engine or Cloud Run. What is to be looked at stands above them."
        " Nothing is written, and no secret is printed.",
        "quorumkey-relay jit migrate --integrator 0190a000-0000-7000-8000-000000000001"
        " --env-file app.yaml > jit.yaml",
    ),
)
@takes_settings()
def migrate(
    _settings: Settings,
    *,
    integrator: Annotated[
        str, own("integrator", "ID", "The integrator whose paired devices approve.")
    ] = "YOUR-INTEGRATOR",
    env_file: Annotated[
        Path | None, own("env_file", "FILE", "File with the variables; else the environment.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Print the settings."""
    try:
        environ = os.environ if env_file is None else environment_of(_read(env_file))
        made = migrated(environ, integrator=integrator)
    except MigrationError as error:
        raise Refused(str(error)) from None
    out = Output(as_json=as_json)
    out.json({"settings": made.settings, "notes": made.notes})
    for line in made.text.splitlines():
        out.line(line)


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except UnicodeDecodeError:
        message = f"{path} is not UTF-8"
        raise Refused(message) from None
