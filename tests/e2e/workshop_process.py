"""examples/workshop as its operator starts it, beside a relay that protects its methods."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.sdk_relay_process import STOP_SECONDS, RelayProcess, operate
from tests.repo import tree
from tests.sdk.cli.terminal import Done, type_in

from quorumkey import Client
from quorumkey.device import SoftwareDevice
from quorumkey.protection import Roster

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from quorumkey import ConfirmedDevice

PEOPLE = ("alice", "bob")


@dataclass(frozen=True)
class Town:
    """A relay with protection on, and its two administrators' devices."""

    relay: RelayProcess
    folder: Path

    def mpa(self, person: str, *arguments: str) -> Done:
        """Type ``quorumkey mpa …`` on a person's device."""
        return type_in("mpa", *arguments, "--home", self.folder / person)

    def txids(self, person: str) -> list[object]:
        """The calls that a person can act on."""
        found = self.mpa(person, "list", "--open", "--json").json
        assert isinstance(found, list)
        return [one["txid"] for one in found if isinstance(one, dict)]

    def headers(self, person: str) -> dict[str, str]:
        """What a person's client sends to the example."""
        return {"authorization": f"Bearer token-of-{person}"}


def settle(relay: RelayProcess, folder: Path) -> Town:
    """Pair two administrators, load the preset and turn protection on."""
    with Client(relay.url, relay.api_key) as client:
        devices = [_pair(client, folder / person, person) for person in PEOPLE]
    Roster.of(devices).save(folder / "roster.json")
    callers = {f"token-of-{one}": {"kind": "person", "id": one} for one in PEOPLE}
    (folder / "callers.json").write_text(json.dumps(callers))
    where = ("--data-dir", relay.folder)
    for person in PEOPLE:
        operate("admins", "add", person, *where)
    operate("protection", "load", "workshop", *where)
    operate("protection", "enable", *where)
    return Town(relay, folder)


def _pair(client: Client, home: Path, person: str) -> ConfirmedDevice:
    pairing = client.pairings.create(person)

    async def enroll() -> None:
        async with SoftwareDevice(home) as device:
            await device.enroll(pairing.url)

    asyncio.run(enroll())
    return client.pairings.confirm(pairing)


@contextmanager
def workshop_process(town: Town, variant: str) -> Generator[str, None, None]:
    """The example's ``grpc`` or ``asgi`` variant; its address."""
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "examples.workshop", variant),
            *("--roster", town.folder / "roster.json"),
            *("--callers", town.folder / "callers.json"),
        ],
        cwd=tree.ROOT,
        stdout=subprocess.PIPE,
        env=town.relay.environment,
    )
    assert process.stdout is not None
    try:
        address: str = json.loads(process.stdout.readline())["address"]
        yield address
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(STOP_SECONDS)
        process.stdout.close()
