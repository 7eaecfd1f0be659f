"""Pushes as a relay makes them: a request is created, its outbox sends, a provider accepts."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench import servers
from bench.fan_out import Sender, sender
from bench.load import connected, quantile
from bench.people import Account, Asked, Phone
from bench.report import Figures, Row, at_least, at_most
from bench.sizes import PACE_PER_SECOND
from bench.standins import StandIns, stand_ins
from quorumkey.protocol import ApnsAddress
from quorumkey_relay.standins import apns_token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from bench.load import Load
    from bench.servers import Cores, Server
    from bench.sizes import Sizes

#: Bounds of the specification.
STORED_OF_AIOAPNS: Final = 2.0
ACCEPTED_P50_MS: Final = 15.0

#: The protocol's limits: approvers of a request, and of a group.
REQUEST_DEVICES: Final = 200
GROUP_DEVICES: Final = 50

#: Devices that each request names while the way of a push is timed, and who they are taken from.
SEATS: Final = 6
PACED_PHONES: Final = 60

#: Requests of earlier rounds are left open.
_MANY_PENDING: Final = {"QUORUMKEY_RELAY_MAX_PENDING_PER_DEVICE": "1000000"}

ARRIVAL_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.02
_SETTLE_SECONDS: Final = 0.5
_MS: Final = 1e3
_THOUSAND: Final = 1e3
_HALF: Final = 0.5
_P99: Final = 0.99


class ArrivalError(Exception):
    """Not everything that was due came."""


@dataclass(frozen=True, slots=True)
class Pushing:
    """A relay with its integrator and phones, the stand-ins that it pushes to, and a bare sender.

    ``bare`` is aioapns, which pushes to the same stand-ins from the relay's core.
    """

    server: Server
    stands: StandIns
    load: Load
    account: Account
    phones: Sequence[Phone]
    bare: Sender


@asynccontextmanager
async def pushing(folder: Path, cores: Cores) -> AsyncGenerator[Pushing, None]:
    """Run everything; 200 phones are enrolled and want to be woken through Apple."""
    data_dir = folder / "pushing"
    account = Account(servers.initialise(data_dir))
    with ExitStack() as stack:
        stands = stack.enter_context(stand_ins(folder / "stand-ins", core=cores.load))
        settings = servers.RAISED | _MANY_PENDING | stands.settings
        server = stack.enter_context(servers.relay(data_dir, cores, settings))
        bare = stack.enter_context(sender("aioapns", folder, stands, core=cores.server))
        async with connected(server.port) as load:
            phones = await account.enroll(load, REQUEST_DEVICES, audience=server.url)
            topic = stands.topic
            await account.address(
                load,
                {
                    phone: ApnsAddress(apns_token("ok", phone.number), topic, "production")
                    for phone in phones
                },
            )
            yield Pushing(server, stands, load, account, phones, bare)


async def measure_stored(pushing: Pushing, sizes: Sizes) -> list[Row]:
    """Count pushes per second of the relay's processor time, against bare aioapns.

    A round is requests of 200 devices each, made through the API: the relay's time covers their
    creation, the commit of 200 deliveries each, signing the challenges, the worker, the channel
    and settling.
    """
    figures = Figures()
    await _stored_round(pushing, sizes, Figures())
    for _ in range(sizes.rounds):
        await _stored_round(pushing, sizes, figures)
    count = f"{sizes.fan_outs_stored * REQUEST_DEVICES:,} pushes"
    ratios = figures.ratios("bare", "relay")
    label = "request → outbox → APNs"
    return [
        Row(label, "/s", figures.rounds("rate"), count),
        Row(label, "core s/1,000", figures.rounds("relay"), count),
        Row("APNs by bare aioapns, same rounds", "core s/1,000", figures.rounds("bare"), count),
        Row(label, "x aioapns per core s", ratios, "", at_least(STORED_OF_AIOAPNS)),
    ]


async def _stored_round(pushing: Pushing, sizes: Sizes, figures: Figures) -> None:
    pushes = sizes.fan_outs_stored * REQUEST_DEVICES
    figures.add("bare", pushing.bare.push(pushes).cpu_seconds / pushes * _THOUSAND)
    pushing.stands.reset()
    groups = [
        pushing.phones[start : start + GROUP_DEVICES]
        for start in range(0, REQUEST_DEVICES, GROUP_DEVICES)
    ]
    calls = [pushing.account.asks(groups, required=2) for _ in range(sizes.fan_outs_stored)]
    spent, started = pushing.server.cpu_seconds(), time.time()
    burst = await pushing.load.run(calls)
    asked = [Asked.read(body) for body in burst.succeeded()]
    received = await arrived(pushing.stands, "apns", pushes)
    # The last of them are still being settled.
    await asyncio.sleep(_SETTLE_SECONDS)
    spent = pushing.server.cpu_seconds() - spent
    last = max(push["at"] for push in received)
    figures.add("rate", pushes / (last - started))
    figures.add("relay", spent / pushes * _THOUSAND)
    await pushing.account.all_accepted(pushing.load, asked, REQUEST_DEVICES)


async def measure_accepted(pushing: Pushing, sizes: Sizes) -> list[Row]:
    """Time the way from sending a creation to the provider's acceptance, at a steady pace."""
    figures = Figures()
    await _accepted_round(pushing, sizes.paced_pushes)
    for _ in range(sizes.rounds):
        delays = await _accepted_round(pushing, sizes.paced_pushes)
        figures.add("p50", quantile(delays, _HALF) * _MS)
        figures.add("p99", quantile(delays, _P99) * _MS)
    samples = f"{sizes.paced_pushes} creations, {sizes.paced_pushes * SEATS} pushes"
    label = f"creation → provider accepted, {PACE_PER_SECOND}/s"
    return [
        Row(label, "ms p50", figures.rounds("p50"), samples, at_most(ACCEPTED_P50_MS)),
        Row(label, "ms p99", figures.rounds("p99"), samples),
    ]


async def _accepted_round(pushing: Pushing, count: int) -> list[float]:
    """Name six devices each time; return every push's delay in seconds."""
    pushing.stands.reset()
    phones = pushing.phones[:PACED_PHONES]
    calls = [
        pushing.account.asks(
            [
                [phones[(number * SEATS + seat + member) % len(phones)] for member in range(2)]
                for seat in range(0, SEATS, 2)
            ],
            required=2,
        )
        for number in range(count)
    ]
    since = epoch_of_counter()
    bursts = await pushing.load.pace(calls, PACE_PER_SECOND)
    received = await arrived(pushing.stands, "apns", count * SEATS)
    sent = {Asked.read(burst.succeeded()[0]).request_id: since + burst.sent[0] for burst in bursts}
    return [push["at"] - sent[push["collapse_id"]] for push in received]


def epoch_of_counter() -> float:
    """Return when ``time.perf_counter`` was 0, in seconds since the epoch."""
    return time.time() - time.perf_counter()


async def arrived(stands: StandIns, channel: str, count: int) -> list[dict[str, Any]]:
    """Wait until a provider has accepted so many pushes; return them. Raises ArrivalError."""
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while (came := await asyncio.to_thread(stands.accepted, channel)) < count:
        if time.monotonic() > deadline:
            message = f"{came} of {count} pushes came to {channel}"
            raise ArrivalError(message)
        await asyncio.sleep(_POLL_SECONDS)
    return await asyncio.to_thread(stands.received, channel)
