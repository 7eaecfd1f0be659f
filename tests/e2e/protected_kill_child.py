"""A relay that dies at an operation of its store: the process that a test starts and kills.

The process prepares a data directory, and for each line of its input it forks: the fork opens a
copy as a real relay, plays a client, and kills itself with SIGKILL before or after the operation of
the database that the line names. What the client was answered is in the copy's journal by then.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import traceback
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast
from unittest.mock import patch

from tests.relay.protection.workshop import TAGGED, Workshop, workshop
from tests.relay.simulator import ACME, granted

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import RESULT_WITHIN_SECONDS, Caller
from quorumkey_relay.store.sqlite import schema
from quorumkey_relay.store.sqlite import store as store_module
from quorumkey_relay.usecases.protection.actor import Actor
from quorumkey_relay.usecases.protection.commands import ResultBody, SettingsBody
from quorumkey_relay.usecases.protection.views import RunView, WaitView

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

    from tests.relay.simulator import SimDevice

    from quorumkey_relay.usecases.protection.views import ClaimView

JOURNAL: Final = "journal"
CLAIM_KEY: Final = "a-claim-key-of-this-service"
RAISED: Final = 3


@dataclass
class Fuse:
    """Counts what the store does from ``lit`` on, and kills the process at a number."""

    kill_at: int | None
    lit: bool = False
    count: int = 0

    def burn(self) -> None:
        """One place more at which the process may die."""
        if not self.lit:
            return
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


class FusedConnection:
    """The connection that the store writes by; before and after each operation it may end."""

    def __init__(self, connection: sqlite3.Connection, fuse: Fuse) -> None:
        self._connection = connection
        self._fuse = fuse

    def execute(self, sql: str, values: Sequence[Any] = ()) -> sqlite3.Cursor:
        """Run a statement, ``COMMIT`` too."""
        self._fuse.burn()
        cursor = self._connection.execute(sql, values)
        self._fuse.burn()
        return cursor

    def executemany(self, sql: str, values: list[Sequence[Any]]) -> sqlite3.Cursor:
        """Run a statement for several rows."""
        self._fuse.burn()
        cursor = self._connection.executemany(sql, values)
        self._fuse.burn()
        return cursor

    @property
    def in_transaction(self) -> bool:
        """As the connection says."""
        return self._connection.in_transaction

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def fused(fuse: Fuse) -> Callable[..., sqlite3.Connection]:
    """What the store opens its connections by."""

    def connect(data_dir: Path, *, read_only: bool = False) -> sqlite3.Connection:
        connection = schema.connect(data_dir, read_only=read_only)
        if read_only:
            return connection
        return cast("sqlite3.Connection", FusedConnection(connection, fuse))

    return connect


class Journal:
    """What the client was answered, in a file that outlives the process."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / JOURNAL

    def write(self, said: str, **members: str) -> None:
        """Remember an answer, at once."""
        with self._file.open("ab", buffering=0) as file:
            file.write(json.dumps({"said": said, **members}).encode() + b"\n")

    def read(self) -> list[dict[str, str]]:
        """Every answer so far."""
        if not self._file.exists():
            return []
        return [json.loads(line) for line in self._file.read_bytes().splitlines()]

    def last(self, said: str) -> dict[str, str] | None:
        """The newest answer of a kind."""
        return next((one for one in reversed(self.read()) if one["said"] == said), None)


# What the clients do; each goes on from whatever it was answered before.


async def approve(shop: Workshop, journal: Journal, txid: str, by: str = "bob") -> None:
    """Another administrator approves."""
    journal.write("wait", txid=txid)
    await granted(shop.vote(by, txid))
    journal.write("approved", txid=txid)


async def service(shop: Workshop, journal: Journal) -> None:
    """A service runs a protected call, once, and says what became of it."""
    run = journal.last("run")
    if run is None:
        run = await claimed_call(shop, journal)
    if journal.last("settled") is None:
        await settle(shop, journal, run["claim_id"])
    again = await granted(shop.check(shop.body(key="another-claim-key-of-it")))
    assert isinstance(again, WaitView), again
    journal.write("again", txid=again.transaction.txid)


async def claimed_call(shop: Workshop, journal: Journal) -> dict[str, str]:
    """Call until the call may run."""
    body = shop.body(request=TAGGED, key=CLAIM_KEY)
    verdict = await granted(shop.check(body))
    if isinstance(verdict, WaitView):
        await approve(shop, journal, verdict.transaction.txid)
        verdict = await granted(shop.check(body))
    assert isinstance(verdict, RunView), verdict
    return ran(journal, verdict.claim)


def ran(journal: Journal, claim: ClaimView) -> dict[str, str]:
    """What was approved is done, under a claim."""
    journal.write("run", claim_id=claim.claim_id, txid=claim.txid)
    return {"claim_id": claim.claim_id, "txid": claim.txid}


async def settle(shop: Workshop, journal: Journal, claim_id: str) -> None:
    """Say that it went well."""
    use = shop.sim.use.protection
    await granted(use.settle(integrator_id=ACME.id, claim_id=claim_id, body=ResultBody("ok")))
    journal.write("settled", claim_id=claim_id)


async def losing(shop: Workshop, journal: Journal) -> None:
    """The approver loses the role before the call runs, so somebody else has to approve."""
    body = shop.body(request=TAGGED, key=CLAIM_KEY)
    run = journal.last("run")
    if run is None:
        verdict = await granted(shop.check(body))
        if isinstance(verdict, WaitView) and shop.protection.is_administrator("bob"):
            await approve(shop, journal, verdict.transaction.txid)
            await shop.dismiss("bob")
            verdict = await granted(shop.check(body))
        if isinstance(verdict, WaitView):
            await approve(shop, journal, verdict.transaction.txid, "carol")
            verdict = await granted(shop.check(body))
        assert isinstance(verdict, RunView), verdict
        run = ran(journal, verdict.claim)
    if journal.last("settled") is None:
        await settle(shop, journal, run["claim_id"])


async def silent(shop: Workshop, journal: Journal) -> None:
    """A service runs a protected call and never says what became of it."""
    if journal.last("run") is None:
        await claimed_call(shop, journal)
    shop.sim.clock.advance(RESULT_WITHIN_SECONDS)
    await shop.sim.relay.protection.sweeper.sweep()
    journal.write("unknown")


async def governing(shop: Workshop, journal: Journal) -> None:
    """An administrator has the relay change its own settings, once."""
    settings = shop.sim.use.protection.govern.settings
    alice = Actor(
        integrator=ACME,
        caller=Caller("person", "alice", "Alice"),
        device=shop.devices["alice"].fingerprint,
    )
    known = await granted(settings.read(alice))
    while known.settings.required != RAISED:
        done = await settings.set(alice, SettingsBody(required=RAISED))
        if isinstance(done, Refusal):
            await approve(shop, journal, str((done.details or {})["txid"]))
        else:
            journal.write("effect", txid=done.txid or "")
        known = await granted(settings.read(alice))


async def integrator(shop: Workshop, journal: Journal) -> None:
    """An integrator asks for an approval, claims it and says what became of it."""
    sim = shop.sim
    asked = journal.last("asked")
    if asked is None:
        made = await sim.ask([shop.devices["bob"]])
        asked = {"txid": made.id}
        journal.write("asked", **asked)
    run = journal.last("run")
    if run is None:
        await approve(shop, journal, asked["txid"])
        claim = await granted(
            sim.use.protection.claim_request(
                integrator_id=ACME.id, request_id=asked["txid"], claim_key=CLAIM_KEY
            )
        )
        run = ran(journal, claim)
    if journal.last("settled") is None:
        await settle(shop, journal, run["claim_id"])


CLIENTS: Final[dict[str, Callable[[Workshop, Journal], Awaitable[None]]]] = {
    "service": service,
    "losing": losing,
    "silent": silent,
    "governing": governing,
    "integrator": integrator,
}


@asynccontextmanager
async def opened(folder: Path, devices: dict[str, SimDevice]) -> AsyncGenerator[Workshop, None]:
    """A relay on a copy of the directory."""
    async with workshop(folder) as shop:
        shop.devices.update(devices)
        yield shop


async def play(client: str, folder: Path, fuse: Fuse, devices: dict[str, SimDevice]) -> None:
    """One life of a relay and its client, until the client has done what it wanted."""
    async with opened(folder, devices) as shop:
        fuse.lit = True
        await CLIENTS[client](shop, Journal(folder))
        fuse.lit = False


async def prepare(folder: Path) -> dict[str, SimDevice]:
    """A relay with protection on and administrators; answers their devices."""
    async with workshop(folder) as shop:
        return dict(shop.devices)


def fork(order: dict[str, Any], base: Path, devices: dict[str, SimDevice]) -> str:
    """Have a process of its own live once; answers how it ended."""
    folder = Path(order["folder"])
    if not folder.exists():
        shutil.copytree(base, folder)
    child = os.fork()
    if child == 0:
        fuse = Fuse(order["kill_at"])
        try:
            with patch.object(store_module, "connect", fused(fuse)):
                asyncio.run(play(order["client"], folder, fuse, devices))
        except BaseException:  # noqa: BLE001 - nothing may get out into the parent's own work
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return "done" if os.WEXITSTATUS(status) == 0 else "failed"


def main() -> None:
    """Serve orders until the input ends."""
    base = Path(sys.argv[1])
    # What relays log goes elsewhere than the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    devices = asyncio.run(prepare(base))
    for line in sys.stdin:
        answers.write(fork(json.loads(line), base, devices) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
