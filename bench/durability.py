"""How durable what was measured is: SQLite's settings, and the syncs that the process made."""

from __future__ import annotations

import asyncio
import re
import shutil
import signal
from dataclasses import dataclass
from subprocess import DEVNULL
from typing import TYPE_CHECKING, Final

from bench.load import Load, connected
from bench.people import Account, Asked, Phone, call
from quorumkey_relay.store.sqlite.schema import connect

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.servers import Server

SYNCHRONOUS: Final = ("OFF", "NORMAL", "FULL", "EXTRA")
_SYNC_CALLS: Final = ("fsync", "fdatasync")
_ATTACH_SECONDS: Final = 1.0
_COMMITS: Final = "quorumkey_store_commits_total"
_TRANSACTIONS: Final = "quorumkey_store_transaction_seconds_count"


@dataclass(frozen=True, slots=True)
class Counters:
    """What the store counted since the relay started."""

    commits: int
    transactions: int

    @classmethod
    async def read(cls, load: Load) -> Counters:
        """Read them from /metrics."""
        (page,) = (await load.run([call("GET", "/metrics")])).succeeded()
        found = dict(re.findall(r"^(\w+) ([0-9.]+)$", page.decode(), re.MULTILINE))
        return cls(int(float(found[_COMMITS])), int(float(found[_TRANSACTIONS])))

    def since(self, earlier: Counters) -> Counters:
        """Return what was counted after ``earlier``."""
        return Counters(self.commits - earlier.commits, self.transactions - earlier.transactions)


def pragmas(data_dir: Path) -> dict[str, str]:
    """Return the durability settings of a connection as the store makes every one of them."""
    connection = connect(data_dir, read_only=True)
    try:
        (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
        (journal_mode,) = connection.execute("PRAGMA journal_mode").fetchone()
    finally:
        connection.close()
    return {"synchronous": SYNCHRONOUS[synchronous], "journal_mode": journal_mode}


async def describe(
    server: Server, data_dir: Path, account: Account, phones: Sequence[Phone], creations: int
) -> list[str]:
    """Count commits, transactions and syncs over some creations and a decision on each."""
    set_to = pragmas(data_dir)
    async with connected(server.port) as load:
        seats = [phones[number % len(phones)] for number in range(creations)]
        creating = [account.asks([[phone]], required=1) for phone in seats]
        before = await Counters.read(load)
        syncs = await _traced(server, load, creating, seats, data_dir.with_suffix(".strace"))
        counted = (await Counters.read(load)).since(before)
    settings = ", ".join(f"{name} = {value}" for name, value in set_to.items())
    work = f"{creations:,} creations and as many decisions, 64 at a time"
    done = f"{counted.commits:,} commits in {counted.transactions:,} transactions"
    return [f"PRAGMA {settings}", f"{work}: {done} (from /metrics); {syncs}"]


async def _traced(
    server: Server, load: Load, creating: Sequence[bytes], seats: Sequence[Phone], path: Path
) -> str:
    """Do the work under ``strace``, where there is one; say what it counted."""
    strace = shutil.which("strace")
    if strace is None:
        await _work(load, creating, seats)
        return "strace is not installed, so the syncs themselves were not counted"
    options = ("-c", "-f", "-e", "trace=" + ",".join(_SYNC_CALLS), "-o", str(path))
    tracer = await asyncio.create_subprocess_exec(
        strace, *options, "-p", str(server.pid), stdout=DEVNULL, stderr=DEVNULL
    )
    await asyncio.sleep(_ATTACH_SECONDS)
    await _work(load, creating, seats)
    if tracer.returncode is None:
        tracer.send_signal(signal.SIGINT)
    await tracer.wait()
    calls = _calls(path)
    if not calls:
        return "strace may not trace here, so the syncs themselves were not counted"
    return " and ".join(f"{number:,} {name}" for name, number in calls.items()) + " (strace)"


async def _work(load: Load, creating: Sequence[bytes], seats: Sequence[Phone]) -> None:
    asked = [Asked.read(body) for body in (await load.run(creating)).succeeded()]
    decisions = [phone.approval(each) for phone, each in zip(seats, asked, strict=True)]
    (await load.run(decisions)).succeeded()


def _calls(path: Path) -> dict[str, int]:
    """Read the table of ``strace -c``: the fourth column counts, the last one names."""
    if not path.exists():
        return {}
    rows = (line.split() for line in path.read_text(encoding="utf-8").splitlines())
    return {row[-1]: int(row[3]) for row in rows if len(row) > 1 and row[-1] in _SYNC_CALLS}
