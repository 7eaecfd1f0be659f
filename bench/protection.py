"""Protected methods: questions over HTTP against the echo, claims, a guard."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final, NamedTuple

from bench import servers
from bench.load import Load, LoadError, connected
from bench.people import Account, Asked, call, redirected
from bench.report import Figures, Row, at_least
from quorumkey.protection import Caller, Guard, Method, UnsafeTrustRelay
from quorumkey_relay.usecases.protection.waiting import MAX_PENDING_PER_CALLER

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.people import Phone
    from bench.servers import Cores, Server
    from bench.sizes import Sizes

#: Bounds of the specification: shares of the echo's rate, calls a second.
UNPROTECTED_OF_ECHO: Final = 0.5
CONDITION_OF_ECHO: Final = 0.4
CLAIM_OF_ECHO: Final = 0.25
IN_PROCESS: Final = 50_000.0

FREE: Final = "RenameHost"
CONDITIONAL: Final = "CreateRule"
ALWAYS: Final = "KillProcessOnHostsWithTag"
SERVICE: Final = "workshop"
METHODS: Final = (
    Method(FREE),
    Method(CONDITIONAL, kind="default", default_condition='request.rule.tag == "global"'),
    Method(ALWAYS, kind="default"),
)
CALLER: Final = Caller("person", "person-0", "Person 0")
ADMINISTRATORS: Final = 2

#: Beside what every relay of the benchmark has raised: two devices approve everything here.
_SETTINGS: Final = {
    **servers.RAISED,
    "QUORUMKEY_RELAY_RATE_PROTECTION": "100000000",
}
_US: Final = 1e6
_CHUNK: Final = 5_000


async def measure_protection(folder: Path, cores: Cores, sizes: Sizes) -> list[Row]:
    """Measure a relay whose integrator has protected methods, and a guard beside it."""
    data_dir = folder / "protection"
    account = Account(servers.initialise(data_dir))
    async with AsyncExitStack() as stack:
        relay = stack.enter_context(servers.relay(data_dir, cores, _SETTINGS))
        baseline = stack.enter_context(servers.target("baseline", folder, cores))
        asking = await stack.enter_async_context(connected(relay.port))
        echo = await stack.enter_async_context(connected(baseline.port))
        phones = await _set_up(data_dir, account, asking, relay)
        gated = Gated(account, phones[1], Target(relay, asking), Target(baseline, echo))
        rows = await gated.measure(sizes)
        rows.append(await _in_process(relay, account, sizes))
    return rows


class Target(NamedTuple):
    """A server, and the connections to it."""

    server: Server
    load: Load


class Gated:
    """The rounds of questions; each alternates between the kinds of them and their echoes."""

    def __init__(self, account: Account, phone: Phone, relay: Target, echo: Target) -> None:
        """Ask this relay, and have this phone approve."""
        self._account = account
        self._phone = phone
        self._relay = relay
        self._echo = echo
        self._figures = Figures()
        self._made = 0

    async def measure(self, sizes: Sizes) -> list[Row]:
        """Measure every round and return the rows."""
        for number in range(sizes.rounds + 1):
            if number == 1:  # what came before was for warming up
                self._figures = Figures()
            free = [
                self._check(FREE, {"host": n, "name": f"host-{n}"}) for n in range(sizes.checks)
            ]
            rule = {"rule": {"tag": "staging", "match": "nginx", "hosts": ["a", "b", "c"]}}
            conditional = [self._check(CONDITIONAL, rule) for _ in range(sizes.checks)]
            claims = await self._approved(sizes.claims)
            kinds = (
                ("unprotected", free, "proceed"),
                ("condition", conditional, "proceed"),
                ("claim", claims, "run"),
            )
            start = number % len(kinds)
            for name, calls, verdict in (*kinds[start:], *kinds[:start]):
                echoed = redirected(calls, "/echo") * sizes.echoes
                await self._timed(f"{name} echo", self._echo, echoed)
                _all(await self._timed(name, self._relay, calls), verdict)
        return self._rows(sizes)

    async def _timed(self, name: str, target: Target, calls: Sequence[bytes]) -> list[bytes]:
        """Send the calls and take the figures."""
        spent = target.server.cpu_seconds()
        burst = await target.load.run(calls)
        spent = target.server.cpu_seconds() - spent
        self._figures.add(name, burst.rate)
        self._figures.add(f"{name} cpu", spent / len(calls) * _US)
        return burst.succeeded()

    def _rows(self, sizes: Sizes) -> list[Row]:
        rows: list[Row] = []
        for name, label, bound, count in (
            ("unprotected", "check, unprotected", UNPROTECTED_OF_ECHO, sizes.checks),
            ("condition", "check, CEL condition", CONDITION_OF_ECHO, sizes.checks),
            ("claim", "check that claims", CLAIM_OF_ECHO, sizes.claims),
        ):
            samples = f"{count:,} calls"
            rates = self._figures.rounds(name)
            shares = self._figures.ratios(name, f"{name} echo")
            rows.append(Row(label, "/s", rates, samples))
            rows.append(Row(label, "x echo", shares, samples, at_least(bound)))
            rows.append(Row(label, "µs", self._figures.rounds(f"{name} cpu"), samples))
            echoed = self._figures.rounds(f"{name} echo cpu")
            rows.append(Row(f"echo of: {label}", "µs", echoed, samples))
        return rows

    def _check(self, method: str, request: Mapping[str, object]) -> bytes:
        self._made += 1
        body = {
            "method": method,
            "caller": CALLER.to_json(),
            "request": {"json": request},
            "claim_key": f"{self._made:032x}",
        }
        encoded = json.dumps(body, separators=(",", ":")).encode()
        return call("POST", "/v1/protection/check", encoded, token=self._account.token)

    async def _approved(self, count: int) -> list[bytes]:
        """Have so many calls approved; return the calls that will claim them."""
        calls: list[bytes] = []
        while (left := count - len(calls)) > 0:
            calls += await self._wave(min(left, MAX_PENDING_PER_CALLER))
        return calls

    async def _wave(self, count: int) -> list[bytes]:
        """Have as many calls approved as one caller may have waiting at a time."""
        requests = [{"tag": "staging", "number": self._made + n} for n in range(count)]
        opened = await self._relay.load.run([self._check(ALWAYS, request) for request in requests])
        waiting = [json.loads(answer) for answer in opened.succeeded()]
        read = await self._relay.load.run(
            [self._account.reads(each["transaction"]["txid"]) for each in waiting]
        )
        asked = map(Asked.read, read.succeeded())
        (await self._relay.load.run([self._phone.approval(each) for each in asked])).succeeded()
        return [self._check(ALWAYS, request) for request in requests]


def _all(answers: Sequence[bytes], verdict: str) -> None:
    said = b'"verdict":"%b"' % verdict.encode()
    other = next((answer for answer in answers if said not in answer), None)
    if other is not None:
        message = f"a call was not answered with {verdict}: {other[:300]!r}"
        raise LoadError(message)


async def _set_up(data_dir: Path, account: Account, load: Load, relay: Server) -> list[Phone]:
    """Enrol two administrators, register the methods and turn protection on."""
    phones = await account.enroll(load, ADMINISTRATORS, audience=relay.url)
    catalogue = {"service": SERVICE, "methods": [method.to_json() for method in METHODS]}
    body = json.dumps(catalogue).encode()
    put = call("PUT", "/v1/protection/catalogue", body, token=account.token)
    (await load.run([put])).succeeded()
    for phone in phones:
        _operate(data_dir, "admins", "add", f"person-{phone.number}")
    _operate(data_dir, "protection", "enable")
    # The relay hears of what the command line did within moments.
    async with _guard(relay, account) as guard:
        while guard.local(ALWAYS, CALLER) is not None:
            await guard.reach((guard.revision or 0) + 1)
    return phones


def _operate(data_dir: Path, *arguments: str) -> None:
    command = (sys.executable, "-m", "quorumkey_relay", *arguments, "--data-dir", str(data_dir))
    subprocess.run(command, check=True, capture_output=True)  # noqa: S603 - our own program


def _guard(relay: Server, account: Account) -> Guard:
    return Guard(
        relay.url,
        account.token,
        service=SERVICE,
        methods=METHODS,
        administrators=UnsafeTrustRelay(),
    )


async def _in_process(relay: Server, account: Account, sizes: Sizes) -> Row:
    """Check unprotected calls with a guard, which asks nobody."""
    rates: list[float] = []
    request = {"host": 1, "name": "host-1"}
    async with _guard(relay, account) as guard:
        for _ in range(sizes.rounds):
            seconds = 0.0
            for _ in range(0, sizes.local_checks, _CHUNK):
                await guard.reach(guard.revision or 0)
                started = time.perf_counter()
                for _ in range(_CHUNK):
                    await guard.check(FREE, CALLER, request)
                seconds += time.perf_counter() - started
            rates.append(sizes.local_checks / seconds)
    samples = f"{sizes.local_checks:,} checks"
    return Row("guard in process, unprotected", "/s", tuple(rates), samples, at_least(IN_PROCESS))
