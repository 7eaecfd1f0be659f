"""Protections: changed as a whole, by revision, and administrators' devices beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    admission,
    api_key,
    device,
    event,
    fingerprint,
    furnish,
    pairing,
)
from tests.contract.protection_material import changed, protection
from tests.relay.domain.play import person
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.store.protocol import Conflict, Store, StoreUnavailable
from quorumkey_relay.store.writes import (
    AppendEvent,
    PutApiKey,
    PutDevice,
    PutPairing,
    PutProtection,
)

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.domain.protection import Protection

pytestmark = pytest.mark.anyio

FIRST = protection("alice", "bob")
SECOND = changed(FIRST, "alice")


async def test_there_is_none_before_the_first(store: Store) -> None:
    """An integrator that nothing was said about has no protection."""
    assert (None, []) == (store.directory.protection(ACME.id), list(store.directory.protections()))


async def test_a_protection_survives(backend: Backend) -> None:
    """Settings, catalogue, protected methods and administrators are read again as they were."""
    other = protection("carol", integrator=UMBRELLA)
    async with backend.open() as store:
        await store.commit((PutProtection(None, FIRST), PutProtection(None, other)))
        await store.commit((PutProtection(FIRST, SECOND),))
        at_once = [store.directory.protection(one.id) for one in (ACME, UMBRELLA)]
    async with backend.open() as store:
        found = [store.directory.protection(one.id) for one in (ACME, UMBRELLA)]
        everything = list(store.directory.protections())

    assert [[SECOND, other]] * 3 == [at_once, found, everything]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(None, FIRST, id="one that is not the first"),
        pytest.param(FIRST, SECOND, id="one that was changed since"),
        pytest.param(changed(SECOND), changed(changed(SECOND)), id="one that never was"),
        pytest.param(changed(FIRST, "mallory"), changed(SECOND), id="another of this revision"),
    ],
)
async def test_a_change_of_what_is_not_the_newest(
    store: Store, before: Protection | None, after: Protection
) -> None:
    """A change that starts from anything but the newest protection is refused."""
    await store.commit((PutProtection(None, FIRST),))
    await store.commit((PutProtection(FIRST, SECOND),))

    with pytest.raises(Conflict):
        await store.commit((PutProtection(before, after),))

    assert SECOND == store.directory.protection(ACME.id)


async def test_a_first_change_of_none(store: Store) -> None:
    """Where there is no protection, only a first one can be put."""
    with pytest.raises(Conflict):
        await store.commit((PutProtection(FIRST, SECOND),))

    assert None is store.directory.protection(ACME.id)


async def test_an_equal_protection_is_the_newest(backend: Backend) -> None:
    """What was loaded before a restart can be changed after it."""
    async with backend.open() as store:
        await store.commit((PutProtection(None, FIRST),))
    async with backend.open() as store:
        await store.commit((PutProtection(FIRST, SECOND),))

        assert SECOND == store.directory.protection(ACME.id)


async def test_two_changes_in_one_commit(store: Store) -> None:
    """A commit may change a protection and change it again."""
    await store.commit((PutProtection(None, FIRST), PutProtection(FIRST, SECOND)))

    assert SECOND == store.directory.protection(ACME.id)


async def test_a_conflict_leaves_nothing_of_a_change(backend: Backend) -> None:
    """What stood beside a refused change did not happen either, whatever its place."""
    key = api_key("a key")
    async with backend.open() as store:
        await store.commit((PutProtection(None, FIRST),))
        with pytest.raises(Conflict):
            await store.commit((PutApiKey(key), PutProtection(None, SECOND)))
        at_once = store.directory.api_key(key.digest)
    async with backend.open() as store:
        found = store.directory.api_key(key.digest), store.directory.protection(ACME.id)

    assert (None, (None, FIRST)) == (at_once, found)


async def test_a_change_that_cannot_be_written(backend: Backend, store: Store) -> None:
    """After a batch that failed, memory holds what the disk does."""
    await store.commit((PutProtection(None, FIRST),))

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit((PutProtection(FIRST, SECOND),))

    assert FIRST == store.directory.protection(ACME.id)
    await store.commit((PutProtection(FIRST, SECOND),))
    assert SECOND == store.directory.protection(ACME.id)


# Another process


async def test_a_change_by_another_process_is_followed(backend: Backend, store: Store) -> None:
    """It is known, its event is heard, and who listens for changes is told the integrator."""
    await store.commit((PutProtection(None, FIRST),))
    told: list[tuple[str, str]] = []
    heard: list[object] = []
    store.subscribe_changes(lambda kind, name: told.append((kind, name)))
    store.subscribe(heard.extend)
    record = event()

    backend.administer(PutProtection(FIRST, SECOND), AppendEvent(record))
    backend.follow(store)

    assert SECOND == store.directory.protection(ACME.id)
    assert ([("protection", ACME.id), ("event", record.id)], [AppendEvent(record)]) == (told, heard)


async def test_another_process_starts_from_the_newest(backend: Backend, store: Store) -> None:
    """What the relay changed first is not overwritten by the command line."""
    await store.commit((PutProtection(None, FIRST),))
    record = event()

    for before in (None, SECOND):
        with pytest.raises(Conflict):
            backend.administer(AppendEvent(record), PutProtection(before, changed(SECOND)))

    backend.follow(store)
    assert FIRST == store.directory.protection(ACME.id)
    assert not backend.holds_event(record.id)


@pytest.mark.parametrize(
    ("before", "theirs", "ours"),
    [
        pytest.param(None, protection("bob"), protection("carol"), id="the first"),
        pytest.param(FIRST, changed(FIRST, "bob"), changed(FIRST, "carol"), id="a change"),
    ],
)
async def test_of_two_processes_the_first_wins(
    backend: Backend, store: Store, before: Protection | None, theirs: Protection, ours: Protection
) -> None:
    """A change decided before another process's was heard of ends in Conflict, not in its place."""
    if before is not None:
        await store.commit((PutProtection(None, before),))
    backend.administer(PutProtection(before, theirs))
    key = api_key("a key")

    with pytest.raises(Conflict):
        await store.commit((PutProtection(before, ours), PutApiKey(key)))

    assert (theirs, None) == (
        store.directory.protection(ACME.id),
        store.directory.api_key(key.digest),
    )
    await store.commit((PutProtection(theirs, changed(theirs, "dave")),))
    backend.follow(store)
    assert changed(theirs, "dave") == store.directory.protection(ACME.id)


async def test_who_shares_a_batch_with_a_lost_race_tries_again(
    backend: Backend, store: Store
) -> None:
    """Its commit is refused as not written; only who changed the protection has a conflict."""
    key = api_key("a key")
    backend.administer(PutProtection(None, FIRST))
    beside = store.commit((PutApiKey(key),))
    lost = store.commit((PutProtection(None, changed(FIRST)),))

    with pytest.raises(Conflict):
        await lost
    with pytest.raises(StoreUnavailable):
        await beside

    assert None is store.directory.api_key(key.digest)


# Administrators' devices


async def test_devices_of_an_approver(backend: Backend) -> None:
    """Paired and unrevoked devices of one approver are told, oldest pairing first."""
    async with backend.open() as store:
        await furnish(store, "alice")
        for name in ("alice/2", "alice/3", "bob"):
            await store.commit(admission(name))
        await store.commit(admission("alice/4", UMBRELLA))
        await store.commit((PutDevice(replace(device("alice/2"), revoked_at=START)),))
        at_once = store.directory.devices_of(ACME.id, person("alice"))
    async with backend.open() as store:
        found = store.directory.devices_of(ACME.id, person("alice"))

    expected = [fingerprint("alice"), fingerprint("alice/3")]
    assert (expected, expected) == (
        [one.fingerprint for one in at_once],
        [one.fingerprint for one in found],
    )


async def test_a_device_that_left_is_nobodys(store: Store) -> None:
    """After its pairing has ended a device is not told, and another of the approver is."""
    await furnish(store)
    tie = pairing("alice")
    await store.commit((PutDevice(device("alice")), PutPairing(tie)))
    await store.commit(admission("alice/2"))
    await store.commit((PutPairing(replace(tie, ended_at=START)),))
    left = store.directory.devices_of(ACME.id, person("alice"))
    await store.commit((PutPairing(pairing("alice")),))
    back = store.directory.devices_of(ACME.id, person("alice"))

    assert [["alice/2"], ["alice/2", "alice"]] == [
        [
            name
            for one in told
            for name in ("alice", "alice/2")
            if fingerprint(name) == one.fingerprint
        ]
        for told in (left, back)
    ]


async def test_a_device_paired_anew_for_somebody_else(store: Store) -> None:
    """A device speaks for the approver of its newest pairing alone."""
    await furnish(store, "alice")
    anew = replace(pairing("alice"), approver_id="bob")
    await store.commit((PutPairing(anew),))

    assert ([], [fingerprint("alice")]) == (
        list(store.directory.devices_of(ACME.id, person("alice"))),
        [one.fingerprint for one in store.directory.devices_of(ACME.id, "bob")],
    )


async def test_a_revocation_by_another_process_takes_the_device_out(
    backend: Backend, store: Store
) -> None:
    """What the command line revokes is not told any more."""
    await furnish(store, "alice")
    known = store.directory.device(fingerprint("alice"))
    assert known is not None
    backend.revoke(known, at=START)
    backend.follow(store)

    assert [] == list(store.directory.devices_of(ACME.id, person("alice")))
