"""A relay process with protection on, its administrators' devices, and services beside it."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.e2e.protected_service import ALICE, KILL, METHODS, REQUEST
from tests.e2e.sdk_relay_process import RelayProcess, operate, relay_process

from quorumkey.client import Client
from quorumkey.device import SoftwareDevice
from quorumkey.protection import Guard, Roster, Wait

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    import httpx2

    from quorumkey import ConfirmedDevice

PEOPLE = ("alice", "bob")
LONG_AGO = 7_200


@dataclass
class Shop:
    """See the module's text."""

    relay: RelayProcess
    folder: Path
    roster: Roster

    @property
    def executions(self) -> int:
        """How often a service process ran the method."""
        path = self.folder / "executions"
        return len(path.read_text(encoding="utf-8").splitlines()) if path.exists() else 0

    def guard(self, transport: httpx2.AsyncBaseTransport | None = None) -> Guard:
        """A guard in this process."""
        return Guard(
            self.relay.url,
            self.relay.api_key,
            service="workshop",
            methods=METHODS,
            administrators=self.roster,
            transport=transport,
        )

    async def approve(self, txid: str) -> None:
        """Have bob approve."""
        async with SoftwareDevice(self.folder / "bob") as device:
            await device.approve(txid)

    async def opened(self, guard: Guard) -> str:
        """Call the method of the service processes; answers the txid."""
        verdict = await guard.check(KILL, ALICE, REQUEST)
        assert isinstance(verdict, Wait)
        return verdict.txid

    def approved(self) -> str:
        """Have the service processes' call approved; answers the txid."""

        async def inside() -> str:
            async with self.guard() as guard:
                txid = await self.opened(guard)
            await self.approve(txid)
            return txid

        return asyncio.run(inside())

    def operate(self, *arguments: str) -> dict[str, str]:
        """Run the operator's command while protection is on."""
        return operate(*arguments, "--break-glass", "a test", "--data-dir", self.relay.folder)

    @contextmanager
    def service(self, calls: int) -> Generator[Service, None, None]:
        """Start a service process."""
        path = self.folder / "roster.json"
        self.roster.save(path)
        process = subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.e2e.protected_service"),
                *(str(path), str(self.folder / "executions"), str(calls)),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self.relay.environment,
        )
        service = Service(process)
        try:
            assert "ready" == service.says()
            yield service
        finally:
            process.kill()
            process.communicate()

    def forward(self, seconds: int) -> None:
        """Let the claims be so much older for the relay, as if that time had passed."""
        self.relay.stop()
        (database,) = self.relay.folder.glob("*.db")
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute(
                "UPDATE claims SET claimed_at = claimed_at - ?, result_by = result_by - ?",
                (seconds, seconds),
            )
        self.relay.start()


@dataclass
class Service:
    """A service process."""

    process: subprocess.Popen[bytes]

    def says(self) -> object:
        """Its next line."""
        assert self.process.stdout is not None
        return json.loads(self.process.stdout.readline())

    def go(self) -> None:
        """Let it issue its calls."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        self.process.stdin.flush()


@contextmanager
def shop_in(folder: Path) -> Generator[Shop, None, None]:
    """A relay with two administrators, whose protection is on."""
    with relay_process(folder) as relay:
        with Client(relay.url, relay.api_key) as client:
            roster = Roster.of([_paired(client, folder / person, person) for person in PEOPLE])
        for person in PEOPLE:
            operate("admins", "add", person, "--data-dir", relay.folder)
        shop = Shop(relay, folder, roster)
        asyncio.run(_registered(shop))
        operate("protection", "enable", "--data-dir", relay.folder)
        asyncio.run(_in_force(shop))
        yield shop


async def _registered(shop: Shop) -> None:
    async with shop.guard():
        pass


async def _in_force(shop: Shop) -> None:
    """Wait until the relay has heard what the command line's process did."""
    async with shop.guard() as guard:
        while not guard.may_wait(KILL, ALICE):
            await guard.reach((guard.revision or 0) + 1)


def _paired(client: Client, home: Path, person: str) -> ConfirmedDevice:
    pairing = client.pairings.create(person, person.title())

    async def enroll() -> None:
        async with SoftwareDevice(home) as device:
            await device.enroll(pairing.url)

    asyncio.run(enroll())
    return client.pairings.confirm(pairing)
