"""The process around a relay: its address, its signals and its way down."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx2
import pytest
import uvicorn
from tests.relay.api.harness import house as served
from tests.relay.api.test_stream import authenticate, close_code, open_socket

from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.server import run, serving
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("restored_logging")

PROGRAM = """
import sys
from pathlib import Path
from quorumkey_relay.settings import (Settings)
from quorumkey_relay.server import run
settings = Settings(data_dir=Path(sys.argv[1]), port=0, shutdown_grace_seconds=600)
run(settings, on_ready=lambda relay: print(relay.settings.port, flush=True))
"""


def started(data_dir: Path) -> tuple[subprocess.Popen[bytes], int]:
    """A relay in a process of its own, and its port."""
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(data_dir)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    return process, int(process.stdout.readline())


LIMITS = """
import resource, sys
from quorumkey_relay.server import allow_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (int(sys.argv[1]), int(sys.argv[2])))
allow_open_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "expected"), [(256, 512, 512), (512, 512, 512)])
def test_it_may_open_as_many_files_as_the_system_allows(
    soft: int, hard: int, expected: int
) -> None:
    """The soft limit, which is low on many systems, goes up as far as the hard one."""
    told = subprocess.run(
        [sys.executable, "-c", LIMITS, str(soft), str(hard)], capture_output=True, check=True
    )

    assert f"{expected} {hard}" == told.stdout.decode().strip()


def test_an_address_in_use(tmp_path: Path) -> None:
    """A port that somebody listens on is told in a sentence."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError) as caught:
            run(Settings(data_dir=tmp_path, port=port))

    (problem,) = caught.value.problems
    assert problem.startswith(f"127.0.0.1 port {port} cannot be listened on: ")


def test_an_unknown_host(tmp_path: Path) -> None:
    """A host that has no address is told in a sentence."""
    with pytest.raises(ConfigError, match=r"The host relay\.invalid is not known"):
        run(Settings(data_dir=tmp_path, host="relay.invalid"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_properly(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM and SIGINT end the relay with exit status 0, after what it has to log."""
    process, port = started(tmp_path)
    with process:
        assert httpx2.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).status_code == 200
        process.send_signal(number)
        _, log = process.communicate(timeout=30)

    assert process.returncode == 0
    events = [line for line in log.decode().splitlines() if "relay_st" in line]
    assert ["relay_started" in events[0], "relay_stopped" in events[-1]] == [True, True]


def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    """A call that does not finish holds the relay up only until the second signal."""
    process, port = started(tmp_path)
    with process, socket.create_connection(("127.0.0.1", port)) as client:
        client.sendall(
            b"POST /v1/device/challenge HTTP/1.1\r\nhost: relay\r\ncontent-length: 2\r\n\r\n"
        )
        process.send_signal(signal.SIGTERM)
        while _is_listening(port):
            pass
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert process.returncode == 0


def _is_listening(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    except ConnectionResetError:
        return True  # it stopped listening in this very moment; the next look is refused
    return True


@pytest.mark.anyio
async def test_a_server_that_cannot_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What goes wrong while the server starts is raised to who wanted it served."""

    async def startup(*_: object, **__: object) -> None:
        raise OSError("no more descriptors")

    monkeypatch.setattr(uvicorn.Server, "startup", startup)

    with pytest.raises(OSError, match="no more descriptors"):
        async with serving(Settings(data_dir=tmp_path, port=0)):
            pass


@pytest.mark.anyio
async def test_sockets_that_take_too_long_to_close(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets get a bounded time to be closed; then the server goes on without them."""
    monkeypatch.setattr("quorumkey_relay.server.DRAIN_SECONDS", 0.0)
    async with served(tmp_path) as house:
        live = await open_socket(house)
        await authenticate(house, live, await house.device("alice"))

    assert await close_code(live) in (1012, 4503)
