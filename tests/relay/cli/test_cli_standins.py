"""``stand-ins``: what it says, what it serves, and how it ends."""

from __future__ import annotations

import json
import shlex
import signal
import socket
import ssl
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from tests.relay.cli.prompt import STOP_SECONDS, first_line, started, stop
from tests.relay.cli.tree import commands

from quorumkey_relay.config import load_settings
from quorumkey_relay.standins import apns_table, fcm_table, webpush_table

if TYPE_CHECKING:
    import subprocess
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.relay.cli.prompt import Operator


def serve(folder: Path, *options: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Serve stand-ins on free ports."""
    return started("stand-ins", "--dir", str(folder), *options)


def push_in_vain(ready: dict[str, Any]) -> None:
    """Push to the APNs stand-in without a provider token."""
    context = ssl.create_default_context(cafile=ready["settings"]["QUORUMKEY_RELAY_CA_FILE"])
    with httpx.Client(http1=False, http2=True, verify=context) as sender:
        response = sender.post(f"{ready['apns']}/3/device/{apns_table.apns_token(number=0xABCD)}")
    assert response.status_code == 403


def test_it_says_where_it_serves(tmp_path: Path) -> None:
    """``stand-ins --json`` prints addresses and settings in one line, then a line for each push."""
    with serve(tmp_path, "--json") as process:
        ready: dict[str, Any] = json.loads(first_line(process))
        push_in_vain(ready)
        pushed: dict[str, Any] = json.loads(first_line(process))
        rest, said = stop(process)

    assert load_settings(ready["settings"], {}).apns_url == ready["apns"]
    assert ready.keys() == {
        "apns",
        "apns_sandbox",
        "fcm",
        "webpush",
        "control",
        "settings",
        "pid",
    }
    assert pushed == {
        "channel": "apns",
        "token": "ok…abcd",
        "accepted": False,
        "reason": "MissingProviderToken",
        "push_type": None,
        "collapse_id": None,
        "title": None,
    }
    assert ("", "", 0) == (rest, said, process.returncode)


def test_people_can_copy_the_settings(tmp_path: Path) -> None:
    """The text has an ``export`` line for each setting, which a shell understands."""
    folder = tmp_path / "a folder"
    lines: list[str] = []
    with serve(folder) as process:
        while "UNSAFE_EGRESS_HOSTS" not in "".join(lines):
            lines.append(first_line(process))
        stop(process)
    exported = [shlex.split(line)[1] for line in lines if line.startswith("export ")]
    settings = load_settings(dict(text.split("=", 1) for text in exported), {})

    assert "Stand-ins for push services, for tests only. Ctrl-C stops them.\n" == lines[0]
    assert folder / "ca.pem" == settings.ca_file


def test_people_read_each_push(tmp_path: Path) -> None:
    """A line names the channel, the kind of token with its last four characters, and the answer."""
    with serve(tmp_path) as process:
        lines = [first_line(process)]
        while "UNSAFE_EGRESS_HOSTS" not in lines[-1]:
            lines.append(first_line(process))
        names = dict(line.split()[:2] for line in lines[1:6])
        push_in_vain(
            {
                "apns": names["apns"],
                "settings": {"QUORUMKEY_RELAY_CA_FILE": str(tmp_path / "ca.pem")},
            }
        )
        first_line(process)  # the empty one
        line = first_line(process)
        stop(process)

    assert ["apns", "ok…abcd", "MissingProviderToken"] == line.split()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(tmp_path: Path, number: signal.Signals) -> None:
    """At SIGINT and SIGTERM it goes down with exit status 0."""
    with serve(tmp_path) as process:
        first_line(process)
        process.send_signal(number)
        process.communicate(timeout=STOP_SECONDS)

    assert 0 == process.returncode


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    """It ends with status 1 when it cannot listen where it was told to."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        with serve(tmp_path, "--fcm-port", port) as process:
            printed, said = process.communicate(timeout=STOP_SECONDS)

    assert (1, "") == (process.returncode, printed)
    assert f"quorumkey-relay: 127.0.0.1 port {port}: Address already in use.\n" == said


def test_a_folder_has_to_be_named(operator: Operator) -> None:
    """Keys are not written where nobody said."""
    assert "--dir" in operator.bare("stand-ins").refused(2)


def test_its_help_lists_every_behaviour() -> None:
    """What each kind of token does stands in the help."""
    (command,) = (command for path, command in commands() if path == ("stand-ins",))
    tables = (apns_table.BEHAVIOURS, fcm_table.BEHAVIOURS, webpush_table.BEHAVIOURS)
    missing = [
        name for behaviours in tables for name in behaviours if f"\n  {name} " not in command.help
    ]

    assert [] == missing
