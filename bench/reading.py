"""Status reads beside few and beside many finished requests."""

from __future__ import annotations

import random
import subprocess
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from bench import servers
from bench.load import connected
from bench.people import Account
from bench.report import Figures, Row, at_most
from bench.sizes import FEW_STORED

if TYPE_CHECKING:
    from pathlib import Path

    from bench.load import Load
    from bench.servers import Cores
    from bench.sizes import Sizes

#: Bound of the specification: time with many over time with few.
SLOWDOWN: Final = 1.5


async def measure_reads(folder: Path, cores: Cores, sizes: Sizes) -> list[Row]:
    """Read statuses from two relays that differ in nothing but how much they have stored."""
    figures = Figures()
    stores = {"few": FEW_STORED, "many": sizes.stored}
    async with AsyncExitStack() as stack:
        loads: dict[str, Load] = {}
        reads: dict[str, list[bytes]] = {}
        for name, count in stores.items():
            data_dir = folder / name
            account = Account(servers.initialise(data_dir))
            ids = _seeded(data_dir, count)
            server = stack.enter_context(servers.relay(data_dir, cores))
            loads[name] = await stack.enter_async_context(connected(server.port))
            chosen = random.Random(count).choices(ids, k=sizes.reads)  # noqa: S311 - a sample
            reads[name] = [account.reads(one) for one in chosen]
            (await loads[name].run(reads[name])).succeeded()  # warm both
        for number in range(sizes.rounds):
            for name in sorted(stores, reverse=bool(number % 2)):
                burst = await loads[name].run(reads[name])
                burst.succeeded()
                figures.add(name, burst.rate)
    samples = f"{sizes.reads:,} reads"
    label = f"status reads, {sizes.stored:,} stored"
    slower = figures.ratios("few", "many")
    return [
        Row(f"status reads, {FEW_STORED} stored", "/s", figures.rounds("few"), samples),
        Row(label, "/s", figures.rounds("many"), samples),
        Row(label, f"x time of {FEW_STORED}", slower, samples, at_most(SLOWDOWN)),
    ]


def _seeded(data_dir: Path, count: int) -> list[str]:
    """Fill a data directory in a process of its own; return the ids of the requests."""
    command = (sys.executable, "-m", "bench.seeding", str(data_dir), str(count))
    made = subprocess.run(  # noqa: S603 - our own program
        command, cwd=servers.ROOT, check=True, capture_output=True, text=True
    )
    return made.stdout.split()
