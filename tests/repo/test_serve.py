"""``make serve``: a relay for whoever has just cloned the repository."""

from __future__ import annotations

import re
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.repo import tree
from tests.repo.running import STOP_SECONDS, Terminal, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path


@contextmanager
def serving(folder: Path) -> Generator[Path]:
    """Run what ``make serve`` runs, on data in ``folder``; give the file that it prints into."""
    terminal = Terminal(folder)
    printed = folder / "printed"
    variables = {**terminal.variables, "QUORUMKEY_RELAY_DATA_DIR": str(folder / "data")}
    with (
        printed.open("wb") as output,
        subprocess.Popen(
            [tree.ROOT / "scripts" / "serve"],
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            wait_until_ready(terminal.port, process)
            yield printed
        finally:
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)
    assert process.returncode == 0


@pytest.mark.slow
def test_the_api_key_is_printed_once_and_an_invitation_every_time(tmp_path: Path) -> None:
    """The first start prints the variables to export; every start prints a pairing link."""
    key = re.compile(r"^  export QUORUMKEY_API_KEY=qk_live_[0-9a-f]{64}$", re.MULTILINE)
    link = re.compile(
        r"enroll --home phone 'http://127\.0\.0\.1:\d+/app/pair#code=[^']+'$", re.MULTILINE
    )

    with serving(tmp_path) as printed:
        first = printed.read_text(encoding="utf-8")
    with serving(tmp_path) as printed:
        second = printed.read_text(encoding="utf-8")

    assert [1, 0] == [len(key.findall(text)) for text in (first, second)]
    assert [1, 1] == [len(link.findall(text)) for text in (first, second)]
