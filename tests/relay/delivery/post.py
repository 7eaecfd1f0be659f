"""A channel that tests look into, and the outbox around it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

from tests.contract.material import RELAY, fingerprint, furnish, request
from tests.relay.simulator import START

from quorumkey.protocol import ApnsAddress, strict_json
from quorumkey_relay.delivery.addresses import Addresses
from quorumkey_relay.delivery.challenges import Challenges
from quorumkey_relay.delivery.channel import Accepted
from quorumkey_relay.delivery.plan import LEASE_SECONDS
from quorumkey_relay.delivery.worker import Worker
from quorumkey_relay.identity.relaykeys import RelayKeys
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.observe.alarms import Alarms
from quorumkey_relay.observe.metrics import Metrics
from quorumkey_relay.store.writes import OpenRequest, PutDelivery, PutDevice

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend

    from quorumkey.protocol import PushAddress
    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.records import Delivery, Stored
    from quorumkey_relay.store.sqlite import SqliteStore
    from quorumkey_relay.store.writes import Commit


class Post:
    """A channel that remembers what it was given, and answers as told."""

    def __init__(self, name: str = "post", outcome: Outcome | None = None) -> None:
        self.name = name
        self.outcome = outcome or Accepted()
        self.next_outcomes: list[Outcome] = []
        self.sent: list[str] = []
        self.messages: list[Message] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.hold: asyncio.Event | None = None
        self.held_lanes: set[str] = set()
        self.breaks = 0
        self.begun = asyncio.Event()

    def lane(self, address: PushAddress | None) -> str:
        """One lane for each of Apple's environments, one for all that has none."""
        if isinstance(address, ApnsAddress):
            return f"{self.name}/{address.environment}"
        return self.name

    async def close(self) -> None:
        """Nothing to let go of."""

    async def send(self, message: Message) -> Outcome:
        """Take a message."""
        if self.breaks:
            self.breaks -= 1
            bug = "a bug of a channel"
            raise RuntimeError(bug)
        self.sent.append(message.delivery.id)
        self.messages.append(message)
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        self.begun.set()
        held = not self.held_lanes or self.lane(message.address) in self.held_lanes
        if self.hold is not None and held:
            await self.hold.wait()
        self.in_flight -= 1
        return self.next_outcomes.pop(0) if self.next_outcomes else self.outcome


def work(
    backend: SqliteBackend,
    store: SqliteStore,
    *channels: Post,
    alarms: Alarms | None = None,
    metrics: Metrics | None = None,
) -> Worker:
    """A worker on a store."""
    worker = Worker(
        store=store,
        clock=backend.clock,
        mint=SystemMint(),
        challenges=Challenges(RelayKeys(RELAY), store),
        addresses=Addresses(backend.vault),
        channels=channels,
        alarms=alarms or Alarms(),
        meter=(metrics or Metrics()).deliveries,
    )
    store.subscribe(worker.heard)
    return worker


def iphone(token: str, environment: Literal["production", "sandbox"] = "production") -> ApnsAddress:
    """An address of Apple's."""
    return ApnsAddress(token, "com.example.approve", environment)


async def addressed(
    backend: SqliteBackend,
    store: SqliteStore,
    name: str,
    address: PushAddress,
    *,
    at: int = START,
) -> Device:
    """Give a device a push address."""
    device = replace(
        known(store, name),
        push_channel=address.channel,
        push=backend.vault.seal(strict_json.dumps(address.to_json())),
        push_set_at=at,
        push_faults=0,
    )
    await store.commit((PutDevice(device),))
    return device


def known(store: SqliteStore, name: str) -> Device:
    """A device as the store knows it now."""
    device = store.directory.device(fingerprint(name))
    assert device is not None
    return device


async def asked(store: SqliteStore, *names: str) -> Stored:
    """A request that names devices."""
    await furnish(store, *names)
    stored = request(" ".join(names))
    await store.commit((OpenRequest(stored),))
    return stored


async def queue(store: SqliteStore, *deliveries: Delivery) -> None:
    """Plan deliveries, as the commit of a request does: they are this process's at once."""
    leased = (replace(one, leased_until=one.next_at + LEASE_SECONDS) for one in deliveries)
    await store.commit(tuple(PutDelivery(one) for one in leased))


async def leave(store: SqliteStore, *deliveries: Delivery) -> None:
    """Leave deliveries in the outbox, as a process that has ended."""
    await store.commit(tuple(PutDelivery(one) for one in deliveries))


async def again(backend: SqliteBackend, worker: Worker, seconds: int = LEASE_SECONDS) -> None:
    """Let time pass and scan."""
    backend.clock.advance(seconds)
    await worker.scan()
    await worker.rest()


async def log(store: SqliteStore, stored: Stored) -> list[Delivery]:
    """The delivery log of a request."""
    return list(await store.deliveries(stored.terms.request_id))


def accepted(store: SqliteStore, count: int) -> asyncio.Event:
    """Set once so many deliveries were settled as accepted."""
    done = asyncio.Event()
    seen = 0

    def heard(commit: Commit) -> None:
        nonlocal seen
        for write in commit:
            if isinstance(write, PutDelivery) and write.delivery.state == "accepted":
                seen += 1
        if seen == count:
            done.set()

    store.subscribe(heard)
    return done
