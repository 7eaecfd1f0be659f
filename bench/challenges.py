"""The way of a challenge to connected devices, and what a device costs that only listens."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from bench import servers
from bench.load import connected, quantile
from bench.people import Account, Asked, Phone, call
from bench.report import Figures, Row, at_most
from bench.sizes import PACE_PER_SECOND
from bench.sockets import arrived, listening, request_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.load import Load
    from bench.servers import Cores, Server
    from bench.sizes import Sizes
    from bench.sockets import Listener

#: Bounds of the specification.
CHALLENGE_P50_MS: Final = 5.0
SOCKET_KB: Final = 30.0
FAN_OUT_MS: Final = 100.0

GROUP_SIZE: Final = 2
SEATS: Final = 3 * GROUP_SIZE
#: The protocol's greatest group.
FAN_OUT_GROUP: Final = 50

_SETTLE_SECONDS: Final = 1.0
_KB: Final = 1e3
_MS: Final = 1e3
_HALF: Final = 0.5
_P99: Final = 0.99


async def measure_pace(
    server: Server, account: Account, phones: Sequence[Phone], sizes: Sizes
) -> list[Row]:
    """Time the way from sending a creation to the challenge on each named device's socket."""
    figures = Figures()
    async with (
        connected(server.port) as load,
        listening(phones[: sizes.paced_phones], server) as listeners,
    ):
        for _ in range(sizes.rounds):
            delays = await _paced_round(load, account, listeners, sizes.paced)
            figures.add("p50", quantile(delays, _HALF) * _MS)
            figures.add("p99", quantile(delays, _P99) * _MS)
    samples = f"{sizes.paced} creations, {sizes.paced * SEATS} challenges"
    label = f"creation → challenge, {PACE_PER_SECOND}/s"
    return [
        Row(label, "ms p50", figures.rounds("p50"), samples, at_most(CHALLENGE_P50_MS)),
        Row(label, "ms p99", figures.rounds("p99"), samples),
    ]


async def _paced_round(
    load: Load, account: Account, listeners: Sequence[Listener], count: int
) -> list[float]:
    """Ask six of the listening devices each time; return every device's delay in seconds."""
    teams = [
        [listeners[(number * SEATS + seat) % len(listeners)] for seat in range(SEATS)]
        for number in range(count)
    ]
    due = {listener: sum(listener in team for team in teams) for listener in listeners}
    bursts = await load.pace([_asks(account, team) for team in teams], PACE_PER_SECOND)
    asked = [Asked.read(burst.succeeded()[0]) for burst in bursts]
    for listener, number in due.items():
        await arrived([listener], number)
    sent = {each.request_id: burst.sent[0] for each, burst in zip(asked, bursts, strict=True)}
    delays = [
        came - sent[request_of(text)]
        for listener in listeners
        for came, text in listener.challenges
    ]
    await _withdraw(load, account, asked, listeners)
    return delays


def _asks(account: Account, team: Sequence[Listener]) -> bytes:
    phones = [listener.phone for listener in team]
    groups = [phones[n : n + GROUP_SIZE] for n in range(0, len(phones), GROUP_SIZE)]
    return account.asks(groups, required=2)


async def _withdraw(
    load: Load, account: Account, asked: Sequence[Asked], listeners: Sequence[Listener]
) -> None:
    """Cancel requests, so that no device has too many open, and forget their challenges."""
    (await load.run([account.cancels(each) for each in asked])).succeeded()
    for listener in listeners:
        listener.challenges.clear()


async def measure_idle(
    data_dir: Path, cores: Cores, account: Account, phones: Sequence[Phone], sizes: Sizes
) -> list[Row]:
    """Measure what idle sockets cost, and how fast a challenge reaches many of them.

    Each round has a relay of its own, because a process keeps the memory of sockets that closed.
    """
    figures = Figures()
    for _ in range(sizes.rounds):
        with servers.relay(data_dir, cores) as server:
            await _idle_round(server, account, phones[: sizes.sockets], sizes, figures)
    sockets = f"{sizes.sockets:,} sockets"
    challenges = f"{sizes.fan_outs} x {sizes.fan_out} challenges"
    reaching = f"challenge to {sizes.fan_out} of {sizes.sockets:,}"
    lasts, slowest = figures.rounds("last"), figures.rounds("slowest")
    return [
        Row("idle device socket", "kB", figures.rounds("idle"), sockets, at_most(SOCKET_KB)),
        Row(reaching, "ms to the last", lasts, challenges, at_most(FAN_OUT_MS)),
        Row(reaching, "ms, slowest of all", slowest, challenges),
    ]


async def _idle_round(
    server: Server, account: Account, phones: Sequence[Phone], sizes: Sizes, figures: Figures
) -> None:
    async with connected(server.port, connections=4) as load:
        (await load.run([call("GET", "/v1/info")] * 8)).succeeded()
        await asyncio.sleep(_SETTLE_SECONDS)
        before = server.unique_bytes()
        async with listening(phones, server) as listeners:
            await asyncio.sleep(_SETTLE_SECONDS)
            grown = server.unique_bytes() - before
            figures.add("idle", grown / len(listeners) / _KB)
            # Spread over all of them, as people are over a relay.
            reached = listeners[:: len(listeners) // sizes.fan_out][: sizes.fan_out]
            lasts = [await _fan_out(load, account, reached) for _ in range(sizes.fan_outs)]
    figures.add("last", quantile(lasts, _HALF) * _MS)
    figures.add("slowest", max(lasts) * _MS)


async def _fan_out(load: Load, account: Account, reached: Sequence[Listener]) -> float:
    """Ask all of them at once; return the seconds from sending that to the last challenge."""
    phones = [listener.phone for listener in reached]
    groups = [phones[n : n + FAN_OUT_GROUP] for n in range(0, len(phones), FAN_OUT_GROUP)]
    burst = await load.run([account.asks(groups, required=1)])
    asked = Asked.read(burst.succeeded()[0])
    await arrived(reached, 1)
    last = max(listener.challenges[0][0] for listener in reached)
    await _withdraw(load, account, [asked], reached)
    return last - burst.sent[0]
