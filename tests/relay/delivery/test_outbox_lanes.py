"""Lanes: each channel has its own, with a bounded number of sends in flight."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import delivery
from tests.relay.delivery.post import (
    Post,
    accepted,
    addressed,
    again,
    asked,
    iphone,
    leave,
    log,
    queue,
    work,
)
from tests.relay.simulator import START

from quorumkey_relay.delivery import lane as lane_module
from quorumkey_relay.delivery import worker as worker_module
from quorumkey_relay.delivery.eviction import SLOT_SECONDS
from quorumkey_relay.delivery.plan import LEASE_SECONDS

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
    await worker.rest()

    assert {"slow": "queued", "quick": "accepted"} == states


async def test_a_lane_has_a_bounded_number_in_flight(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others wait, the earliest deadline first."""
    monkeypatch.setattr(lane_module, "MAX_IN_FLIGHT", 1)
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
    await worker.rest()
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
    await worker.rest()
    between = {one.state: one.reason for one in await log(store, stored)}

    await again(backend, worker)

    assert {"queued": "internal_error", "accepted": None} == between
    assert ["accepted"] * 2 == [one.state for one in await log(store, stored)]
    assert ["a bug of a channel"] == caught


async def test_a_send_that_is_cancelled_is_tried_again(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A cancelled send leaves the delivery queued, and the lane goes on once the lease is over."""
    stored, post = await asked(store, "alice"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="post"))
    await post.begun.wait()
    for lane in worker.lanes:
        for task in lane.tasks():
            task.cancel()
    await worker.rest()
    post.hold.set()

    await again(backend, worker)

    assert ["accepted"] == [one.state for one in await log(store, stored)]
    assert 2 == len(post.sent)


async def test_one_environment_holds_the_other_not_up(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Provider and credential make the lane: Apple's sandbox hangs, production goes on."""
    names = ("alice", "bob", "carol")
    stored, post = await asked(store, *names), Post("apns")
    await addressed(backend, store, "alice", iphone("aa", "sandbox"))
    for name in ("bob", "carol"):
        await addressed(backend, store, name, iphone("bb"))
    post.hold, post.held_lanes = asyncio.Event(), {"apns/sandbox"}
    worker = work(backend, store, post)
    done = accepted(store, 2)
    await queue(store, *(delivery(stored, name, channel="apns") for name in names))

    await done.wait()
    states = [one.state for one in await log(store, stored)]
    lanes = {lane.name: (lane.in_flight, lane.waiting) for lane in worker.lanes}
    post.hold.set()
    await worker.rest()

    assert ["queued", "accepted", "accepted"] == states
    assert {"apns/sandbox": (1, 0), "apns/production": (0, 0)} == lanes


async def test_a_full_lane_leaves_the_rest_on_the_disk(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond its bound a lane takes nothing; the scanner brings it once there is room."""
    monkeypatch.setattr(worker_module, "MAX_LANE_JOBS", 2)
    names = ("alice", "bob", "carol", "dave")
    stored, slow, quick = await asked(store, *names), Post("slow"), Post("quick")
    slow.hold = asyncio.Event()
    worker = work(backend, store, slow, quick)
    await queue(store, *(delivery(stored, name, channel="slow") for name in names))
    await leave(store, delivery(stored, "alice", channel="quick"))
    await slow.begun.wait()

    found = await worker.scan()
    held = (worker.depth, found)
    slow.hold.set()
    await worker.rest()
    later = await worker.scan()
    await worker.rest()

    assert ((3, 1), 2) == (held, later)
    assert ["accepted"] * 5 == [one.state for one in await log(store, stored)]


async def test_a_full_process_still_serves_every_lane(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However much waits elsewhere, a lane may have its messages in flight."""
    monkeypatch.setattr(worker_module, "MAX_JOBS", 2)
    monkeypatch.setattr(worker_module, "MAX_IN_FLIGHT", 1)
    names = ("alice", "bob", "carol")
    stored, slow, quick = await asked(store, *names), Post("slow"), Post("quick")
    slow.hold = asyncio.Event()
    worker = work(backend, store, slow, quick)
    done = accepted(store, 1)
    await queue(store, *(delivery(stored, name, channel="slow") for name in names))
    await queue(store, delivery(stored, "alice", channel="quick"))
    await done.wait()

    sent = (len(slow.sent), len(quick.sent))
    slow.hold.set()
    await worker.rest()

    assert (2, 1) == sent


async def test_what_is_in_flight_beyond_its_lease_is_renewed_not_sent_twice(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """While this process still has it, a scan claims it again for the same process."""
    stored, post = await asked(store, "alice"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="post"))
    await post.begun.wait()
    backend.clock.advance(LEASE_SECONDS)

    found = await worker.scan()
    (renewed,) = await log(store, stored)
    post.hold.set()
    await worker.rest()

    assert (1, START + 2 * LEASE_SECONDS, 1) == (found, renewed.leased_until, len(post.sent))


async def test_lanes_that_nobody_uses_are_forgotten(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Push services are named by devices, so their lanes do not add up for ever."""
    monkeypatch.setattr(worker_module, "MAX_IDLE_LANES", 0)
    stored, post = await asked(store, "alice"), Post("apns")
    await addressed(backend, store, "alice", iphone("aa"))
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="apns"))
    await worker.rest()

    counts = [len(worker.lanes)]
    for seconds in (0, 300 + SLOT_SECONDS):
        backend.clock.advance(seconds)
        await worker.scan()
        counts.append(len(worker.lanes))

    assert [1, 1, 0] == counts


async def test_a_drain_ends_what_is_in_flight_and_leaves_the_rest(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What waits stays queued; nothing more is taken, from a commit or by a scan."""
    monkeypatch.setattr(lane_module, "MAX_IN_FLIGHT", 1)
    stored, post = await asked(store, "alice", "bob", "carol"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await queue(store, *(delivery(stored, name, channel="post") for name in ("alice", "bob")))
    await post.begun.wait()
    draining = asyncio.create_task(worker.drain(60))
    await asyncio.sleep(0)
    post.hold.set()

    ended = await draining
    await queue(store, delivery(stored, "carol", channel="post"))
    backend.clock.advance(LEASE_SECONDS)

    assert (True, 0, 1) == (ended, await worker.scan(), len(post.sent))
    assert ["accepted", "queued", "queued"] == sorted(one.state for one in await log(store, stored))


async def test_a_drain_cuts_off_what_takes_too_long(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Beyond the cap a send is cancelled, and its delivery stays queued."""
    stored, post = await asked(store, "alice"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="post"))
    await post.begun.wait()

    ended = await worker.drain(0)

    assert (False, ["queued"]) == (ended, [one.state for one in await log(store, stored)])
