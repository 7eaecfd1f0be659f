"""Lanes: each channel has its own, with a bounded number of sends in flight."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import delivery
from tests.relay.delivery.post import Post, accepted, asked, log, queue, work
from tests.relay.simulator import START

from quorumkey_relay.delivery import worker as worker_module

if TYPE_CHECKING:
    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def test_a_slow_channel_holds_nobody_else_up(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Each channel has a lane of its own."""
    stored, slow, quick = await asked(store, "alice"), Post("slow"), Post("quick")
    slow.hold = asyncio.Event()
    worker = work(backend, store, slow, quick)
    done = accepted(store, 1)
    await queue(store, *(delivery(stored, "alice", channel=name) for name in ("slow", "quick")))

    await done.wait()
    states = {one.channel: one.state for one in await log(store, stored)}
    slow.hold.set()
    await worker.drain()

    assert {"slow": "queued", "quick": "accepted"} == states


async def test_a_lane_has_a_bounded_number_in_flight(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait, the earliest deadline first."""
    monkeypatch.setattr(worker_module, "MAX_IN_FLIGHT", 1)
    names = ("alice", "bob", "carol")
    stored, post = await asked(store, *names), Post()
    post.hold = asyncio.Event()
    work(backend, store, post)
    alice, bob, carol = (delivery(stored, name, channel="post") for name in names)
    await queue(store, alice, bob, replace(carol, not_after=START + 10))
    done = accepted(store, 3)
    post.hold.set()
    await done.wait()

    assert ([alice.id, carol.id, bob.id], 1) == (post.sent, post.most_in_flight)


async def test_the_age_of_the_oldest_is_known(backend: SqliteBackend, store: SqliteStore) -> None:
    """Operators see for how long the longest-waiting delivery has been due."""
    stored, post = await asked(store, "alice"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    ages = [worker.oldest_age()]
    await queue(store, delivery(stored, "alice", channel="post"))
    backend.clock.advance(7)
    ages.append(worker.oldest_age())
    post.hold.set()
    await worker.drain()
    ages.append(worker.oldest_age())

    assert [0.0, 7.0, 0.0] == ages


async def test_a_channel_that_breaks_is_tried_again(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What a channel raises ends neither the lane nor the delivery."""
    caught: list[str] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: caught.append(str(context["exception"]))
    )
    stored, post = await asked(store, "alice", "bob"), Post()
    post.breaks = 1
    worker = work(backend, store, post)
    await queue(store, *(delivery(stored, name, channel="post") for name in ("alice", "bob")))
    await worker.drain()
    await worker.scan()
    await worker.drain()

    assert ["accepted"] * 2 == [one.state for one in await log(store, stored)]
    assert ["a bug of a channel"] == caught


async def test_a_send_that_is_cancelled_is_tried_again(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A cancelled send leaves the delivery queued, and the lane goes on."""
    stored, post = await asked(store, "alice"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    before = asyncio.all_tasks()
    await queue(store, delivery(stored, "alice", channel="post"))
    await asyncio.sleep(0)
    for task in asyncio.all_tasks() - before:
        task.cancel()
    await worker.drain()
    await asyncio.sleep(0)  # the lane hears of it one turn later
    post.hold.set()

    await worker.scan()
    await worker.drain()

    assert ["accepted"] == [one.state for one in await log(store, stored)]
    assert 2 == len(post.sent)
