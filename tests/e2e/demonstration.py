"""Running a demonstration as a newcomer does, and what it left."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.repo import tree

if TYPE_CHECKING:
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
