"""Creations and decisions per second, against the echo and the echo with one verification."""

from __future__ import annotations

import statistics
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

from bench.load import Burst, Load, connected, quantile
from bench.people import Account, Asked, Phone, redirected
from bench.report import Figures, Row, at_least, at_most
from bench.sizes import CROWD

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from bench.servers import Server
    from bench.sizes import Sizes

#: Bounds of the specification; shares of the baselines' rates, and milliseconds.
CREATION_OF_ECHO: Final = 0.18
DECISION_OF_ECHO: Final = 0.18
DECISION_OF_VERIFIED: Final = 0.55
DECISION_P99_MS: Final = 40.0

GROUPS: Final = 3
GROUP_SIZE: Final = 2
REQUIRED: Final = 2
_SEATS: Final = GROUPS * GROUP_SIZE
_P99: Final = 0.99
_MS: Final = 1e3
_US: Final = 1e6

ECHO: Final = "echo"
VERIFIED: Final = "verified"
CREATION: Final = "creation"
KEYED: Final = "keyed creation"
DECISION: Final = "decision"
CROWDED: Final = "crowded decision"


class Throughput:
    """The rounds of one relay and its baseline; each round alternates between them."""

    def __init__(
        self, relay: Server, baseline: Server, account: Account, phones: Sequence[Phone]
    ) -> None:
        """Measure a relay in which ``phones`` are enrolled."""
        self.figures = Figures()
        self._relay = relay
        self._baseline = baseline
        self._account = account
        self._phones = phones

    async def measure(self, sizes: Sizes) -> list[Row]:
        """Measure every round and return the rows."""
        async with AsyncExitStack() as stack:
            relay = await stack.enter_async_context(connected(self._relay.port))
            echo = await stack.enter_async_context(connected(self._baseline.port))
            for number in range(sizes.rounds + 1):
                if number == 1:  # what came before was for warming up
                    self.figures = Figures()
                await self._round(relay, echo, sizes, turn=number)
        return self._rows(sizes)

    async def _round(self, relay: Load, echo: Load, sizes: Sizes, *, turn: int) -> None:
        creations = [self._creation(number) for number in range(sizes.creations)]
        keyed = [self._creation(n, key=f"{turn}-{n}") for n in range(sizes.creations)]
        echoed = redirected(creations, "/echo") * sizes.echoes
        asked: list[Asked] = []

        async def create() -> None:
            asked.extend(map(Asked.read, await self._timed(CREATION, relay, creations)))

        async def create_keyed() -> None:
            made = await self._timed(KEYED, relay, keyed)
            (
                await relay.run([self._account.cancels(Asked.read(each)) for each in made])
            ).succeeded()

        await _in_turn(
            turn,
            lambda: self._timed(f"{ECHO} of {CREATION}", echo, echoed),
            create,
            create_keyed,
        )
        decisions = [
            *(self._seat(n, 0).approval(each) for n, each in enumerate(asked)),
            *(self._seat(n, GROUP_SIZE).approval(each) for n, each in enumerate(asked)),
        ]
        crowds = await self._crowds(relay, sizes.crowds)
        await _in_turn(
            turn,
            lambda: self._timed(ECHO, echo, redirected(decisions, "/echo") * (sizes.echoes // 2)),
            lambda: self._timed(VERIFIED, echo, redirected(decisions, "/verified")),
            lambda: self._timed(DECISION, relay, decisions),
            lambda: self._crowded(relay, crowds),
        )

    def _seat(self, number: int, seat: int) -> Phone:
        return self._phones[(number * _SEATS + seat) % len(self._phones)]

    def _creation(self, number: int, key: str | None = None) -> bytes:
        groups = [
            [self._seat(number, group * GROUP_SIZE + member) for member in range(GROUP_SIZE)]
            for group in range(GROUPS)
        ]
        return self._account.asks(groups, required=REQUIRED, key=key)

    async def _timed(
        self, name: str, load: Load, calls: Sequence[bytes], *, waves: int = 1
    ) -> list[bytes]:
        """Send the calls, in so many waves one after the other, and take the figures."""
        server = self._baseline if name.startswith((ECHO, VERIFIED)) else self._relay
        spent = server.cpu_seconds()
        size = len(calls) // waves
        bursts = [await load.run(calls[wave * size :][:size]) for wave in range(waves)]
        spent = server.cpu_seconds() - spent
        self._note(name, bursts, spent)
        return [body for burst in bursts for body in burst.succeeded()]

    def _note(self, name: str, bursts: Sequence[Burst], cpu_seconds: float) -> None:
        seconds = sum(burst.seconds for burst in bursts)
        latencies = [latency for burst in bursts for latency in burst.latencies]
        self.figures.add(f"{name} rate", len(latencies) / seconds)
        self.figures.add(f"{name} p99", quantile(latencies, _P99) * _MS)
        self.figures.add(f"{name} cpu", cpu_seconds / len(latencies) * _US)
        self.figures.add(f"{name} busy", max(burst.busy for burst in bursts))
        self.figures.add(f"{name} share", cpu_seconds / seconds)

    async def _crowds(self, relay: Load, count: int) -> list[list[bytes]]:
        """Make requests that name a crowd each; return the approvals of each and the last one.

        Thirty-two groups of two and one of one, all required: it stays open until the last.
        """
        teams: list[list[Phone]] = []
        for number in range(count):
            start = number * (CROWD + 1)
            teams.append([self._phones[(start + n) % len(self._phones)] for n in range(CROWD + 1)])
        made = await relay.run(
            [
                self._account.asks(
                    [team[n : n + GROUP_SIZE] for n in range(0, len(team), GROUP_SIZE)],
                    required=len(team) // GROUP_SIZE + 1,
                )
                for team in teams
            ]
        )
        asked = map(Asked.read, made.succeeded())
        return [
            [phone.approval(each) for phone in team]
            for team, each in zip(teams, asked, strict=True)
        ]

    async def _crowded(self, relay: Load, crowds: Sequence[Sequence[bytes]]) -> None:
        """Let each crowd answer at the same instant; then the last of it ends the request."""
        calls = [call for crowd in crowds for call in crowd[:CROWD]]
        await self._timed(CROWDED, relay, calls, waves=len(crowds))
        (await relay.run([crowd[CROWD] for crowd in crowds])).succeeded()

    def _rows(self, sizes: Sizes) -> list[Row]:
        decisions = 2 * sizes.creations
        creating = f"{sizes.creations:,} creations"
        deciding = f"{decisions:,} decisions"
        crowding = f"{sizes.crowds} x {CROWD} decisions"
        echo_of_creation = f"{ECHO} of {CREATION}"
        echoing = f"{sizes.creations * sizes.echoes:,} calls"
        return [
            self._rate("echo of a creation's body", echo_of_creation, echoing),
            self._rate("echo of a decision's body", ECHO, echoing),
            self._rate("echo + one P-256 verification", VERIFIED, f"{decisions:,} calls"),
            *self._compared("creation", CREATION, creating, echo=echo_of_creation),
            *self._compared(
                "creation with Idempotency-Key", KEYED, creating, echo=echo_of_creation
            ),
            *self._decided("decisions on different requests", DECISION, deciding),
            *self._decided("decisions of 64 on one request", CROWDED, crowding),
        ]

    def _rate(self, label: str, name: str, samples: str) -> Row:
        return Row(label, "/s", self.figures.rounds(f"{name} rate"), samples)

    def _compared(self, label: str, name: str, samples: str, *, echo: str) -> list[Row]:
        bound = at_least(CREATION_OF_ECHO)
        share = self.figures.ratios(f"{name} rate", f"{echo} rate")
        return [self._rate(label, name, samples), Row(label, "x echo", share, samples, bound)]

    def _decided(self, label: str, name: str, samples: str) -> list[Row]:
        figures = self.figures
        of_echo = figures.ratios(f"{name} rate", f"{ECHO} rate")
        of_verified = figures.ratios(f"{name} rate", f"{VERIFIED} rate")
        p99 = figures.rounds(f"{name} p99")
        return [
            self._rate(label, name, samples),
            Row(label, "x echo", of_echo, samples, at_least(DECISION_OF_ECHO)),
            Row(label, "x echo + verify", of_verified, samples, at_least(DECISION_OF_VERIFIED)),
            Row(label, "ms p99", p99, samples, at_most(DECISION_P99_MS)),
        ]

    def costs(self, sizes: Sizes) -> list[Row]:
        """Return what a call costs the server's core."""
        samples = f"{sizes.creations:,} or more calls"
        named = (
            ("core time of an echo", ECHO),
            ("core time of echo + verify", VERIFIED),
            ("core time of a creation", CREATION),
            ("core time of a decision", DECISION),
        )
        return [
            Row(label, "µs", self.figures.rounds(f"{name} cpu"), samples) for label, name in named
        ]

    @property
    def busiest(self) -> float:
        """Return the greatest share of its core that the load generator needed for the echo."""
        return max(self.figures.rounds(f"{ECHO} busy"))

    @property
    def share(self) -> float:
        """Return the share of its core that the relay had while it counted decisions."""
        return statistics.median(self.figures.rounds(f"{DECISION} share"))


async def _in_turn(turn: int, *steps: Callable[[], Awaitable[object]]) -> None:
    """Do the steps in an order that moves on by one each round."""
    start = turn % len(steps)
    for step in (*steps[start:], *steps[:start]):
        await step()
