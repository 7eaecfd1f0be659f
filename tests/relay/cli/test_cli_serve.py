"""``serve``: one process a folder, what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from tests.relay.cli.prompt import (
    STOP_SECONDS,
    eventually,
    first_line,
    running,
    started,
    stop,
)

from quorumkey.client import Client
from quorumkey.errors import AuthenticationError
from quorumkey_relay.cli.access import noted_address

if TYPE_CHECKING:
    import subprocess
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.relay.cli.prompt import Operator


def refused_start(data_dir: Path, *options: str) -> tuple[int, str]:
    """Start a relay that does not start: its status and its last line."""
    with started("serve", "--data-dir", str(data_dir), *options) as process:
        printed, said = process.communicate(timeout=60)
    assert printed == ""
    assert "Traceback" not in said
    return process.returncode, said.splitlines()[-1]


def serve(operator: Operator, *options: str) -> AbstractContextManager[subprocess.Popen[str]]:
    """Serve the operator's folder on a free port."""
    return started("serve", "--data-dir", str(operator.data_dir), "--port", "0", *options)


def test_it_says_where_it_serves(operator: Operator) -> None:
    """``serve --json`` prints one line once calls are answered."""
    made = operator.init()
    with serve(operator, "--json") as process:
        ready: dict[str, Any] = json.loads(first_line(process))
        rest, _ = stop(process)

    assert ready["url"].startswith("http://127.0.0.1:")
    assert ready == {
        "url": ready["url"],
        "relay": made["relay"],
        "mode": "development",
        "data_dir": str(operator.data_dir),
        "channels": ["websocket"],
        "pid": process.pid,
    }
    assert rest == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_well(operator: Operator, number: signal.Signals) -> None:
    """At SIGINT and SIGTERM the relay goes down with exit status 0."""
    operator.init()
    with serve(operator) as process:
        first_line(process)
        process.send_signal(number)
        process.communicate(timeout=STOP_SECONDS)

    assert process.returncode == 0


def test_people_read_where_it_serves(operator: Operator) -> None:
    """The text names address, mode, relay and channels, and says how to stop it."""
    made = operator.init()
    with serve(operator, "--webpush-subject", "mailto:ops@example.com") as process:
        line, channels = first_line(process), first_line(process)
        stop(process)

    assert "Devices are reached through: websocket, webpush.\n" == channels
    assert line.startswith("Serving http://127.0.0.1:")
    assert line.endswith(f"(development), relay {made['relay']}. Ctrl-C stops it.\n")


def test_a_new_folder_can_be_set_up_while_it_is_served(operator: Operator) -> None:
    """Served before it was set up, a relay says how, and takes what ``init`` made."""
    with serve(operator) as process:
        lines = [first_line(process) for _ in range(4)]
        url = lines[0].split()[1]
        made = operator.init()
        with Client(url, made["api_key"]) as client:
            assert eventually(lambda: is_known(client))
        stop(process)

    assert lines[2:] == [
        "There is no integrator yet; in another terminal:\n",
        f"  quorumkey-relay init --data-dir {operator.data_dir} --integrator NAME\n",
    ]
    assert f"relay {made['relay']}." in lines[0]


def is_known(client: Client) -> bool:
    """Whether the relay takes the client's API key."""
    try:
        return list(client.requests.list()) == []
    except AuthenticationError:
        return False


def test_one_process_serves_a_folder(operator: Operator) -> None:
    """A second process on the same folder is refused with status 1, whatever its port."""
    operator.init()
    with running(operator.data_dir) as relay:
        port = relay.url.rpartition(":")[2]
        refusals = {refused_start(operator.data_dir, "--port", one) for one in ("0", port)}

    assert {
        (1, f"quorumkey-relay: another relay process serves {operator.data_dir}; stop it first.")
    } == refusals


def test_after_one_process_another_may_serve(operator: Operator) -> None:
    """Once the first process has ended, even by ``kill -9``, the folder can be served again."""
    operator.init()
    with serve(operator) as process:
        first_line(process)
        process.kill()
        process.communicate(timeout=STOP_SECONDS)

    with running(operator.data_dir) as relay:
        assert relay.url


def test_a_port_that_is_taken(operator: Operator) -> None:
    """An address that another program listens on is named, with status 1."""
    operator.init()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        status, sentence = refused_start(operator.data_dir, "--port", str(port))

    assert status == 1
    assert f"127.0.0.1 port {port} cannot be listened on: " in sentence


def test_a_database_of_a_newer_release(operator: Operator) -> None:
    """A database that a later release has migrated is not served."""
    operator.init()
    with closing(sqlite3.connect(operator.data_dir / "relay.db")) as connection:
        connection.execute("PRAGMA user_version = 999")

    status, sentence = refused_start(operator.data_dir, "--port", "0")

    assert status == 1
    assert "the database has schema 999" in sentence


def test_a_lost_terminal_does_not_stop_it(operator: Operator) -> None:
    """A relay whose standard output nobody reads serves all the same."""
    made = operator.init()
    reading, writing = os.pipe()
    os.close(reading)
    arguments = ("serve", "--data-dir", str(operator.data_dir), "--port", "0")
    with started(*arguments, stdout=writing) as process:
        os.close(writing)
        url = eventually(lambda: noted_address(operator.data_dir))
        with Client(url, made["api_key"]) as client:
            assert client.info().relay == made["relay"]
        stop(process)

    assert process.returncode == 0
