"""Webhook deliveries per second to one receiver, from the ends of requests to their answers."""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Final

from bench import servers
from bench.load import connected
from bench.people import Account, Asked, Phone, call
from bench.report import Figures, Row, at_least
from quorumkey_relay.standins import credentials

if TYPE_CHECKING:
    from pathlib import Path

    from bench.load import Load
    from bench.servers import Cores
    from bench.sizes import Sizes

#: Bound of the specification.
DELIVERIES_PER_SECOND: Final = 1_000.0

#: Devices that the requests name in turn, as few as there may be many requests at a time.
PHONES: Final = 100

ARRIVAL_SECONDS: Final = 60.0
_POLL_SECONDS: Final = 0.05
_THOUSAND: Final = 1e3


class WebhookError(Exception):
    """Not every event came to the receiver."""


async def measure_webhooks(folder: Path, cores: Cores, sizes: Sizes) -> list[Row]:
    """End requests as fast as the relay ends them, and count what a receiver is told.

    Every request is cancelled, which makes one event each. The time is from the first
    cancellation that was sent to the last event that came: ending the requests is in it.
    """
    figures = Figures()
    files = credentials.Files(folder)
    credentials.prepare(files)
    data_dir = folder / "webhooks"
    account = Account(servers.initialise(data_dir))
    settings = servers.RAISED | {
        "QUORUMKEY_RELAY_CA_FILE": str(files.ca_file),
        "QUORUMKEY_RELAY_UNSAFE_EGRESS_HOSTS": "localhost",
    }
    command = (sys.executable, "-m", "bench.receiver", str(files.server_file))
    log = folder / "receiver.log"
    with (
        servers.running(command, log, core=cores.load, settings={}) as (_, said),
        servers.relay(data_dir, cores, settings) as server,
    ):
        async with connected(server.port) as load:
            phones = await account.enroll(load, PHONES, audience=server.url)
            body = json.dumps({"url": said["url"], "events": ["mpa.cancelled"]}).encode()
            hook = call("POST", "/v1/webhooks", body, token=account.token)
            (await load.run([hook])).succeeded()
            came = 0
            for turn in range(sizes.rounds + 1):  # the first is for warming up
                calls = await _asked(load, account, phones, sizes.webhook_events)
                spent, started = server.cpu_seconds(), time.time()
                (await load.run(calls)).succeeded()
                came += len(calls)
                last = await _told(said["url"], files.ca_file, came)
                if turn:
                    figures.add("rate", len(calls) / (last - started))
                    spent = server.cpu_seconds() - spent
                    figures.add("cpu", spent / len(calls) * _THOUSAND)
    samples = f"{sizes.webhook_events:,} events"
    label = "request ended → webhook delivered"
    bound = at_least(DELIVERIES_PER_SECOND)
    return [
        Row(label, "/s", figures.rounds("rate"), samples, bound),
        Row(label, "core s/1,000", figures.rounds("cpu"), samples),
    ]


async def _asked(load: Load, account: Account, phones: list[Phone], count: int) -> list[bytes]:
    """Create requests; return the calls that cancel them."""
    asked = await load.run(
        [account.asks([[phones[n % len(phones)]]], required=1) for n in range(count)]
    )
    return [account.cancels(Asked.read(body)) for body in asked.succeeded()]


async def _told(url: str, root: Path, count: int) -> float:
    """Wait until so many events have come; return when the last did. Raises WebhookError."""
    context = ssl.create_default_context(cafile=root)
    deadline = time.monotonic() + ARRIVAL_SECONDS
    while True:
        tally = await asyncio.to_thread(_tally, url, context)
        if tally["events"] >= count:
            return float(tally["last"])
        if time.monotonic() > deadline:
            message = f"{tally['events']} of {count} events came"
            raise WebhookError(message)
        await asyncio.sleep(_POLL_SECONDS)


def _tally(url: str, context: ssl.SSLContext) -> dict[str, Any]:
    with urllib.request.urlopen(url, context=context) as answer:  # noqa: S310 - on loopback
        found: dict[str, Any] = json.loads(answer.read())
    return found
