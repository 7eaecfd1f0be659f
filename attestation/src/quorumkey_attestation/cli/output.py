"""What the command prints: text for people, JSON for programs, one sentence for errors.

Evidence is somebody else's text: it goes into rich as plain text, never as markup, an emoji code
or a terminal's control sequence.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["FAILED", "INTERRUPTED", "PROGRAM", "USAGE", "Output", "forget_output", "say_error"]

PROGRAM: Final = "quorumkey-attest"

#: Exit statuses, beside 0.
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_LABEL_CHARS: Final = 16
#: Tables are as wide as what they hold: a cut name of a check cannot be searched for.
_TABLE_CHARS: Final = 10_000


def plain(text: str) -> str:
    """Return ``text`` with what a terminal would not print written as an escape."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "replace").decode("ascii")
        for character in text
    )


class _Console(Console):
    """A console for which a reader that went away is an error like any other."""

    def on_broken_pipe(self) -> None:
        """Leave it to the command what follows from it, instead of ending the process."""
        raise BrokenPipeError


def forget_output() -> None:
    """Send standard output nowhere, once nobody reads it: Python would write the rest at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _console(*, stderr: bool = False, width: int | None = None) -> Console:
    return _Console(
        file=sys.stderr if stderr else sys.stdout,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=width is None,
        width=width,
    )


def say_error(sentence: str) -> None:
    """Print one sentence on standard error."""
    text = plain(" ".join(sentence.split()))
    ended = text if text.endswith((".", "?", "!")) else f"{text}."
    _console(stderr=True).print(Text(f"{PROGRAM}: {ended}"))


class Output:
    """Prints either JSON or text, as ``--json`` says."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json

    def json(self, value: object) -> None:
        """One line of JSON, where JSON was asked for."""
        if self.as_json:
            # ASCII: JSON leaves C1 control characters as they are, and terminals obey them.
            sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")
            sys.stdout.flush()

    def line(self, text: str = "", *, style: str = "") -> None:
        """One line of text, where text was asked for."""
        if not self.as_json:
            _console().print(Text(plain(text), style=style))

    def rows(self, rows: Iterable[tuple[str, str]]) -> None:
        """Labels and values, one pair a line."""
        for label, value in rows:
            self.line(f"{label:<{_LABEL_CHARS}}{value}" if value else label)

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Columns under a head."""
        if self.as_json:
            return
        grid = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
        for name in head:
            grid.add_column(Text(name), no_wrap=True)
        for row in rows:
            grid.add_row(*(Text(plain(cell)) for cell in row))
        _console(width=_TABLE_CHARS).print(grid)
