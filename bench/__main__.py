"""``python -m bench``: measure everything, print the table, write the JSON file.

Exit code 0 when every bound is met, 1 when one is missed. ``--quick`` runs everything once with
a few samples, to see that it works: it judges nothing.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import uvloop

from bench import attestation, durability, machine, one_thread, report, servers
from bench.challenges import measure_idle, measure_pace
from bench.conditions import measure_conditions
from bench.fan_out import measure_fan_out
from bench.jit import measure_jit
from bench.load import connected
from bench.mixed import measure_mixed
from bench.people import Account, Phone, call
from bench.protection import measure_protection
from bench.pushing import measure_accepted, measure_stored, pushing
from bench.reading import measure_reads
from bench.report import Row
from bench.servers import Cores
from bench.sizes import FULL, QUICK, Sizes
from bench.throughput import Throughput
from bench.webhooks import measure_webhooks

#: From here on the load generator would be what is measured.
BUSY_LIMIT: Final = 0.85

#: A relay that is asked for more than it can answer has all of its core on a quiet machine.
QUIET_SHARE: Final = 0.9

#: What can be measured alone.
PARTS: Final = ("attestation", "relay", "push", "protection", "jit")

_NULL_CALL: Final = call("POST", "/", b"{}")


class Bench:
    """One run, in a folder of its own."""

    def __init__(self, folder: Path, sizes: Sizes, cores: Cores) -> None:
        """Prepare to measure."""
        self.rows: list[Row] = []
        self.notes: list[str] = []
        self._folder = folder
        self._sizes = sizes
        self._cores = cores
        self._data_dir = folder / "relay"

    def verify_evidence(self) -> None:
        """Measure the verifiers, on this thread."""
        _progress("attestation")
        with asyncio.Runner() as runner:
            self.rows += one_thread.measure(
                attestation.candidates(runner),
                rounds=self._sizes.rounds,
                calls=self._sizes.verifications,
            )

    async def run_relay(self) -> None:
        """Measure the relay."""
        account = Account(servers.initialise(self._data_dir))
        phones = await self._enrolled(account)
        await self._ceiling()
        await self._throughput(account, phones)
        _progress("idle sockets")
        self.rows += await measure_idle(self._data_dir, self._cores, account, phones, self._sizes)
        _progress("status reads")
        self.rows += await measure_reads(self._folder, self._cores, self._sizes)

    async def push(self) -> None:
        """Measure what goes out: pushes and webhooks."""
        _progress("fan-out of pushes")
        self.rows += await asyncio.to_thread(
            measure_fan_out, self._folder, self._cores, self._sizes
        )
        async with pushing(self._folder, self._cores) as relay:
            _progress("pushes through the outbox")
            self.rows += await measure_stored(relay, self._sizes)
            _progress("creation to acceptance")
            self.rows += await measure_accepted(relay, self._sizes)
            _progress("four channels, two of them in trouble")
            self.rows += await measure_mixed(relay, self._sizes)
        _progress("webhooks")
        self.rows += await measure_webhooks(self._folder, self._cores, self._sizes)

    async def protect(self) -> None:
        """Measure protected methods."""
        _progress("protected methods")
        self.rows += await measure_protection(self._folder, self._cores, self._sizes)
        _progress("conditions")
        self.rows += measure_conditions(
            rounds=self._sizes.rounds, calls=self._sizes.conditions_evaluated
        )

    def give_access(self) -> None:
        """Measure just-in-time access, on this thread."""
        _progress("just-in-time access")
        self.rows += measure_jit(self._folder / "jit", self._sizes)

    async def _enrolled(self, account: Account) -> list[Phone]:
        _progress(f"enrolling {self._sizes.phones:,} devices")
        with servers.relay(self._data_dir, self._cores) as server:
            async with connected(server.port) as load:
                return await account.enroll(load, self._sizes.phones, audience=server.url)

    async def _ceiling(self) -> None:
        """See how much the load generator can ask for."""
        with servers.target("null", self._folder, self._cores) as server:
            async with connected(server.port) as load:
                burst = await load.run([_NULL_CALL] * self._sizes.ceiling)
        self.rows.append(
            Row(
                "ceiling of the load generator",
                "/s",
                (burst.rate,),
                f"{self._sizes.ceiling:,} calls",
            )
        )

    async def _throughput(self, account: Account, phones: list[Phone]) -> None:
        with ExitStack() as stack:
            relay = stack.enter_context(servers.relay(self._data_dir, self._cores))
            baseline = stack.enter_context(servers.target("baseline", self._folder, self._cores))
            _progress("creations and decisions")
            throughput = Throughput(relay, baseline, account, phones)
            self.rows += await throughput.measure(self._sizes)
            self.rows += throughput.costs(self._sizes)
            self._judge(throughput)
            _progress("challenges to connected devices")
            self.rows += await measure_pace(relay, account, phones, self._sizes)
            _progress("counting syncs")
            self.notes += await durability.describe(
                relay, self._data_dir, account, phones, self._sizes.traced_creations
            )

    def _judge(self, throughput: Throughput) -> None:
        """Say whether what was measured is the server: not the load generator, not others."""
        said = f"the load generator needed up to {throughput.busiest:.0%} of its core for the echo"
        if throughput.busiest > BUSY_LIMIT or self._cores.count == 1:
            said += ": IT IS THE BOTTLENECK, the echo's true rate is higher"
        self.notes.append(said)
        said = f"the relay had {throughput.share:.0%} of its core while it counted decisions"
        if throughput.share < QUIET_SHARE:
            said += ": OTHER PROGRAMS WERE RUNNING, measure again when the machine is quiet"
        self.notes.append(said)


def _progress(what: str) -> None:
    sys.stderr.write(f"  {what} …\n")


def main() -> int:
    """Run the benchmark; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a smoke run: few samples, no verdict")
    parser.add_argument("--results", type=Path, default=report.RESULTS, help="where the JSON goes")
    parser.add_argument("--only", choices=PARTS, help="measure one part")
    given = parser.parse_args()
    quick: bool = given.quick
    cores = Cores.of_machine()
    os.sched_setaffinity(0, {cores.load})
    started = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="quorumkey-bench-"))
    try:
        bench = Bench(folder, QUICK if quick else FULL, cores)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            if given.only in (None, "relay"):
                runner.run(bench.run_relay())
            if given.only in (None, "push"):
                runner.run(bench.push())
            if given.only in (None, "protection"):
                runner.run(bench.protect())
        if given.only in (None, "jit"):
            bench.give_access()
        if given.only in (None, "attestation"):
            bench.verify_evidence()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    described = machine.describe(cores)
    print("  ".join(f"{name} {value}" for name, value in described.items()))
    print(*bench.notes, "", report.table(bench.rows), "", sep="\n")
    path = report.write(given.results, bench.rows, machine=described, notes=bench.notes)
    print(f"{time.monotonic() - started:.0f} s; written to {path}")
    missed = [row for row in bench.rows if row.verdict == "MISSED"]
    return 1 if missed and not quick else 0


if __name__ == "__main__":
    sys.exit(main())
