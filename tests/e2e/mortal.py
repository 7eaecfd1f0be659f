"""A process that is killed at a chosen moment, again and again, each time on a copy of its data."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

from tests.repo import tree

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@dataclass(frozen=True)
class Mortal:
    """The process that lives and dies once for each order."""

    orders: IO[str]
    ends: IO[str]

    def live(self, client: str, folder: Path, kill_at: int | None) -> str:
        """One life; answers how it ended."""
        order = {"client": client, "folder": str(folder), "kill_at": kill_at}
        self.orders.write(json.dumps(order) + "\n")
        self.orders.flush()
        return self.ends.readline().strip()


@contextmanager
def mortal(module: str, base: Path) -> Generator[Mortal]:
    """A process of ``module`` whose lives begin on copies of ``base``."""
    with subprocess.Popen(
        [sys.executable, "-m", module, str(base)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=tree.ROOT,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Mortal(process.stdin, process.stdout)
        finally:
            process.kill()
