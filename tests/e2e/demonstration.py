"""Running a demonstration as a newcomer does, and what it left."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from tests.repo import tree

if TYPE_CHECKING:
    import signal
    from collections.abc import Sequence
    from pathlib import Path

DEMO_SECONDS = 60


def environment(temporary: Path) -> dict[str, str]:
    """A newcomer's variables, with temporary files in a folder of the test."""
    kept = {name: value for name, value in os.environ.items() if "QUORUMKEY" not in name}
    return kept | {"TMPDIR": str(temporary)}


@dataclass(frozen=True)
class Shown:
    """What a demonstration left on the screen and on the disk."""

    status: int
    out: str
    err: str
    left: Sequence[Path]

    @property
    def lines(self) -> list[str]:
        """What was printed, line by line, without indentation."""
        return [line.strip() for line in self.out.splitlines()]

    def said(self, pattern: str) -> list[str]:
        """The lines that match."""
        return [line for line in self.lines if re.search(pattern, line)]

    def act(self, title: str) -> str:
        """What was shown under a title."""
        _, _, after = self.out.partition(f"  {title}\n")
        return after.partition("\n\n")[0]


def show(command: Sequence[str], temporary: Path) -> Shown:
    """Run a demonstration to its end."""
    done = subprocess.run(
        command,
        cwd=tree.ROOT,
        env=environment(temporary),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEMO_SECONDS,
        check=False,
    )
    return Shown(done.returncode, done.stdout, done.stderr, list(temporary.iterdir()))


def interrupted(
    command: Sequence[str], temporary: Path, *, serves: str, number: signal.Signals
) -> tuple[int, str]:
    """Stop a demonstration in the middle; return its status and what it said of it.

    ``serves`` is in the line that begins with the address of its relay. Nothing of it is left:
    neither a file nor whoever listened there.
    """
    with subprocess.Popen(
        [*command, "--pace", "30"],
        cwd=tree.ROOT,
        env=environment(temporary) | {"PYTHONUNBUFFERED": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        url = next(line for line in process.stdout if serves in line).split()[0]
        assert any(temporary.iterdir())
        process.send_signal(number)
        _, said = process.communicate(timeout=DEMO_SECONDS)

    assert [] == list(temporary.iterdir())
    host, _, port = url.removeprefix("http://").partition(":")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((host, int(port)))
    return process.returncode, said
