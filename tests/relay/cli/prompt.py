"""An operator at a prompt: commands run in the test's process, relays in processes of their own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar, cast

from quorumkey.client import Client, RetryPolicy
from quorumkey_relay.cli.app import run

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import pytest

T = TypeVar("T")

COMMAND = (sys.executable, "-m", "quorumkey_relay")
NO_SUCH_ID = "0190a000-0000-7000-8000-00000000dead"
NO_SUCH_DEVICE = "00" * 32
PATIENCE_SECONDS = 20.0
LOOK_AGAIN_SECONDS = 0.02
STOP_SECONDS = 20


@dataclass(frozen=True)
class Printed:
    """What a command left: its exit status and both outputs."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - of any shape
        """The one line of JSON of a command that succeeded."""
        assert (0, "") == (self.status, self.err)
        assert self.out.count("\n") == 1
        return json.loads(self.out)

    @property
    def text(self) -> str:
        """What a command that succeeded told people."""
        assert (0, "") == (self.status, self.err)
        return self.out

    def refused(self, status: int) -> str:
        """The one sentence of a command that ended with ``status`` and printed nothing else."""
        assert (status, "") == (self.status, self.out)
        assert self.err.startswith("quorumkey-relay: ")
        assert self.err.endswith((".\n", "?\n"))
        assert self.err.count("\n") == 1
        return self.err.removeprefix("quorumkey-relay: ").rstrip("\n")


class Operator:
    """Somebody who types commands for one data folder."""

    def __init__(self, capsys: pytest.CaptureFixture[str], data_dir: Path) -> None:
        self._capsys = capsys
        self.data_dir = data_dir

    def bare(self, *arguments: str) -> Printed:
        """Run a command as it is."""
        self._capsys.readouterr()
        status = run(arguments)
        captured = self._capsys.readouterr()
        return Printed(status, captured.out, captured.err)

    def __call__(self, *arguments: str) -> Printed:
        """Run a command on the data folder."""
        return self.bare(*arguments, "--data-dir", str(self.data_dir))

    def json(self, *arguments: str) -> Any:  # noqa: ANN401 - of any shape
        """Run a command on the data folder and read its JSON."""
        return self(*arguments, "--json").json

    def init(self) -> dict[str, Any]:
        """Set the folder up for Acme Corp."""
        return cast("dict[str, Any]", self.json("init", "--integrator", "Acme Corp"))


@dataclass(frozen=True)
class RunningRelay:
    """A relay in a process of its own."""

    process: subprocess.Popen[str]
    url: str
    fingerprint: str

    def client(self, api_key: str) -> Client:
        """An integrator's client that asks once."""
        return Client(self.url, api_key, retry=RetryPolicy(attempts=1))


def environment(**variables: str) -> dict[str, str]:
    """This process's variables without the relay's own, and ``variables``."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("QUORUMKEY_", "_QUORUMKEY_"))
    }
    return kept | variables


@contextmanager
def started(
    *arguments: str, stdout: int = subprocess.PIPE, **variables: str
) -> Generator[subprocess.Popen[str]]:
    """Run a command as a process of its own, which does not outlive the context."""
    with subprocess.Popen(
        [*COMMAND, *arguments],
        env=environment(**variables),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
                process.communicate()


def first_line(process: subprocess.Popen[str]) -> str:
    """What a process prints first; it has to print something."""
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the process ended without a word"
    return line


def stop(process: subprocess.Popen[str]) -> tuple[str, str]:
    """End a process as a supervisor does; what it printed and said since."""
    process.terminate()
    return process.communicate(timeout=STOP_SECONDS)


@contextmanager
def running(data_dir: Path, *options: str) -> Generator[RunningRelay]:
    """Serve a data folder on a free port; at the end the relay goes down as it should."""
    served = ("serve", "--data-dir", str(data_dir), "--port", "0", "--json", *options)
    with started(*served) as process:
        ready = json.loads(first_line(process))
        yield RunningRelay(process, ready["url"], ready["relay"])
        stop(process)
    assert process.returncode == 0


def eventually(question: Callable[[], T | None]) -> T:
    """Ask again until there is an answer; fail when it takes too long."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    pause = threading.Event()
    while not (answer := question()):
        assert time.monotonic() < deadline, "waited in vain"
        pause.wait(LOOK_AGAIN_SECONDS)
    return answer
