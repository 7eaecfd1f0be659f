"""``make serve``: what it prints at the first start and later, and that all of it can be typed."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.repo.running import free_port, wait_until_ready

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
COMMAND_SECONDS = 60
PATIENCE_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 0.05
MAKE_SERVE = "scripts/serve"


@dataclass
class Newcomer:
    """Somebody who types what they read, in terminals of one folder."""

    folder: Path
    port: int = field(default_factory=free_port)
    variables: dict[str, str] = field(default_factory=dict[str, str])

    def environment(self, **more: str) -> dict[str, str]:
        """The variables of a terminal."""
        kept = {name: value for name, value in os.environ.items() if "QUORUMKEY" not in name}
        path = f"{PROGRAMS}{os.pathsep}{kept['PATH']}"
        return kept | {"PATH": path} | self.variables | more

    @contextmanager
    def serving(self) -> Generator[Path]:
        """Run ``make serve`` with data in this folder; the file with what it prints."""
        printed = self.folder / f"printed-{time.monotonic_ns()}"
        with (
            printed.open("wb") as file,
            subprocess.Popen(
                [ROOT / MAKE_SERVE],
                env=self.environment(
                    QUORUMKEY_RELAY_DATA_DIR=str(self.folder / "data"),
                    QUORUMKEY_RELAY_PORT=str(self.port),
                ),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.DEVNULL,
            ) as process,
        ):
            try:
                wait_until_ready(self.port, process)
                yield printed
            finally:
                process.send_signal(signal.SIGINT)
                process.wait(COMMAND_SECONDS)
        assert process.returncode == 0

    def type(self, command: str) -> subprocess.Popen[str]:
        """Type a command into a terminal of its own, and y where it asks."""
        process = subprocess.Popen(
            ["sh", "-euc", command.replace(".venv/bin/", f"{shlex.quote(str(PROGRAMS))}/")],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdin is not None
        process.stdin.write("y\n")
        process.stdin.flush()
        return process

    def done(self, command: str) -> str:
        """Type a command, let it end well, and read what it prints."""
        with self.type(command) as process:
            printed, _ = process.communicate(timeout=COMMAND_SECONDS)
        assert process.returncode == 0, command
        return printed


def commands(printed: Path) -> list[str]:
    """The indented lines, continued ones joined."""
    text = printed.read_text(encoding="utf-8").replace("\\\n", "")
    return [line.strip() for line in text.splitlines() if line.startswith("  ")]


def eventually(path: Path, pattern: str) -> str:
    """What the pattern finds in a file, as soon as it is there."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not (found := re.search(pattern, path.read_text(encoding="utf-8"), re.MULTILINE)):
        assert time.monotonic() < deadline, f"no {pattern} in {path}"
        pause.wait(LOOK_AGAIN_SECONDS)
    return found[1]


@pytest.fixture
def newcomer(tmp_path: Path) -> Newcomer:
    """Somebody with an empty folder."""
    return Newcomer(tmp_path)


@pytest.mark.slow
def test_everything_it_prints_can_be_typed(newcomer: Newcomer) -> None:
    """With the printed commands alone a device pairs, a request is made, shown and approved."""
    with newcomer.serving() as printed:
        export_url, export_key, enroll, listen, request, approve = commands(printed)
        for export in (export_url, export_key):
            name, _, value = export.removeprefix("export ").partition("=")
            newcomer.variables[name] = value
        newcomer.done(enroll)
        screen = newcomer.folder / "screen"
        screen.touch()  # it is looked at before a slow machine has started what writes it
        with newcomer.type(f"exec {listen} > {screen}") as listening:
            with newcomer.type(request) as asking:
                asked = eventually(screen, r"^Request +(\S+)$")
                newcomer.done(approve.replace("ID", asked))
                answer, _ = asking.communicate(timeout=COMMAND_SECONDS)
            listening.send_signal(signal.SIGINT)

    assert (0, "Approved by: Engineering. The receipt was verified.") == (
        asking.returncode,
        answer.splitlines()[-1],
    )


@pytest.mark.slow
def test_the_api_key_is_printed_once(newcomer: Newcomer) -> None:
    """The first start prints an API key; a later one does not, but it prints a new link."""
    with newcomer.serving() as printed:
        first = printed.read_text(encoding="utf-8")
    with newcomer.serving() as printed:
        second = printed.read_text(encoding="utf-8")

    assert [1, 0] == [len(re.findall("qk_live_[0-9a-f]{64}", text)) for text in (first, second)]
    links = [
        re.findall(r"'(http://127\.0\.0\.1:\d+/app/pair#\S+)'", text) for text in (first, second)
    ]
    assert [1, 1] == [len(found) for found in links]
    assert links[0] != links[1]


@pytest.mark.slow
def test_a_folder_without_an_integrator_gets_one(newcomer: Newcomer) -> None:
    """Data that was served before it was set up is set up at the next start."""
    serve = f"exec quorumkey-relay serve --data-dir data --port {newcomer.port} --json"
    with newcomer.type(serve) as serving:
        assert serving.stdout is not None
        assert serving.stdout.readline()
        serving.send_signal(signal.SIGINT)

    with newcomer.serving() as printed:
        assert "qk_live_" in printed.read_text(encoding="utf-8")
