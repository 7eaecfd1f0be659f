"""What the command prints: text for people, JSON for programs, one sentence for errors.

Text that came from somebody else goes through `visible` and into rich as plain text: it is never
read as markup, as an emoji code or as a terminal's control sequence.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.text import Text

from quorumkey.device.visible import visible

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["FAILED", "INTERRUPTED", "NOT_APPROVED", "USAGE", "Output", "confirm", "say_error"]

FAILED: Final = 1
USAGE: Final = 2
NOT_APPROVED: Final = 3
INTERRUPTED: Final = 130

_LABEL_CHARS: Final = 12


def _console(*, stderr: bool = False) -> Console:
    return Console(
        file=sys.stderr if stderr else sys.stdout,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )


def say_error(message: str) -> None:
    """Print one sentence on standard error."""
    _console(stderr=True).print(Text(f"quorumkey: {visible(' '.join(message.split()))}"))


class Output:
    """Prints either JSON or text, as ``--json`` says."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        self._console = _console()

    def json(self, value: JsonValue) -> None:
        """One line of JSON in ASCII, where JSON was asked for."""
        if self.as_json:
            # ASCII: JSON leaves C1 control characters as they are, and terminals obey them.
            sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")
            sys.stdout.flush()

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line of our own words, where text was asked for."""
        if not self.as_json:
            self._console.print(Text(text, style=style))

    def note(self, text: str) -> None:
        """One line on standard error, in either case."""
        _console(stderr=True).print(Text(text))

    def rows(self, rows: Sequence[tuple[str, str]]) -> None:
        """Labels and values; a value of several lines stays in its column."""
        for label, value in rows:
            first, *others = value.split("\n")
            self.line(f"{label:<{_LABEL_CHARS}}{first}")
            for other in others:
                self.line(" " * _LABEL_CHARS + other)


def confirm(question: str) -> bool:
    """Ask on standard error; no is the default, and what no answer means."""
    try:
        return typer.confirm(question, default=False, err=True)
    except typer.Abort:
        return False


def duration(seconds: int) -> str:
    """Seconds as people say them."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def named(members: Mapping[str, str]) -> str:
    """Names and values, one a line, for `Output.rows`."""
    return "\n".join(f"{visible(name)}: {value}" for name, value in members.items())
