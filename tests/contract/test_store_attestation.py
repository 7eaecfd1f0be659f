"""What devices proved is kept, found by certificate, and counters move in one direction only."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import device, fingerprint, furnish
from tests.relay.simulator import START

from quorumkey_relay.identity.principals import Attestation, BoundAppAttestKey
from quorumkey_relay.store.protocol import Conflict, Store, StoreUnavailable
from quorumkey_relay.store.writes import AdvanceCounter, BindAppAttestKey, PutAttestation, PutDevice

if TYPE_CHECKING:
    from tests.contract.backends import Backend

pytestmark = pytest.mark.anyio

KEY_ID = bytes(range(32))


def attestation(name: str, *serials: str) -> Attestation:
    """What a device proved, with these certificates."""
    return Attestation(
        device=fingerprint(name),
        format="android-key",
        assurance="strongbox",
        judged_at=START,
        evidence=b'{"format":"android-key"}',
        serials=serials,
        quirks=("a tag out of order",),
    )


def bound(name: str, *, counter: int = 0) -> BoundAppAttestKey:
    """An App Attest key that vouches for a device."""
    return BoundAppAttestKey(
        key_id=KEY_ID,
        device=fingerprint(name),
        public_key=b"\x04" + bytes(64),
        app_id="ABCDE12345.com.example.approve",
        environment="production",
        counter=counter,
    )


async def test_what_a_device_proved_survives(backend: Backend) -> None:
    """Evidence, level, time, serials and quirks are read again, and none for who proved nothing."""
    proved = attestation("alice", "1", "ab01")
    async with backend.open() as store:
        await furnish(store, "alice", "bob")
        await store.commit((PutAttestation(proved),))
    async with backend.open() as store:
        found = [await store.attestation(fingerprint(name)) for name in ("alice", "bob")]

    assert [proved, None] == found


async def test_the_newest_proof_takes_the_place_of_the_one_before(store: Store) -> None:
    """A device has one verdict, and is found by its certificates alone."""
    await furnish(store, "alice")
    newest = attestation("alice", "cd02")
    await store.commit((PutAttestation(attestation("alice", "ab01")),))
    await store.commit((PutAttestation(newest),))

    assert newest == await store.attestation(fingerprint("alice"))
    assert [("cd02", fingerprint("alice"))] == await store.attested_by(["ab01", "cd02"], limit=10)


async def test_devices_are_found_by_their_certificates(store: Store) -> None:
    """One certificate may stand behind several devices, and a serial in a chain twice is one."""
    await furnish(store, "alice", "bob", "carol")
    for name, serials in (("alice", ("1", "1", "ab")), ("bob", ("1",)), ("carol", ("2",))):
        await store.commit((PutAttestation(attestation(name, *serials)),))

    found = await store.attested_by(["1", "ab", "ffff"], limit=10)

    assert sorted(
        [("1", fingerprint("alice")), ("1", fingerprint("bob")), ("ab", fingerprint("alice"))]
    ) == list(found)


async def test_only_so_many_devices_are_found_at_once(store: Store) -> None:
    """A certificate that stands behind many devices does not fill the memory."""
    names = ("alice", "bob", "carol")
    await furnish(store, *names)
    for name in names:
        await store.commit((PutAttestation(attestation(name, "ab")),))

    found = await store.attested_by(["ab"], limit=2)

    assert 2 == len(found)
    assert {device for _, device in found} < {fingerprint(name) for name in names}


async def test_what_is_dealt_with_is_not_found(backend: Backend) -> None:
    """Neither a revoked device nor evidence that is known to be revoked is found again."""
    known = replace(attestation("bob", "ab"), revoked_at=START + 1)
    async with backend.open() as store:
        await furnish(store, "alice", "bob", "carol")
        for proved in (attestation("alice", "ab"), known, attestation("carol", "ab")):
            await store.commit((PutAttestation(proved),))
        await store.commit((PutDevice(replace(device("alice"), revoked_at=START + 1)),))
        here = await store.attested_by(["ab"], limit=10)
    async with backend.open() as store:
        there = await store.attested_by(["ab"], limit=10)
        read = await store.attestation(fingerprint("bob"))

    assert [[("ab", fingerprint("carol"))]] * 2 == [here, there]
    assert known == read


async def test_new_evidence_takes_the_place_of_revoked_evidence(store: Store) -> None:
    """What a device proves after that is looked up again."""
    await furnish(store, "alice")
    await store.commit((PutAttestation(replace(attestation("alice", "ab"), revoked_at=START)),))
    await store.commit((PutAttestation(attestation("alice", "cd")),))

    assert [("cd", fingerprint("alice"))] == await store.attested_by(["ab", "cd"], limit=10)


async def test_of_many_who_advance_a_counter_at_once_one_does(store: Store) -> None:
    """Commits that wait for the disk together are judged one after the other."""
    await furnish(store, "alice")
    await store.commit((BindAppAttestKey(bound("alice"), b"receipt"),))

    async def advance(new: int) -> bool:
        try:
            await store.commit((AdvanceCounter(KEY_ID, 0, new),))
        except Conflict:
            return False
        return True

    won = await asyncio.gather(*(advance(new) for new in range(1, 9)))

    assert [True, *[False] * 7] == won
    assert bound("alice", counter=1) == store.directory.app_attest_key(KEY_ID)


async def test_an_app_attest_key_survives(backend: Backend) -> None:
    """The key, its counter and its receipt are there after a restart."""
    async with backend.open() as store:
        await furnish(store, "alice")
        await store.commit((BindAppAttestKey(bound("alice"), b"receipt"),))
        await store.commit((AdvanceCounter(KEY_ID, 0, 7),))
        memory = store.directory.app_attest_key(KEY_ID)
    async with backend.open() as store:
        disk = store.directory.app_attest_key(KEY_ID)
        receipt = await store.app_attest_receipt(KEY_ID)

    assert [bound("alice", counter=7)] * 2 == [memory, disk]
    assert b"receipt" == receipt


async def test_an_unknown_app_attest_key_is_unknown(store: Store) -> None:
    """A key that nobody bound has neither a record nor a receipt."""
    assert None is store.directory.app_attest_key(KEY_ID)
    assert None is await store.app_attest_receipt(KEY_ID)


async def test_a_key_vouches_for_one_device(store: Store) -> None:
    """A key that is bound to a device is never bound to another."""
    await furnish(store, "alice", "bob")
    await store.commit((BindAppAttestKey(bound("alice"), b"receipt"),))

    with pytest.raises(Conflict):
        await store.commit((BindAppAttestKey(bound("bob"), b"receipt"),))

    assert bound("alice") == store.directory.app_attest_key(KEY_ID)


async def test_binding_again_does_not_turn_the_counter_back(backend: Backend) -> None:
    """The same device may show the key again; what its counter was, it stays."""
    async with backend.open() as store:
        await furnish(store, "alice")
        await store.commit((BindAppAttestKey(bound("alice"), b"old"),))
        await store.commit((AdvanceCounter(KEY_ID, 0, 7),))
        await store.commit((BindAppAttestKey(bound("alice"), b"new"),))
        memory = store.directory.app_attest_key(KEY_ID)
    async with backend.open() as store:
        disk = store.directory.app_attest_key(KEY_ID)
        receipt = await store.app_attest_receipt(KEY_ID)

    assert [bound("alice", counter=7)] * 2 == [memory, disk]
    assert b"new" == receipt


@pytest.mark.parametrize("expected", [0, 6, 8])
async def test_a_counter_that_moved_is_a_conflict(store: Store, expected: int) -> None:
    """Of two who saw the same counter one may advance it."""
    await furnish(store, "alice")
    await store.commit((BindAppAttestKey(bound("alice"), b"receipt"),))
    await store.commit((AdvanceCounter(KEY_ID, 0, 7),))

    with pytest.raises(Conflict):
        await store.commit((AdvanceCounter(KEY_ID, expected, 9),))

    assert bound("alice", counter=7) == store.directory.app_attest_key(KEY_ID)


@pytest.mark.parametrize("new", [7, 6, 0])
async def test_a_counter_that_would_not_grow_is_a_conflict(store: Store, new: int) -> None:
    """Not even who knows the counter can turn it back, or leave it where it is."""
    await furnish(store, "alice")
    await store.commit((BindAppAttestKey(bound("alice"), b"receipt"),))
    await store.commit((AdvanceCounter(KEY_ID, 0, 7),))

    with pytest.raises(Conflict):
        await store.commit((AdvanceCounter(KEY_ID, 7, new),))

    assert bound("alice", counter=7) == store.directory.app_attest_key(KEY_ID)


async def test_a_counter_of_no_key_is_a_conflict(store: Store) -> None:
    """There is nothing to advance."""
    with pytest.raises(Conflict):
        await store.commit((AdvanceCounter(KEY_ID, 0, 1),))


async def test_a_commit_with_a_conflict_writes_nothing(store: Store) -> None:
    """What stands before the counter in the same commit does not happen either."""
    await furnish(store, "alice")

    with pytest.raises(Conflict):
        await store.commit(
            (PutAttestation(attestation("alice", "ab")), AdvanceCounter(KEY_ID, 0, 1))
        )

    assert None is await store.attestation(fingerprint("alice"))


async def test_a_counter_that_was_not_written_did_not_move(backend: Backend, store: Store) -> None:
    """After a failed commit memory holds what the disk does."""
    await furnish(store, "alice")
    await store.commit((BindAppAttestKey(bound("alice"), b"receipt"),))
    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit((AdvanceCounter(KEY_ID, 0, 7),))

    await store.commit((AdvanceCounter(KEY_ID, 0, 8),))

    assert replace(bound("alice"), counter=8) == store.directory.app_attest_key(KEY_ID)
