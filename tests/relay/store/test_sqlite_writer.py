"""Group commit: many commits share a transaction, and a lock is waited for."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import ended, event, furnish, happened
from tests.relay.simulator import ACME

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.sqlite import SqliteStore, hot, writer
from quorumkey_relay.store.writes import AppendEvent, PutIntegrator, PutSuccession

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


@contextmanager
def locked(backend: SqliteBackend) -> Generator[sqlite3.Connection, None, None]:
    """Meanwhile another connection holds the write lock, unless it lets go itself."""
    other = sqlite3.connect(backend.folder / "relay.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield other
    finally:
        other.close()


async def test_commits_of_one_turn_share_a_transaction(store: SqliteStore) -> None:
    """Two hundred commits that are ready together cost one sync."""
    await asyncio.gather(*(store.commit(happened(event())) for _ in range(200)))

    assert (200, 1) == (store.counters.commits, store.counters.transactions)


async def test_a_transaction_holds_a_bounded_number_of_commits(store: SqliteStore) -> None:
    """What does not fit into one batch follows in the next."""
    count = writer.MAX_BATCH_COMMITS + 1

    await asyncio.gather(*(store.commit(happened(event())) for _ in range(count)))

    assert (count, 2) == (store.counters.commits, store.counters.transactions)


async def test_what_comes_during_a_sync_is_the_next_batch(store: SqliteStore) -> None:
    """While one transaction waits for the disk, the next gathers."""
    heard: list[Commit] = []
    store.subscribe(heard.append)
    first = asyncio.ensure_future(store.commit(happened(event())))
    await asyncio.sleep(0)  # the batch of the first commit has left
    rest = [asyncio.ensure_future(store.commit(happened(event()))) for _ in range(10)]

    await asyncio.gather(first, *rest)

    assert (11, 2, 11) == (store.counters.commits, store.counters.transactions, len(heard))


async def test_transactions_are_observed(backend: SqliteBackend) -> None:
    """Whoever watches is told of each transaction's size and time."""
    seen: list[tuple[int, bool]] = []
    store = SqliteStore(
        backend.folder,
        vault=backend.vault,
        clock=backend.clock,
        on_transaction=lambda commits, seconds: seen.append((commits, seconds >= 0)),
    )
    await store.start()

    await asyncio.gather(*(store.commit(happened(event())) for _ in range(3)))

    await store.close()
    assert [(3, True)] == seen


async def test_one_bad_commit_takes_its_batch_along(store: SqliteStore) -> None:
    """A statement that the database refuses fails the batch, and nothing of it is there."""
    succession = PutSuccession(b"{}", "ab" * 32, 0)
    await store.commit((succession,))
    record = event()

    outcomes = await asyncio.gather(
        store.commit(happened(record)), store.commit((succession,)), return_exceptions=True
    )

    assert [StoreUnavailable] * 2 == [type(outcome) for outcome in outcomes]
    assert None is await store.event(record.id)


async def test_a_locked_database_is_waited_for(backend: SqliteBackend, store: SqliteStore) -> None:
    """A commit waits for another process's transaction, while the event loop goes on."""
    record = event()
    with locked(backend) as other:
        waiting = asyncio.ensure_future(store.commit(happened(record)))
        for _ in range(3):
            await asyncio.sleep(0)
        still = waiting.done()
        other.execute("ROLLBACK")
        await waiting

    assert (False, record) == (still, await store.event(record.id))


async def test_a_database_that_stays_locked_is_unavailable(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting has an end, and then the commit is refused and did not happen."""
    monkeypatch.setattr(writer, "MAX_BUSY_SECONDS", -1)
    with locked(backend), pytest.raises(StoreUnavailable, match="locked"):
        await store.commit((PutIntegrator(ACME),))

    assert None is store.directory.integrator(ACME.id)


async def test_a_caller_that_gives_up_does_not_take_the_commit_back(store: SqliteStore) -> None:
    """Cancelling the wait for a commit leaves the commit and the others of its batch alone."""
    mine, other = event(), event()
    waiting = asyncio.ensure_future(store.commit(happened(mine)))
    durable = store.commit(happened(other))
    waiting.cancel()

    await durable

    assert [mine, other] == [await store.event(mine.id), await store.event(other.id)]


async def test_a_failure_nobody_waits_for_is_no_leak(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A commit that was not awaited may fail without anybody's complaint."""
    with backend.unwritable():
        store.commit(happened(event()))
        with pytest.raises(StoreUnavailable):
            await store.settled()


async def test_callers_are_answered_even_when_recovery_breaks(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever goes wrong in reading everything again, who waits is told that it failed."""
    caught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: caught.append(context["exception"])
    )
    broken = RuntimeError("no such luck")

    def fail(_: SqliteStore) -> None:
        raise broken

    with monkeypatch.context() as patched, backend.unwritable():
        patched.setattr(SqliteStore, "_read_all", fail)
        with pytest.raises(StoreUnavailable):
            await store.commit(happened(event()))

    assert [broken] == caught


async def test_an_end_that_left_memory_before_it_was_durable_is_waited_for(
    store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many requests end at once, each is loaded as finished, never as still open."""
    monkeypatch.setattr(hot, "RECENT_REQUESTS", 1)
    house = await furnish(store, "alice")
    first, second = await house.open("alice"), await house.open("alice")
    for stored in (first, second):
        store.commit(ended(stored))

    loaded = await house.load(first)

    assert Status.CANCELLED == loaded.state.status


async def test_a_listener_that_raises_keeps_nobody_from_an_answer(store: SqliteStore) -> None:
    """Whoever waits for a durable commit is told, and so are the other listeners."""
    caught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: caught.append(context["exception"])
    )
    broken = OSError("nobody reads the log")
    heard: list[Commit] = []

    def fail(_: Commit) -> None:
        raise broken

    store.subscribe(fail)
    store.subscribe(heard.append)
    commits = [happened(event()) for _ in range(2)]

    await asyncio.gather(*map(store.commit, commits))

    assert (commits, [broken] * 2) == (heard, caught)


async def test_a_value_that_no_row_can_hold_fails_its_batch(store: SqliteStore) -> None:
    """What the driver refuses before the database sees it is a refusal like any other."""
    with pytest.raises(StoreUnavailable, match="too large"):
        await store.commit((AppendEvent(event(created_at=2**63)),))
    record = event()
    await store.commit(happened(record))

    assert record == await store.event(record.id)


async def test_waiting_is_no_commit(store: SqliteStore) -> None:
    """Who only waits until all is durable is not counted, nor a transaction of nothing else."""
    waiting = asyncio.ensure_future(store.commit(happened(event())))
    await asyncio.sleep(0)

    await asyncio.gather(store.settled(), store.settled())
    await waiting

    assert (1, 1) == (store.counters.commits, store.counters.transactions)


async def test_a_listener_may_commit(store: SqliteStore) -> None:
    """A commit that a listener makes when it hears of another is committed after it."""
    answers: list[asyncio.Future[None]] = []
    first, second, third = event(), event(), event()

    def answer(commit: Commit) -> None:
        if commit == happened(first):
            answers.extend(
                asyncio.ensure_future(store.commit(happened(record))) for record in (second, third)
            )

    store.subscribe(answer)
    await store.commit(happened(first))
    await asyncio.gather(*answers)

    found = await store.events(integrator_id=ACME.id, after=None, limit=10)
    assert [first, second, third] == found
