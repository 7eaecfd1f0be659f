"""The outbox worker: sends, settles, tries again, and sends again after a crash."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import counted, delivery, ended, fingerprint, furnish, request
from tests.relay.delivery.post import Post, asked, leave, log, queue, work
from tests.relay.simulator import START

from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Outcome, Retry
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import OpenRequest

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.records import Delivery, Stored
    from quorumkey_relay.store.sqlite import SqliteStore
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


async def test_what_is_queued_is_sent_once_it_is_durable(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """The hot path: a commit that plans a delivery hands it over."""
    stored, post = await asked(store, "alice"), Post()
    worker = work(backend, store, post)
    planned = delivery(stored, "alice", channel="post")

    await queue(store, planned)
    await worker.rest()

    assert [planned.id] == post.sent
    assert [replace(planned, state="accepted", attempts=1)] == await log(store, stored)
    assert 0 == worker.depth


async def test_a_message_carries_the_devices_challenge(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Each device gets the challenge that names it."""
    stored, post = await asked(store, "alice", "bob"), Post()
    worker = work(backend, store, post)

    await queue(store, *(delivery(stored, name, channel="post") for name in ("alice", "bob")))
    await worker.rest()

    assert [
        message.challenge is not None and fingerprint(name).encode() in message.challenge.payload
        for name, message in zip(("alice", "bob"), post.messages, strict=True)
    ] == [True, True]


async def test_what_is_left_behind_is_found(backend: SqliteBackend, store: SqliteStore) -> None:
    """The recovery path: what a process before left queued is sent by a scan."""
    stored, post = await asked(store, "alice"), Post()
    planned = delivery(stored, "alice", channel="post")
    await leave(store, planned)
    worker = work(backend, store, post)

    found = await worker.scan()
    await worker.rest()

    assert (1, [planned.id]) == (found, post.sent)


async def test_who_dies_before_settling_sends_again(backend: SqliteBackend) -> None:
    """At least once: after a crash between sending and settling, the same id is sent again."""
    async with backend.open() as store:
        stored, post = await asked(store, "alice"), Post()
        planned = delivery(stored, "alice", channel="post")
        await leave(store, planned)
        worker = work(backend, store, post)

        def dies(writes: Commit) -> Awaitable[None]:
            raise StoreUnavailable(str(len(writes)))

        store.commit = dies  # type: ignore[method-assign]  # the process ends here
        await worker.scan()
        await worker.rest()
    async with backend.open() as store:
        await store.release_leases()
        worker = work(backend, store, post)
        await worker.scan()
        await worker.rest()

        assert [planned.id] * 2 == post.sent
        assert ["accepted"] == [one.state for one in await log(store, stored)]


async def test_what_is_in_flight_is_not_taken_twice(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """While a send has not been settled, neither scan nor commit takes the delivery again."""
    stored, post = await asked(store, "alice"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    planned = delivery(stored, "alice", channel="post")
    await queue(store, planned)
    await post.begun.wait()

    await worker.scan()
    await queue(store, planned)
    depth = worker.depth
    post.hold.set()
    await worker.rest()

    assert (1, [planned.id]) == (depth, post.sent)


# What becomes of a try


async def settled(
    backend: SqliteBackend, store: SqliteStore, outcome: Outcome
) -> tuple[Delivery, Delivery]:
    """A delivery before and after a try with an outcome."""
    stored, post = await asked(store, "alice"), Post(outcome=outcome)
    worker = work(backend, store, post)
    planned = delivery(stored, "alice", channel="post")
    await queue(store, planned)
    await worker.rest()
    (found,) = await log(store, stored)
    return planned, found


@pytest.mark.parametrize(
    ("outcome", "state", "reason"),
    [
        (Accepted(), "accepted", None),
        (Accepted("sent"), "sent", None),
        (Gone(START, "uninstalled"), "dropped", "uninstalled"),
    ],
)
async def test_a_try_that_settles(
    backend: SqliteBackend, store: SqliteStore, outcome: Outcome, state: str, reason: str | None
) -> None:
    """What was taken or cannot be taken is not tried again."""
    before, after = await settled(backend, store, outcome)

    assert (state, reason, 1) == (after.state, after.reason, after.attempts)
    assert before.next_at == after.next_at


async def test_a_try_that_is_repeated(backend: SqliteBackend, store: SqliteStore) -> None:
    """A provider's own waiting time is a floor, and the delivery stays queued."""
    _, after = await settled(backend, store, Retry(17, "busy"))

    assert ("queued", "busy", 1, START + 17) == (
        after.state,
        after.reason,
        after.attempts,
        after.next_at,
    )


async def test_a_try_that_cannot_be_repeated_in_time(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Where the next try would come after the request's end, the delivery has failed."""
    _, after = await settled(backend, store, Retry(300, "busy"))

    assert ("failed", "busy") == (after.state, after.reason)


async def test_our_own_mistake_is_tried_again_later(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Wrong settings are nobody's address: the delivery waits for half a minute."""
    _, after = await settled(backend, store, Misconfigured("no credentials"))

    assert ("queued", "no_credentials", START + 30) == (after.state, after.reason, after.next_at)


async def test_a_retry_does_not_wait_for_a_clock_that_was_set_back(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An hour that comes twice is not waited for twice."""
    stored, post = await asked(store, "alice"), Post()
    post.next_outcomes = [Retry(5, "busy")]
    monkeypatch.setattr(backend.clock, "monotonic", lambda: float(START))
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="post"))
    await worker.rest()
    backend.clock.advance(-3_600)
    await worker.scan()
    await worker.rest()

    (found,) = await log(store, stored)
    assert ("accepted", 2) == (found.state, found.attempts)


async def test_a_retry_waits_for_its_time(backend: SqliteBackend, store: SqliteStore) -> None:
    """Before its time a scan passes it over, at its time it is sent."""
    stored, post = await asked(store, "alice"), Post(outcome=Retry(17))
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="post"))
    await worker.rest()
    backend.clock.advance(16)
    early = await worker.scan()
    backend.clock.advance(1)
    post.outcome = Accepted()

    due = await worker.scan()
    await worker.rest()

    (found,) = await log(store, stored)
    assert (0, 1, "accepted", 2) == (early, due, found.state, found.attempts)


# What is not sent


async def dropped(
    backend: SqliteBackend, store: SqliteStore, stored: Stored
) -> tuple[list[str], str, str | None]:
    """What a worker does with a delivery of a request now."""
    post = Post()
    worker = work(backend, store, post)
    await worker.scan()
    await worker.rest()
    (found,) = await log(store, stored)
    return post.sent, found.state, found.reason


async def test_what_comes_too_late_is_dropped(backend: SqliteBackend, store: SqliteStore) -> None:
    """After ``not_after`` nobody is woken."""
    stored = await asked(store, "alice")
    await leave(store, delivery(stored, "alice", channel="post"))
    backend.clock.advance(300)

    assert ([], "dropped", "too_late") == await dropped(backend, store, stored)


async def test_what_is_about_a_finished_request_is_dropped(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Once the request has ended, its messages are of no use."""
    stored = await asked(store, "alice")
    await leave(store, delivery(stored, "alice", channel="post"))
    await store.commit(ended(stored))

    assert ([], "dropped", "request_finished") == await dropped(backend, store, stored)


async def test_who_has_decided_is_not_woken(backend: SqliteBackend, store: SqliteStore) -> None:
    """A request that goes on without the device has nothing more to ask of it."""
    await furnish(store, "alice", "bob")
    stored = request("alice", "bob", required=2)
    await store.commit((OpenRequest(stored),))
    await leave(store, delivery(stored, "alice", channel="post"))
    await store.commit(counted(stored, "alice"))

    assert ([], "dropped", "already_decided") == await dropped(backend, store, stored)


async def test_what_is_for_an_unpaired_device_is_dropped(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A device that is not the integrator's any more is not told of its requests."""
    stored = await asked(store, "alice")
    await leave(store, delivery(stored, "alice", channel="post"))
    known = store.directory.device(fingerprint("alice"))
    assert known is not None
    backend.revoke(known, at=START)
    backend.follow(store)

    assert ([], "dropped", "unpaired") == await dropped(backend, store, stored)


async def test_a_channel_that_is_not_served_waits(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A delivery of a channel that this process does not serve stays in the outbox."""
    stored, post = await asked(store, "alice"), Post()
    worker = work(backend, store, post)
    planned = delivery(stored, "alice", channel="pigeon")

    await leave(store, planned)
    await worker.scan()
    await worker.rest()

    (found,) = await log(store, stored)
    assert ([], "queued", None) == (post.sent, found.state, found.reason)
