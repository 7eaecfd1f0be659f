"""Pushes per second and per second of the sender's processor time, ours against other libraries.

Each sender is a process of its own on one core, the stand-ins are one on another. They are pure
Python, so they, not the sender, may be what bounds pushes per second: what is judged is the
processor time that a sender needs for its part.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench import servers
from bench.report import Figures, Row, at_least
from bench.standins import StandIns, stand_ins

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Generator, Mapping
    from pathlib import Path

    from bench.servers import Cores
    from bench.sizes import Sizes

#: Bounds of the specification: pushes per second of processor time, ours over theirs.
OF_AIOAPNS: Final = 4.0
OF_PYFCM: Final = 10.0

#: Senders by the name that the table gives them, in the order of the rounds.
SENDERS: Final[Mapping[str, str]] = {
    "apns": "APNs fan-out, ours",
    "aioapns": "APNs fan-out, aioapns",
    "httpx": "APNs fan-out, httpx[http2]",
    "fcm": "FCM fan-out, ours",
    "pyfcm": "FCM fan-out, pyfcm notify",
    "pyfcm-async": "FCM fan-out, pyfcm async",
}

#: Ours, another's, and the bound: APNs and FCM each against the library that it replaces.
COMPARED: Final = (
    ("apns", "aioapns", at_least(OF_AIOAPNS)),
    ("apns", "httpx", None),
    ("fcm", "pyfcm", at_least(OF_PYFCM)),
    ("fcm", "pyfcm-async", at_least(OF_PYFCM)),
)

#: Senders that need some milliseconds for a push.
SLOW: Final = frozenset({"httpx", "pyfcm", "pyfcm-async"})

#: Parts of a round in which each sender has its turn, so that all meet the machine as it is.
SLICES: Final = 5

_THOUSAND: Final = 1_000


class SenderError(Exception):
    """A sender ended in the middle of its work."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What a number of pushes took a sender: time, and processor time of all its threads."""

    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class Sender:
    """A running process of `bench.pushers`."""

    process: subprocess.Popen[bytes]

    def push(self, pushes: int) -> Cost:
        """Have it send, one kind of message to the stand-ins; raises SenderError."""
        if self.process.stdin is None or self.process.stdout is None:
            raise SenderError(self.process.args)
        self.process.stdin.write(b"%d\n" % pushes)
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SenderError(self.process.args)
        said = json.loads(line)
        return Cost(said["seconds"], said["cpu_seconds"])


@contextmanager
def sender(
    kind: str, folder: Path, stands: StandIns, *, core: int
) -> Generator[Sender, None, None]:
    """Run a sender for as long as the context lasts."""
    command = (sys.executable, "-m", "bench.pushers", kind)
    data_dir = folder / f"{kind}-data"  # for what a channel keeps over a restart
    data_dir.mkdir(mode=0o700, exist_ok=True)
    settings = stands.settings | {"QUORUMKEY_RELAY_DATA_DIR": str(data_dir)}
    log = folder / f"{kind}.log"
    with servers.running(command, log, core=core, settings=settings) as (process, _):
        yield Sender(process)


def measure_fan_out(folder: Path, cores: Cores, sizes: Sizes) -> list[Row]:
    """Let every sender push in turn, round after round; return the rows."""
    figures = Figures()
    with ExitStack() as stack:
        stands = stack.enter_context(stand_ins(folder / "fan-out", core=cores.server))
        senders = {
            kind: stack.enter_context(sender(kind, folder, stands, core=cores.load))
            for kind in SENDERS
        }
        for turn in range(sizes.rounds):
            costs: dict[str, list[Cost]] = {kind: [] for kind in senders}
            for part in range(SLICES):
                for kind in sorted(senders, reverse=bool((turn + part) % 2)):
                    costs[kind].append(senders[kind].push(count(kind, sizes) // SLICES))
                stands.reset()
            for kind, spent in costs.items():
                pushes = count(kind, sizes) // SLICES * SLICES
                seconds = sum(cost.seconds for cost in spent)
                cpu_seconds = sum(cost.cpu_seconds for cost in spent)
                figures.add(f"{kind} rate", pushes / seconds)
                figures.add(f"{kind} cpu", cpu_seconds / pushes * _THOUSAND)
    return _rows(figures, sizes)


def count(kind: str, sizes: Sizes) -> int:
    """Return how many pushes a round of a sender has."""
    return sizes.slow_pushes if kind in SLOW else sizes.pushes


def _rows(figures: Figures, sizes: Sizes) -> list[Row]:
    rows: list[Row] = []
    for kind, label in SENDERS.items():
        samples = f"{count(kind, sizes):,} pushes"
        rows.append(Row(label, "/s", figures.rounds(f"{kind} rate"), samples))
        rows.append(Row(label, "core s/1,000", figures.rounds(f"{kind} cpu"), samples))
    for ours, other, bound in COMPARED:
        name = SENDERS[other].partition(", ")[2]
        ratios = figures.ratios(f"{other} cpu", f"{ours} cpu")
        rows.append(Row(SENDERS[ours], f"x {name} per core s", ratios, "", bound))
    return rows
