"""What the demonstration shows: a line for everything that happens, and a board of the phones.

In a terminal the board stays below the lines and follows what happens. Elsewhere lines are
printed as they come and the board once, at the end of each act.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from quorumkey_relay.cli.output import plain

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.console import Console, RenderableType

_INDENT: Final = "   "
_LABEL_CHARS: Final = 12
_BOARD_COLUMNS: Final = 5
_FULL, _EMPTY = "■", "□"
_STYLES: Final = {
    "approve": "bold green",
    "approved": "bold green",
    "deny": "bold red",
    "rejected": "bold red",
}


@dataclass(slots=True)
class Seat:
    """One phone's line on the board."""

    group: str
    person: str
    pictogram: str
    state: str = ""
    news: str = ""


@dataclass(slots=True)
class Board:
    """The phones and the quorum of one request."""

    title: str
    required: int
    seats: dict[str, Seat] = field(default_factory=dict[str, Seat])
    satisfied: int = 0
    status: str = ""

    def __rich__(self) -> RenderableType:
        """Draw it as it is now."""
        table = Table(box=None, pad_edge=False, show_header=False)
        for _ in range(_BOARD_COLUMNS):
            table.add_column(no_wrap=True)
        for seat in self.seats.values():
            table.add_row(
                Text(f"{_INDENT}{plain(seat.group)}"),
                Text(plain(seat.person)),
                Text(seat.pictogram),
                Text(seat.state, _STYLES.get(seat.state, "")),
                Text(seat.news, "dim"),
            )
        marks = _FULL * self.satisfied + _EMPTY * (self.required - self.satisfied)
        quorum = f"{_INDENT}{marks}  {self.satisfied} of {self.required} groups"
        return Group(
            Text(f"{_INDENT}{plain(self.title)}", "bold"),
            table,
            Text.assemble(quorum, "  ", (self.status, _STYLES.get(self.status, ""))),
        )


class Stage:
    """Prints to one console, at a pace that people can follow."""

    def __init__(self, console: Console, *, pace: float) -> None:
        """Wait ``pace`` seconds at each beat."""
        self._console = console
        self._pace = pace
        self._acts = 0
        self._live: Live | None = None

    async def beat(self) -> None:
        """Leave the reader a moment."""
        await asyncio.sleep(self._pace)

    def act(self, title: str) -> None:
        """Begin a new part."""
        self._acts += 1
        self._console.print()
        self._console.print(Text(f"{self._acts}  {plain(title)}", "bold cyan"))

    def say(self, text: str, *, mood: str = "") -> None:
        """Print a line; ``mood`` is a decision or a status, and colours it."""
        self._console.print(Text(f"{_INDENT}{plain(text)}", _STYLES.get(mood, mood)))

    def command(self, line: str) -> None:
        """Print a command that is being run."""
        self.say(f"$ {line}", mood="dim")

    def row(self, label: str, value: str) -> None:
        """Print a label and a value of one or more lines."""
        first, *others = value.split("\n")
        self.say(f"{label:<{_LABEL_CHARS}}{first}")
        for other in others:
            self.say(" " * _LABEL_CHARS + other)

    @contextmanager
    def watching(self, board: Board) -> Generator[None]:
        """Keep a board in view while things happen to it."""
        if not self._console.is_terminal:
            yield
            self._console.print(board)
            return
        with Live(board, console=self._console, auto_refresh=False) as live:
            self._live = live
            try:
                yield
            finally:
                self._live = None
                live.refresh()

    def changed(self) -> None:
        """Draw the board anew, where it is in view."""
        if self._live is not None:
            self._live.refresh()
