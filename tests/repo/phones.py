"""What the README's example meets: a relay, and people with phones who approve."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, cast

from tests.repo.running import COMMAND_SECONDS

if TYPE_CHECKING:
    from concurrent.futures import Future

    from tests.repo.running import Terminal

MOST_PHONES: Final = 8
_LINK: Final = re.compile(r"https?://\S+/app/pair#\S+")


def start_relay(terminal: Terminal) -> None:
    """Set a relay up and serve it, as ``make serve`` does, and export what it tells to export."""
    init = ["quorumkey-relay", "init", "--data-dir", "relay", "--integrator", "Acme Corp", "--json"]
    made = cast("dict[str, str]", json.loads(_output(terminal, init)))
    terminal.start(["quorumkey-relay", "serve", "--data-dir", "relay"])
    terminal.variables["QUORUMKEY_URL"] = f"http://127.0.0.1:{terminal.port}"
    terminal.variables["QUORUMKEY_API_KEY"] = made["api_key"]


def run_among_phones(terminal: Terminal, program: str) -> tuple[str, int]:
    """Run a Python program; a phone opens each pairing link that it prints, and then approves.

    Returns what the program printed, and how many phones' approvals were recorded.
    """
    answers: list[Future[bool]] = []
    printed: list[str] = []
    with (
        ThreadPoolExecutor(MOST_PHONES) as people,
        subprocess.Popen(
            [sys.executable, "-W", "error", "-c", program],
            cwd=terminal.folder,
            env=terminal.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        ) as running,
    ):
        assert running.stdout
        for line in running.stdout:
            printed.append(line)
            if link := _LINK.search(line):
                home = f"phone-{len(answers)}"
                answers.append(people.submit(_approve_one, terminal, link.group(), home))
        assert running.wait(COMMAND_SECONDS) == 0
    return "".join(printed), sum(answer.result() for answer in answers)


def _approve_one(terminal: Terminal, link: str, home: str) -> bool:
    """Enrol a new phone, wait for one request and approve it; False when others were faster."""
    _output(terminal, ["quorumkey", "device", "enroll", link, "--home", home, "--yes"])
    listen = ["quorumkey", "device", "listen", "--home", home, "--once", "--json"]
    events = [json.loads(line) for line in _output(terminal, listen).splitlines()]
    (asked,) = (event["request"] for event in events if event["event"] == "request")
    done = _call(
        terminal,
        ["quorumkey", "device", "approve", asked["request_id"], "--home", home, "--yes"],
    )
    return done.returncode == 0


def _output(terminal: Terminal, command: list[str]) -> str:
    done = _call(terminal, command)
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stderr}"
    return done.stdout


def _call(terminal: Terminal, command: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=terminal.folder,
        env=terminal.variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        text=True,
        check=False,
    )
