"""What a commit is: all or nothing, in order, durable, and refused on a version that moved."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    MINT,
    admission,
    after,
    api_key,
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
from tests.relay.simulator import ACME, UMBRELLA

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.protocol import Conflict, Store
from quorumkey_relay.store.writes import (
    OpenRequest,
    PutApiKey,
    PutDevice,
    PutIntegrator,
    PutPairing,
)

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


async def test_a_commit_is_there_after_a_restart(backend: Backend) -> None:
    """What a commit wrote is read by whoever opens the data next."""
    async with backend.open() as store:
        house = await furnish(store, "alice")
        stored = await house.open("alice")
    async with backend.open() as store:
        found = await store.load(stored.terms.request_id)

    assert stored == found


async def test_a_commit_is_loaded_before_it_is_durable(store: Store) -> None:
    """Who decides next sees what the commit before it did, at once."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob", required=2)
    writes = counted(stored, "alice")

    durable = asyncio.ensure_future(store.commit(writes))
    found = await house.load(stored)
    await durable

    assert after(writes) == found.state


async def test_a_moved_version_is_a_conflict(store: Store) -> None:
    """Of two commits that start from one state, the second is refused."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob", required=2)
    first, second = counted(stored, "alice"), counted(stored, "bob")
    await store.commit(first)

    with pytest.raises(Conflict):
        await store.commit(second)

    assert after(first) == (await house.load(stored)).state


async def test_a_conflict_leaves_nothing_of_the_commit(backend: Backend) -> None:
    """All writes or none: what stood beside a refused change did not happen either."""
    async with backend.open() as store:
        house = await furnish(store, "alice", "bob")
        stored = await house.open("alice", "bob", required=2)
        stale = counted(stored, "bob")
        await store.commit(counted(stored, "alice"))
        key, record = api_key("a key"), event()

        with pytest.raises(Conflict):
            await store.commit((PutApiKey(key), *happened(record), *stale))
        memory = store.directory.api_key(key.digest)
    async with backend.open() as store:
        disk = (store.directory.api_key(key.digest), await store.event(record.id))

    assert (None, (None, None)) == (memory, disk)


async def test_a_request_nobody_opened_cannot_be_advanced(store: Store) -> None:
    """A change of an unknown request is a conflict."""
    await furnish(store, "alice")

    with pytest.raises(Conflict):
        await store.commit(counted(request("alice"), "alice"))


async def test_a_finished_request_can_be_loaded(store: Store) -> None:
    """Loading works after the end too, with the state of the end."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    writes = ended(stored)
    await store.commit(writes)

    assert after(writes) == (await house.load(stored)).state


async def test_an_unknown_request_is_not_loaded(store: Store) -> None:
    """An id that was never given out loads nothing."""
    assert None is await store.load(MINT.uuid7())


async def test_listeners_hear_commits_in_order(store: Store) -> None:
    """Each listener hears each commit once, in the order in which they were made."""
    first: list[Commit] = []
    second: list[Commit] = []
    store.subscribe(first.append)
    store.subscribe(second.append)
    commits: list[Commit] = [happened(event()) for _ in range(50)]

    await asyncio.gather(*(store.commit(commit) for commit in commits))

    assert [commits, commits] == [first, second]


async def test_listeners_hear_before_the_caller_goes_on(store: Store) -> None:
    """Who awaited a commit finds that the listeners know of it."""
    heard: list[Commit] = []
    store.subscribe(heard.append)
    commit = happened(event())

    await store.commit(commit)

    assert [commit] == heard


async def test_listeners_hear_nothing_that_is_not_durable(backend: Backend) -> None:
    """What a listener hears of can be read by another process at that moment."""
    async with backend.open() as store:
        known: list[bool] = []
        record = event()

        def look(commit: Commit) -> None:
            del commit
            known.append(backend.holds_event(record.id))

        store.subscribe(look)
        await store.commit(happened(record))

    assert [True] == known


async def test_listeners_hear_nothing_of_a_conflict(store: Store) -> None:
    """A refused commit is no news."""
    await furnish(store, "alice")
    heard: list[Commit] = []
    store.subscribe(heard.append)

    with pytest.raises(Conflict):
        await store.commit(counted(request("alice"), "alice"))

    await store.settled()
    assert [] == [commit for commit in heard if commit]


async def test_settled_waits_for_what_was_committed(store: Store) -> None:
    """After ``settled``, commits made before it have been heard."""
    heard: list[Commit] = []
    store.subscribe(heard.append)
    commit = happened(event())

    unawaited = asyncio.ensure_future(store.commit(commit))
    await store.settled()

    assert commit in heard
    await unawaited


async def test_settled_returns_when_there_is_nothing_to_wait_for(store: Store) -> None:
    """A store at rest is settled, and says so without a commit of its own."""
    heard: list[Commit] = []
    store.subscribe(heard.append)

    await store.settled()

    assert [] == heard


async def test_what_is_closed_was_committed(backend: Backend) -> None:
    """Closing finishes commits that are still on their way."""
    record = event()
    async with backend.open() as store:
        unawaited = asyncio.ensure_future(store.commit(happened(record)))
    async with backend.open() as store:
        found = await store.event(record.id)

    await unawaited
    assert record == found


async def test_an_empty_commit_is_a_commit(store: Store) -> None:
    """Nothing to write is no error."""
    await store.commit(())

    assert [] == list(store.pending())


# The directory


async def test_the_directory_holds_what_was_put(store: Store) -> None:
    """Integrators, keys, devices and pairings are there for plain calls."""
    await furnish(store)
    key, invitation = api_key("a key"), pairing("bob", spent=False)
    admitted = admission("alice")

    await store.commit((PutApiKey(key), *admitted, PutPairing(invitation)))

    directory = store.directory
    found = directory.device(fingerprint("alice"))
    assert found is not None
    assert (ACME, key, invitation) == (
        directory.integrator(ACME.id),
        directory.api_key(key.digest),
        directory.pairing_by_code(invitation.code_digest),
    )
    assert admitted[0] == PutDevice(found)


async def test_the_directory_knows_nobody_else(store: Store) -> None:
    """What was never put is None."""
    directory = store.directory

    assert (None, None, None, None) == (
        directory.integrator(UMBRELLA.id),
        directory.api_key(bytes(32)),
        directory.device(fingerprint("mallory")),
        directory.pairing_by_code(bytes(32)),
    )


async def test_an_integrator_may_be_renamed(store: Store) -> None:
    """The last name counts."""
    await store.commit((PutIntegrator(ACME),))
    renamed = type(ACME)(ACME.id, "Acme Limited")

    await store.commit((PutIntegrator(renamed),))

    assert renamed == store.directory.integrator(ACME.id)


async def test_pending_lists_open_requests_oldest_first(store: Store) -> None:
    """Pending holds what is not written down as finished."""
    house = await furnish(store, "alice")
    opened = [await house.open("alice") for _ in range(3)]
    await store.commit(ended(opened[1], Status.CANCELLED))

    assert [opened[0], opened[2]] == list(store.pending())
    assert (opened[0], None) == (
        store.find_pending(opened[0].terms.request_id),
        store.find_pending(opened[1].terms.request_id),
    )


async def test_pending_for_lists_a_devices_open_requests(store: Store) -> None:
    """A device's open requests, oldest first, and how many they are."""
    house = await furnish(store, "alice", "bob")
    first = await house.open("alice", "bob")
    await house.open("bob")
    third = await house.open("alice")
    done = await house.open("alice")
    await store.commit(ended(done))

    alice = fingerprint("alice")
    assert [first, third] == list(store.pending_for(alice))
    assert (2, 0, 0, 0) == (
        pending_count(store, alice),
        pending_count(store, fingerprint("mallory")),
        pending_count(store, alice, profile="protected_method"),
        pending_count(store, alice, integrator_id=UMBRELLA.id),
    )


async def test_opening_and_ending_may_share_a_turn(store: Store) -> None:
    """Commits that were not awaited in between build on each other."""
    await furnish(store, "alice")
    stored = request("alice")

    await asyncio.gather(store.commit((OpenRequest(stored),)), store.commit(ended(stored)))

    found = await store.summary(stored.terms.request_id)
    assert found is not None
    assert Status.CANCELLED is found.status
