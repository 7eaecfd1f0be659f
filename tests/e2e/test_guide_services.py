"""The two services in docs/protected-methods.md, as they stand there, each beside a real relay."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import httpx2
import pytest
from tests.e2e.sdk_relay_process import STOP_SECONDS, relay_process
from tests.e2e.workshop_process import Town, settle
from tests.repo import markdown
from tests.repo.running import free_port

from quorumkey import Client

if TYPE_CHECKING:
    from collections.abc import Generator

GUIDE = Path("docs/protected-methods.md")
DOCUMENTED_PORT = "9000"
START_SECONDS = 60


def block(language: str, start: str) -> str:
    """The one block of the guide in this language that begins so."""
    (found,) = (
        fence.body
        for fence in markdown.fences(GUIDE)
        if fence.language == language and fence.body.startswith(start)
    )
    return found


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Generator[Town, None, None]:
    """A relay with protection on, and a folder with what the guide's services read."""
    folder = tmp_path_factory.mktemp("guide")
    with relay_process(folder) as relay:
        made = settle(relay, folder)
        with Client(relay.url, relay.api_key) as client:
            key = client.info().relay_public_key.base64
        pins = {"relay": [key], "integrator": relay.integrator_id}
        (folder / "pins.json").write_text(json.dumps(pins))
        yield made


@contextmanager
def running(town: Town, command: list[str]) -> Generator[subprocess.Popen[bytes], None, None]:
    """A service in its folder, until the end of the block."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=town.folder,
        env=town.relay.environment,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.communicate(timeout=STOP_SECONDS)


def test_the_asgi_service_of_the_guide(town: Town) -> None:
    """A call for the test host runs; another waits, is approved, runs once, and waits anew."""
    (town.folder / "hosts.py").write_text(block("python", "import json\nfrom contextlib"))
    port = str(free_port())
    command = block("sh", "uvicorn").replace(DOCUMENTED_PORT, port).split()
    site = f"http://127.0.0.1:{port}/hosts"
    alice = {"authorization": "Bearer alices-token"}
    with running(town, ["-m", *command]) as service, httpx2.Client(headers=alice) as client:
        assert service.stderr is not None
        while b"running on" not in service.stderr.readline():
            assert service.poll() is None, service.stderr.read()
        at_once = client.post(f"{site}/test/reboot")
        nobody = httpx2.post(f"{site}/db-1/reboot")
        waits = client.post(f"{site}/db-1/reboot")
        txid = waits.headers["x-mpa-txid"]
        town.mpa("bob", "approve", txid, "--yes")
        other = client.post(f"{site}/db-2/reboot")
        ran = client.post(f"{site}/db-1/reboot")
        again = client.post(f"{site}/db-1/reboot")

    assert (200, 401, 409, 409) == (
        at_once.status_code,
        nobody.status_code,
        waits.status_code,
        other.status_code,
    )
    assert (200, {"rebooted": "db-1"}) == (ran.status_code, ran.json())
    assert (409, True) == (again.status_code, txid != again.headers["x-mpa-txid"])


def test_the_grpc_service_of_the_guide(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """A call waits with its transaction in the trailers, is approved, and runs."""
    port = str(free_port())
    (town.folder / "fleet.proto").write_text(block("text", 'syntax = "proto3"'))
    server = block("python", "import asyncio, json\nfrom pathlib import Path\n\nimport fleet_pb2")
    (town.folder / "server.py").write_text(server.replace(DOCUMENTED_PORT, port))
    generate = block("sh", "python -m grpc_tools").split()
    subprocess.run([sys.executable, *generate[1:]], cwd=town.folder, check=True)
    monkeypatch.setattr(sys, "path", [str(town.folder), *sys.path])
    messages = importlib.import_module("fleet_pb2")
    stubs = importlib.import_module("fleet_pb2_grpc")
    address, alice = f"127.0.0.1:{port}", (("authorization", "alices-token"),)
    with running(town, ["server.py"]), grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(START_SECONDS)
        drain = stubs.FleetStub(channel).DrainHost
        request = messages.DrainHostRequest(host="db-1")
        with pytest.raises(grpc.RpcError) as waits:
            drain(request, metadata=alice)
        (txid,) = (
            str(item.value)
            for item in waits.value.trailing_metadata() or ()
            if item.key == "x-mpa-txid"
        )
        town.mpa("bob", "approve", txid, "--yes")
        ran = drain(request, metadata=alice)

    assert grpc.StatusCode.FAILED_PRECONDITION is waits.value.code()
    assert messages.DrainHostResponse() == ran
