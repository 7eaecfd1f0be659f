"""The commands of docs/push.md, as they stand there, notify a phone that is not connected."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from tests.repo import markdown
from tests.repo.running import COMMAND_SECONDS, Terminal, terminal

from quorumkey import Client

if TYPE_CHECKING:
    from collections.abc import Iterable

PAGE = Path("docs/push.md")
API_KEY = re.compile(r"qk_live_[0-9a-f]{64}")
OWN = f"run-by: tests/e2e/{Path(__file__).name}::"


def test_the_page_s_commands_notify_a_phone(tmp_path: Path) -> None:
    """A request reaches a phone through a stand-in, and the phone opens what it was sent."""
    stand_ins, init_and_serve, enrol, ask, open_it = (
        block.body for block in markdown.fences(PAGE) if (block.note or "").startswith(OWN)
    )
    init, serve = init_and_serve.splitlines()
    with (
        subprocess.Popen(
            ["sh", "-euc", f"exec {stand_ins}"],
            cwd=tmp_path,
            env=Terminal(tmp_path).variables | {"PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            text=True,
        ) as standing,
        terminal(tmp_path) as reader,
    ):
        try:
            assert standing.stdout
            reader.variables |= told(standing.stdout)
            api_key = API_KEY.findall(typed(reader, init))[0]
            reader.start(["sh", "-euc", f"exec {serve}"])
            url = f"http://127.0.0.1:{reader.port}"
            reader.variables |= {"QUORUMKEY_URL": url, "QUORUMKEY_API_KEY": api_key}
            with Client(url, api_key) as acme:
                pairing = acme.pairings.create("alice")
                reader.variables["PAIRING_URL"] = pairing.url
                typed(reader, enrol)
                acme.pairings.confirm(pairing)
                asked = typed(reader, ask)
                shown = typed(reader, open_it)
                (request,) = acme.requests.list()
                (engineering,) = acme.requests.deliveries(request.request_id)
        finally:
            standing.terminate()

    assert asked.startswith(f"Request     {request.request_id}\n")
    assert f"Request     {request.request_id}\n" in shown
    assert "Action      Cold boot engine ENG-001\n" in shown
    assert ["fcm"] == list(engineering.channels)
    assert 1 == engineering.channels["fcm"].acknowledged


def told(lines: Iterable[str]) -> dict[str, str]:
    """The variables that the stand-ins print, and where they are controlled."""
    found: dict[str, str] = {}
    for line in lines:
        words = line.split()
        if words[:1] == ["control"]:
            found["CONTROL"] = words[1]
        elif words[:1] == ["export"]:
            name, _, value = words[1].partition("=")
            found[name] = value
            if name.endswith("UNSAFE_EGRESS_HOSTS"):
                break
    return found


def typed(reader: Terminal, commands: str) -> str:
    """Run commands in the reader's folder; answer what they print."""
    done = subprocess.run(
        ["sh", "-euc", commands],
        cwd=reader.folder,
        env=reader.variables,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_SECONDS,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
