"""A store that cannot write or read says so, and forgets what did not happen."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    MINT,
    admission,
    after,
    counted,
    ended,
    event,
    fingerprint,
    furnish,
    happened,
    pairing,
    pending_count,
    request,
)
from tests.relay.simulator import ACME, START

from quorumkey_relay.store.protocol import Conflict, Store, StoreUnavailable
from quorumkey_relay.store.writes import OpenRequest, PutPairing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contract.backends import Backend

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

READS: dict[str, Callable[[Store, str], Awaitable[object]]] = {
    "load": lambda store, request_id: store.load(request_id),
    "summary": lambda store, request_id: store.summary(request_id),
    "evidence": lambda store, request_id: store.evidence(request_id),
    "deliveries": lambda store, request_id: store.deliveries(request_id),
    "settled": lambda store, _: store.settled(),
}


async def test_a_commit_that_cannot_be_written_is_refused(backend: Backend, store: Store) -> None:
    """On a full disk a commit raises, and leaves nothing in memory."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob", required=2)
    before = stored.state
    invitation, opened = pairing("carol", spent=False), request("alice")
    commit: Commit = (
        *counted(stored, "alice"),
        *admission("carol"),
        PutPairing(invitation),
        OpenRequest(opened),
    )

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(commit)

    directory = store.directory
    assert (before, None, None, None, 1) == (
        (await house.load(stored)).state,
        directory.device(fingerprint("carol")),
        directory.pairing_by_code(invitation.code_digest),
        await store.load(opened.terms.request_id),
        pending_count(store, fingerprint("alice")),
    )


async def test_a_finished_request_is_open_again(backend: Backend, store: Store) -> None:
    """An end that could not be written did not happen: the request is pending as before."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(ended(stored))

    assert [stored.terms.request_id] == [one.terms.request_id for one in store.pending()]


async def test_what_was_decided_on_top_fails_too(backend: Backend, store: Store) -> None:
    """A commit that builds on one that fails is refused with it."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob", required=2)

    with backend.unwritable():
        commits = [asyncio.ensure_future(store.commit(counted(stored, "alice")))]
        commits.append(asyncio.ensure_future(store.commit(counted(stored, "bob"))))
        outcomes = await asyncio.gather(*commits, return_exceptions=True)

    assert [StoreUnavailable] * 2 == [type(outcome) for outcome in outcomes]


async def test_listeners_hear_nothing_of_what_failed(backend: Backend, store: Store) -> None:
    """Only what is durable is news."""
    heard: list[Commit] = []
    store.subscribe(heard.append)

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(happened(event()))

    assert [] == heard


async def test_a_state_from_before_the_failure_is_a_conflict(
    backend: Backend, store: Store
) -> None:
    """Who decided on what did not happen has to load again."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob", required=2)
    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(counted(stored, "alice"))

    with pytest.raises(Conflict):
        await store.commit(counted(stored, "bob"))

    writes = counted(await house.load(stored), "bob")
    await store.commit(writes)
    assert after(writes) == (await house.load(stored)).state


async def test_a_store_that_can_be_written_again_goes_on(backend: Backend, store: Store) -> None:
    """After a failure the next commit works, and only it is there after a restart."""
    house = await furnish(store, "alice")
    lost, kept = event(), event()
    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(happened(lost))

    await store.commit(happened(kept))

    assert (None, kept) == (await store.event(lost.id), await store.event(kept.id))
    assert 0 == len(list(house.store.pending()))


async def test_a_check_that_cannot_be_written_fails(backend: Backend, store: Store) -> None:
    """The check finds a full disk before a caller does."""
    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.check()

    assert "backend" in await store.check()


@pytest.mark.parametrize("read", list(READS))
async def test_nothing_is_read_while_memory_is_not_the_disk(
    backend: Backend, store: Store, read: str
) -> None:
    """After a failure that cannot be recovered from yet, reads are refused, not answered wrong."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")

    with backend.unreachable():
        with pytest.raises(StoreUnavailable):
            await store.commit(ended(stored))
        with pytest.raises(StoreUnavailable):
            await READS[read](store, stored.terms.request_id)

    await READS[read](store, stored.terms.request_id)


async def test_nothing_is_decided_while_memory_is_not_the_disk(
    backend: Backend, store: Store
) -> None:
    """After a failure that cannot be recovered from yet, every commit is refused."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    writes = ended(stored)

    with backend.unreachable():
        for _ in range(2):
            with pytest.raises(StoreUnavailable):
                await store.commit(writes)

    assert "pending" == (await house.load(stored)).state.status


async def test_a_store_that_is_reachable_again_knows_everything(
    backend: Backend, store: Store
) -> None:
    """Recovery gives back the directory, the open requests, and the numbers of new ones."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    with backend.unreachable(), pytest.raises(StoreUnavailable):
        await store.commit((OpenRequest(request("alice")),))

    second = await house.open("alice")

    assert (ACME, [stored, second]) == (
        store.directory.integrator(ACME.id),
        list(store.pending_for(fingerprint("alice"))),
    )


async def test_reads_that_need_no_request_work_meanwhile(backend: Backend, store: Store) -> None:
    """What can be read is read: an outage of one part is not one of all."""
    record = event()
    await store.commit(happened(record))

    with backend.unreachable():
        found = await store.event(record.id)

    assert record == found


async def test_a_change_made_elsewhere_during_a_failure_is_told(
    backend: Backend, store: Store
) -> None:
    """Recovery reads the directory again, and still tells what another process changed in it."""
    await furnish(store, "alice")
    device = store.directory.device(fingerprint("alice"))
    assert device is not None
    heard: list[tuple[str, str]] = []
    store.subscribe_changes(lambda kind, name: heard.append((kind, name)))
    backend.revoke(device, at=START + 1)
    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(happened(event()))

    backend.follow(store)

    assert [("device", fingerprint("alice"))] == heard


async def test_an_id_that_cannot_be_is_just_not_there(store: Store) -> None:
    """Reading what was never made is no failure."""
    assert (None, []) == (await store.summary("x"), list(await store.deliveries(MINT.uuid7())))
