"""The command's tree as data: every command's path, flags and printed help."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

from typer.testing import CliRunner

from quorumkey_relay.cli.app import app

if TYPE_CHECKING:
    from typer import Typer

#: Wide enough that no help line is broken.
_WIDTH = 2_000


@dataclass(frozen=True)
class Command:
    """A command's help as it is printed, and the flags in it."""

    help: str
    flags: frozenset[str]

    @property
    def examples(self) -> list[str]:
        """The command lines under "Example"."""
        shown = re.search(r"Examples?:\n((?: {4}.+\n)+)", self.help)
        assert shown is not None
        return [line.strip() for line in shown[1].splitlines()]


def _paths(typer: Typer, before: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    paths = [(*before, command.name or "") for command in typer.registered_commands]
    for group in typer.registered_groups:
        assert group.typer_instance is not None
        paths += _paths(group.typer_instance, (*before, str(group.typer_instance.info.name)))
    return paths


@cache
def commands() -> list[tuple[tuple[str, ...], Command]]:
    """Every command."""
    return [(path, _command(path)) for path in _paths(app)]


def _command(path: tuple[str, ...]) -> Command:
    printed = CliRunner().invoke(app, [*path, "--help"], terminal_width=_WIDTH)
    assert printed.exit_code == 0, printed.output
    options = printed.stdout.partition("Options:\n")[2]
    flags = re.findall(r"^  (?:-\w, )?(--[a-z-]+)", options, re.MULTILINE)
    return Command(printed.stdout, frozenset(flags))
