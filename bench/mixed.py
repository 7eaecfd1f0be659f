"""A request on four channels of which one provider is down and one is slow: who is not held up?"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bench.load import quantile
from bench.people import Asked, Phone
from bench.pushing import ARRIVAL_SECONDS, ArrivalError, epoch_of_counter
from bench.report import Figures, Row, at_most
from bench.sockets import arrived, listening, request_of
from bench.standins import pushed_request
from quorumkey.protocol import ApnsAddress, FcmAddress, NoPushAddress, PushAddress, WebPushAddress
from quorumkey_relay.standins import apns_token, fcm_token

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from bench.pushing import Pushing
    from bench.sizes import Sizes
    from bench.sockets import Listener
    from bench.standins import StandIns

#: Bound of the specification: every healthy channel, from the creation on.

HEALTHY_MS: Final = 100.0

#: How many of the fifty devices are reached how.
DEVICES: Final[Mapping[str, int]] = {"apns": 13, "fcm": 13, "webpush": 12, "websocket": 12}

SLOW_SECONDS: Final = 5.0
#: Between two requests; nobody waits for what became of the one before.
PAUSE_SECONDS: Final = 0.2

_POLL_SECONDS: Final = 0.05
_MS: Final = 1e3
_HALF: Final = 0.5
_P99: Final = 0.99


@dataclass(frozen=True, slots=True)
class Trouble:
    """Which provider is down, and which is slow."""

    down: str
    slow: str

    @property
    def healthy(self) -> tuple[str, ...]:
        """Return the providers that work."""
        return tuple(name for name in DEVICES if name not in {self.down, self.slow, "websocket"})

    @property
    def label(self) -> str:
        """Return what the table says."""
        return f"50 devices, {self.down} down, {self.slow} slow: to the healthy"


TROUBLES: Final = (Trouble(down="fcm", slow="webpush"), Trouble(down="apns", slow="fcm"))


async def measure_mixed(pushing: Pushing, sizes: Sizes) -> list[Row]:
    """Time how fast the healthy channels deliver; the bound is on the slowest hundredth."""
    # New ones, of whom nothing is asked yet that a new socket would show.
    phones = await pushing.account.enroll(
        pushing.load, sum(DEVICES.values()), audience=pushing.server.url
    )
    addresses = dict(zip(phones, _addresses(pushing.stands), strict=True))
    await pushing.account.address(pushing.load, addresses)
    connected = phones[-DEVICES["websocket"] :]
    rows: list[Row] = []
    async with listening(connected, pushing.server) as listeners:
        for trouble in TROUBLES:
            figures = Figures()
            for _ in range(sizes.rounds):
                delays = await _round(pushing, trouble, phones, listeners, sizes.mixed)
                figures.add("p50", quantile(delays, _HALF) * _MS)
                figures.add("p99", quantile(delays, _P99) * _MS)
            samples = f"{sizes.mixed} requests"
            rows += [
                Row(trouble.label, "ms p50", figures.rounds("p50"), samples, at_most(HEALTHY_MS)),
                Row(trouble.label, "ms p99", figures.rounds("p99"), samples, at_most(HEALTHY_MS)),
            ]
    return rows


def _addresses(stands: StandIns) -> Iterator[PushAddress]:
    """Yield an address for each of the fifty devices."""
    for number in range(DEVICES["apns"]):
        yield ApnsAddress(apns_token("ok", number), stands.topic, "production")
    for number in range(DEVICES["fcm"]):
        yield FcmAddress(fcm_token("ok", number))
    for _ in range(DEVICES["webpush"]):
        made = stands.subscription()
        yield WebPushAddress(made["endpoint"], made["p256dh"], made["auth"])
    for _ in range(DEVICES["websocket"]):
        yield NoPushAddress()


async def _asking(
    stands: StandIns, channel: str, requests: Collection[str], count: int
) -> list[dict[str, Any]]:
    """Wait until so many pushes have come that ask about these requests, and return them.

    What withdraws the requests of the round before may still be on its way. Raises ArrivalError.
    """
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        every = await asyncio.to_thread(stands.received, channel)
        found = [push for push in every if push["accepted"] and pushed_request(push) in requests]
        if len(found) >= count:
            return found
        if time.monotonic() > deadline:
            message = f"{len(found)} of {count} pushes came to {channel}"
            raise ArrivalError(message)
        await asyncio.sleep(_POLL_SECONDS)


async def _round(
    pushing: Pushing,
    trouble: Trouble,
    phones: Sequence[Phone],
    listeners: Sequence[Listener],
    count: int,
) -> list[float]:
    """Create requests while two providers fail; return the delays of everything that worked."""
    stands = pushing.stands
    stands.reset()
    stands.fault(trouble.down, is_down=True)
    stands.fault(trouble.slow, delay_seconds=SLOW_SECONDS)
    since = epoch_of_counter()
    sent: dict[str, float] = {}
    asked: list[Asked] = []
    for _ in range(count):
        burst = await pushing.load.run([pushing.account.asks([phones], required=1)])
        asked.append(Asked.read(burst.succeeded()[0]))
        sent[asked[-1].request_id] = burst.sent[0]
        await asyncio.sleep(PAUSE_SECONDS)
    await arrived(listeners, count)
    delays = [
        came - sent[request_of(text)]
        for listener in listeners
        for came, text in listener.challenges
    ]
    for channel in trouble.healthy:
        pushes = await _asking(stands, channel, sent, count * DEVICES[channel])
        delays += [push["at"] - since - sent[pushed_request(push)] for push in pushes]
    stands.fault(trouble.down, is_down=False)
    stands.fault(trouble.slow, delay_seconds=0)
    (await pushing.load.run([pushing.account.cancels(each) for each in asked])).succeeded()
    for listener in listeners:
        listener.challenges.clear()
    return delays
