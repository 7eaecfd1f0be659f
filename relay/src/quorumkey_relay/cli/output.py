"""What the command prints: text for people, JSON for programs, one sentence for errors.

Text goes into rich as plain text: it is never read as markup, as an emoji code or as a terminal's
control sequence.
"""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Final

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PROGRAM: Final = "quorumkey-relay"

#: Exit statuses, beside 0.
FAILED: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

_LABEL_CHARS: Final = 12
#: Tables are as wide as what they hold: a fingerprint that is cut cannot be copied.
_TABLE_CHARS: Final = 10_000


class Refused(Exception):  # noqa: N818 - the sentence is the message, the status is 1
    """The command cannot do that; the message is the sentence that says why."""


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
        """Remember which."""
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
            self.line(f"{label:<{_LABEL_CHARS}}{value}")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
        """Columns under a head, or the sentence ``empty`` where there is no row."""
        if self.as_json:
            return
        if not rows:
            self.line(empty)
            return
        table = Table(box=None, pad_edge=False, header_style="bold")
        for title in head:
            table.add_column(Text(title), no_wrap=True)
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        _console(width=_TABLE_CHARS).print(table)


def confirm(question: str) -> None:
    """Ask on standard error and go on only after a yes; raises ``Refused`` otherwise."""
    try:
        agreed = typer.confirm(plain(question), default=False, err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        message = "nothing was changed; answer y, or give --yes where nobody is there to ask"
        raise Refused(message)
