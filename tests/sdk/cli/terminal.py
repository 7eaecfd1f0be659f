"""Typing the command ``quorumkey`` in this process."""

from __future__ import annotations

import contextlib
import io
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.cli._app import run

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey.protocol import JsonValue


@dataclass(frozen=True)
class Done:
    """How a command ended and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> JsonValue:
        """The one JSON value on standard output."""
        value: JsonValue = json.loads(self.out)
        return value

    @property
    def lines(self) -> list[dict[str, JsonValue]]:
        """A JSON object a line."""
        return [json.loads(line) for line in self.out.splitlines()]

    @property
    def object(self) -> dict[str, JsonValue]:
        """The one JSON object on standard output."""
        value = self.json
        assert isinstance(value, dict)
        return value


def type_in(*arguments: str | Path, stdin: str | bytes = "") -> Done:
    """Run the command with these arguments and this standard input."""
    data = stdin if isinstance(stdin, bytes) else stdin.encode()
    out, err = io.StringIO(), io.StringIO()
    before, sys.stdin = sys.stdin, io.TextIOWrapper(io.BytesIO(data))
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = run([str(argument) for argument in arguments])
    finally:
        sys.stdin = before
    return Done(status, out.getvalue(), err.getvalue())
