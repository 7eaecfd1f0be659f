"""What a lane that is held back does with what waits: whose turn the next probe is, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import delivery, fingerprint
from tests.relay.delivery.post import Post, again, asked, log, queue, work
from tests.relay.simulator import START

from quorumkey_relay.delivery import circuit as circuit_module
from quorumkey_relay.delivery import lane as lane_module
from quorumkey_relay.delivery.channel import Accepted, Misconfigured

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


class _Picky(Post):
    """A provider that refuses our credentials for one device alone."""

    async def send(self, message: Message) -> Outcome:
        """Take a message."""
        await super().send(message)
        is_refused = message.delivery.device == fingerprint("alice")
        return Misconfigured("Forbidden") if is_refused else Accepted()


@pytest.mark.parametrize(("seconds_sooner", "wait_seconds"), [(0, 30), (10, 60)])
async def test_one_that_is_always_refused_is_not_every_probe(
    backend: SqliteBackend, store: SqliteStore, seconds_sooner: int, wait_seconds: int
) -> None:
    """The next probe is another message, even where the refused one has to arrive sooner."""
    stored, post = await asked(store, "alice", "bob"), _Picky()
    worker = work(backend, store, post)
    refused, good = (delivery(stored, name, channel="post") for name in ("alice", "bob"))
    sooner = replace(refused, not_after=refused.not_after - seconds_sooner)
    for one in (sooner, good):
        await queue(store, one)
        await worker.rest()
    for _ in range(wait_seconds):
        await again(backend, worker, 1)

    states = {one.device: one.state for one in await log(store, stored)}
    assert {fingerprint("alice"): "queued", fingerprint("bob"): "accepted"} == states


async def test_a_long_backlog_comes_back_in_portions(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many a second, the earliest deadline first, and none after its own deadline."""
    monkeypatch.setattr(circuit_module, "HELD_PER_SECOND", 2)
    monkeypatch.setattr(lane_module, "MAX_IN_FLIGHT", 1)
    monkeypatch.setattr(lane_module, "MAX_HELD_AT_ONCE", 2)
    names = [f"phone-{number}" for number in range(7)]
    stored, post = await asked(store, *names), Post(outcome=Misconfigured("Forbidden"))
    worker = work(backend, store, post)
    rows = [
        replace(delivery(stored, name, channel="post"), not_after=START + 33 - number)
        for number, name in enumerate(names)
    ]
    await queue(store, *rows)
    await worker.rest()

    found = {one.device: (one.state, one.next_at - START) for one in await log(store, stored)}
    in_order = [found[fingerprint(name)] for name in names]
    # The first one is in flight as soon as it is planned, and is what opens the circuit.
    assert ("queued", 30) == in_order[0]
    assert [
        ("queued", 31),
        ("queued", 30),
        ("failed", 0),
        ("failed", 0),
        ("failed", 0),
        ("failed", 0),
    ] == in_order[1:]
