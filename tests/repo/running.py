"""Running a document as its reader would: one terminal, one folder, from top to bottom.

Every fenced block of a runnable language is run in order, in a folder of its own. What a block
exports stays for the next one. In a ``console`` block the lines after ``$ `` are typed and the
others are what has to be seen, with ``…`` for what differs each time. A comment just before a fence
says when something else is meant:

``background``
    a program that goes on; it is started, has answered ``/readyz`` before the next block runs, and
    ends with the document.
``with: phones``
    run beside a relay, and beside phones that open every pairing link it prints and approve what
    they are asked (`tests.repo.phones`).
``run-by: FILE`` or ``run-by: FILE::TEST``
    not run here, because that script or test runs it.
``not-run: REASON``
    run nowhere; only for what needs a container engine.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.repo.markdown import Fence

DOCUMENTED_PORT: Final = "8080"
COMMAND_SECONDS: Final = 120
STOP_SECONDS: Final = 20


def free_port() -> int:
    """A port of the loopback address on which nobody listens now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def pattern(seen: str) -> re.Pattern[str]:
    """What a console block says will be seen, as a pattern; ``…`` stands for anything."""
    escaped = re.escape(seen.strip()).replace(re.escape("…"), ".*?")
    return re.compile(escaped, re.DOTALL)


def exchanges(body: str) -> list[tuple[str, str]]:
    """The commands of a console block, each with what has to be seen after it."""
    parts = re.split(r"^\$ ", body, flags=re.MULTILINE)
    assert not parts[0].strip(), "a console block begins with a command"
    pairs: list[tuple[str, str]] = []
    for part in parts[1:]:
        lines = part.splitlines(keepends=True)
        length = 1
        while lines[length - 1].endswith("\\\n"):
            length += 1
        pairs.append(("".join(lines[:length]), "".join(lines[length:])))
    return pairs


@dataclass(slots=True)
class Terminal:
    """One reader's terminal: a folder, variables that stay, and programs left running."""

    folder: Path
    variables: dict[str, str] = field(init=False)
    port: int = field(init=False, default_factory=free_port)
    _running: list[subprocess.Popen[bytes]] = field(
        init=False, default_factory=list["subprocess.Popen[bytes]"]
    )

    def __post_init__(self) -> None:
        tools = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        kept = {
            name: value
            for name, value in os.environ.items()
            if name.startswith(("COVERAGE", "LANG", "LC_"))
        }
        self.variables = {
            **kept,
            "PATH": tools,
            "HOME": str(self.folder),
            "QUORUMKEY_RELAY_PORT": str(self.port),
        }

    def type(self, fence: Fence) -> None:
        """Do what one block says, and see what it promises."""
        body = fence.body.replace(DOCUMENTED_PORT, str(self.port))
        if fence.note == "background":
            self.start(["sh", "-euc", f"exec {body}"])
        elif fence.language == "python":
            self._run(fence, [sys.executable, "-W", "error", "-c", body])
        elif fence.language == "sh":
            self._shell(fence, body)
        else:
            for command, seen in exchanges(body):
                printed = self._shell(fence, command)
                assert pattern(seen).fullmatch(printed.strip()), (
                    f"{fence}: {command}printed\n{printed}\nand not\n{seen}"
                )

    def _shell(self, fence: Fence, commands: str) -> str:
        state = self.folder / ".terminal"
        keep = f"\npwd >{shlex.quote(str(state))}\nenv -0 >>{shlex.quote(str(state))}\n"
        printed = self._run(fence, ["sh", "-euc", commands + keep])
        _, _, variables = state.read_text(encoding="utf-8").partition("\n")
        pairs = (item.partition("=") for item in variables.split("\0") if item)
        self.variables = {name: value for name, _, value in pairs}
        state.unlink()
        return printed

    def _run(self, fence: Fence, command: list[str]) -> str:
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=COMMAND_SECONDS,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{fence} ended with {done.returncode}:\n{done.stdout}"
        return done.stdout

    def start(self, command: list[str]) -> None:
        """Start a relay that goes on, and return once it is ready."""
        process = subprocess.Popen(
            command,
            cwd=self.folder,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._running.append(process)
        wait_until_ready(self.port, process)

    def close(self) -> None:
        """Stop what was left running, as Ctrl-C would, last first."""
        for process in reversed(self._running):
            process.send_signal(signal.SIGINT)
            process.wait(STOP_SECONDS)


def wait_until_ready(port: int, process: subprocess.Popen[bytes]) -> None:
    """Return once the relay on ``port`` is ready; fail when its process has ended instead."""
    while process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=COMMAND_SECONDS)
        with contextlib.suppress(ConnectionError), contextlib.closing(connection):
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.client.OK:
                return
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(0.05)  # another look soon, or at once when it has ended
    message = f"the program ended with {process.returncode} before it was ready"
    raise AssertionError(message)


@contextlib.contextmanager
def terminal(folder: Path) -> Generator[Terminal]:
    """Open a terminal in ``folder`` and close it with everything in it."""
    opened = Terminal(folder)
    try:
        yield opened
    finally:
        opened.close()
