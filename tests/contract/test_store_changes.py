"""What another process changes is followed, and neither side undoes the other."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    admission,
    api_key,
    envelope_bytes,
    event,
    fingerprint,
    furnish,
    pairing,
)
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.store.writes import (
    AppendEvent,
    PutApiKey,
    PutDevice,
    PutIntegrator,
    PutPairing,
    PutSuccession,
)

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.protocol import Store

pytestmark = pytest.mark.anyio


def alice(store: Store) -> Device:
    """The device as the store knows it."""
    device = store.directory.device(fingerprint("alice"))
    assert device is not None
    return device


async def test_changes_are_told_in_order(backend: Backend, store: Store) -> None:
    """Each listener is told kind and name of each change, once."""
    await furnish(store, "alice")
    heard: list[tuple[str, str]] = []
    store.subscribe_changes(lambda kind, name: heard.append((kind, name)))
    key, invitation, record = api_key("a key"), pairing("bob", spent=False), event()
    backend.administer(PutIntegrator(UMBRELLA), PutApiKey(key))
    backend.administer(PutPairing(invitation), AppendEvent(record))
    backend.administer(PutSuccession(envelope_bytes("next"), fingerprint("next"), START))
    backend.revoke(alice(store), at=START + 1)

    backend.follow(store)
    backend.follow(store)

    assert [
        ("integrator", UMBRELLA.id),
        ("api_key", key.key_id),
        ("pairing", invitation.pairing_id),
        ("event", record.id),
        ("succession", fingerprint("next")),
        ("device", fingerprint("alice")),
    ] == heard


async def test_the_directory_follows(backend: Backend, store: Store) -> None:
    """New integrators, keys and codes, and revocations, are known once they were followed."""
    await furnish(store, "alice")
    key, invitation = api_key("a key"), pairing("bob", spent=False)
    backend.administer(PutIntegrator(UMBRELLA), PutApiKey(key), PutPairing(invitation))
    backend.revoke(alice(store), at=START + 1)

    backend.follow(store)

    directory = store.directory
    assert (UMBRELLA, key, invitation, START + 1) == (
        directory.integrator(UMBRELLA.id),
        directory.api_key(key.digest),
        directory.pairing_by_code(invitation.code_digest),
        alice(store).revoked_at,
    )


async def test_a_revoked_key_is_followed(backend: Backend, store: Store) -> None:
    """A key that the command line revokes is known as revoked."""
    key = api_key("a key")
    await store.commit((PutApiKey(key),))

    backend.administer(PutApiKey(replace(key, revoked_at=START + 1)))
    backend.follow(store)

    found = store.directory.api_key(key.digest)
    assert found is not None
    assert START + 1 == found.revoked_at


async def test_a_renamed_integrator_is_followed(backend: Backend, store: Store) -> None:
    """A new name is used from then on."""
    await furnish(store)
    renamed = Integrator(ACME.id, "Acme Limited")

    backend.administer(PutIntegrator(renamed))
    backend.follow(store)

    assert renamed == store.directory.integrator(ACME.id)


async def test_a_revocation_is_not_undone_by_who_has_not_heard_of_it(backend: Backend) -> None:
    """A relay that writes a device before it follows the revocation does not take it back."""
    async with backend.open() as store:
        await furnish(store, "alice")
        device = alice(store)
        backend.revoke(device, at=START + 1)
        await store.commit((PutDevice(replace(device, sign_count=7)),))
        backend.follow(store)
        memory = alice(store)
    async with backend.open() as store:
        disk = alice(store)

    assert [(START + 1, 7)] * 2 == [(one.revoked_at, one.sign_count) for one in (memory, disk)]


async def test_a_revocation_that_was_heard_of_is_not_undone(backend: Backend, store: Store) -> None:
    """Nor is it by a write that was prepared before the relay followed it."""
    await furnish(store, "alice")
    device = alice(store)
    backend.revoke(device, at=START + 1)
    backend.follow(store)

    await store.commit((PutDevice(replace(device, sign_count=7)),))

    assert (START + 1, 7) == (alice(store).revoked_at, alice(store).sign_count)


async def test_a_revocation_does_not_undo_what_the_relay_wrote(backend: Backend) -> None:
    """Revoking with an old picture of a device changes nothing but that it is revoked."""
    async with backend.open() as store:
        await furnish(store, "alice")
        old = alice(store)
        await store.commit((PutDevice(replace(old, push_channel="fcm", push=b"sealed")),))
        backend.revoke(old, at=START + 1)
        backend.follow(store)
        memory = alice(store)
    async with backend.open() as store:
        disk = alice(store)

    assert [(START + 1, "fcm")] * 2 == [
        (one.revoked_at, one.push_channel) for one in (memory, disk)
    ]


async def test_a_key_stays_revoked(backend: Backend, store: Store) -> None:
    """Writing a key again without its revocation does not take it back."""
    key = api_key("a key")
    backend.administer(PutApiKey(replace(key, revoked_at=START)))
    backend.administer(PutApiKey(key))

    backend.follow(store)

    found = store.directory.api_key(key.digest)
    assert found is not None
    assert START == found.revoked_at


async def test_a_tie_that_was_ended_elsewhere_is_followed(backend: Backend, store: Store) -> None:
    """A tie that the command line ends unties the device."""
    await furnish(store)
    writes = admission("alice")
    await store.commit(writes)
    put = writes[1]
    assert isinstance(put, PutPairing)

    backend.administer(PutPairing(replace(put.pairing, ended_at=START + 1)))
    backend.follow(store)

    assert {} == dict(alice(store).pairings)


async def test_an_event_of_another_process_is_in_the_stream(backend: Backend, store: Store) -> None:
    """Events of both processes make one order."""
    first, second, third = event(), event(), event()
    await store.commit((AppendEvent(first),))
    backend.administer(AppendEvent(second))
    await store.commit((AppendEvent(third),))

    found = await store.events(integrator_id=ACME.id, after=None, limit=10)

    assert [first, second, third] == found


async def test_changes_before_the_start_are_not_told(backend: Backend) -> None:
    """What was changed while nobody served is simply there."""
    async with backend.open() as store:
        await furnish(store, "alice")
        device = alice(store)
    backend.revoke(device, at=START + 1)
    async with backend.open() as store:
        heard: list[tuple[str, str]] = []
        store.subscribe_changes(lambda kind, name: heard.append((kind, name)))
        backend.follow(store)
        revoked_at = alice(store).revoked_at

    assert ([], START + 1) == (heard, revoked_at)
