"""A channel that tests look into, and the outbox around it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.contract.material import RELAY, furnish, request

from quorumkey_relay.delivery.challenges import Challenges
from quorumkey_relay.delivery.channel import Accepted
from quorumkey_relay.delivery.worker import Worker
from quorumkey_relay.identity.relaykeys import RelayKeys
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.writes import OpenRequest, PutDelivery

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend

    from quorumkey.protocol import Envelope, PushAddress
    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.store.records import Delivery, Stored
    from quorumkey_relay.store.sqlite import SqliteStore
    from quorumkey_relay.store.writes import Commit


class Post:
    """A channel that remembers what it was given, and answers as told."""

    def __init__(self, name: str = "post", outcome: Outcome | None = None) -> None:
        self.name = name
        self.outcome = outcome or Accepted()
        self.sent: list[str] = []
        self.challenges: list[Envelope] = []
        self.in_flight = 0
        self.most_in_flight = 0
        self.hold: asyncio.Event | None = None
        self.breaks = 0

    def lane(self, address: PushAddress | None) -> str:
        """One lane for all."""
        del address
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
        if message.challenge is not None:
            self.challenges.append(message.challenge)
        self.in_flight += 1
        self.most_in_flight = max(self.in_flight, self.most_in_flight)
        if self.hold is not None:
            await self.hold.wait()
        self.in_flight -= 1
        return self.outcome


def work(backend: SqliteBackend, store: SqliteStore, *channels: Post) -> Worker:
    """A worker on a store."""
    worker = Worker(
        store=store,
        clock=backend.clock,
        mint=SystemMint(),
        challenges=Challenges(RelayKeys(RELAY), store),
        channels=channels,
    )
    store.subscribe(worker.heard)
    return worker


async def asked(store: SqliteStore, *names: str) -> Stored:
    """A request that names devices."""
    await furnish(store, *names)
    stored = request(" ".join(names))
    await store.commit((OpenRequest(stored),))
    return stored


async def queue(store: SqliteStore, *deliveries: Delivery) -> None:
    """Put deliveries into the outbox."""
    await store.commit(tuple(PutDelivery(one) for one in deliveries))


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
