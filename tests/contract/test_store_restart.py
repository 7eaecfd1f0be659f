"""A restart finds what was there: the same states, the same directory, the same answers."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    admission,
    answer,
    api_key,
    counted,
    delivery,
    ended,
    envelope_bytes,
    event,
    fingerprint,
    furnish,
    happened,
    pairing,
    request,
    step,
)
from tests.relay.simulator import ACME, START

from quorumkey_relay.domain.model import DeviceLost, WrongCode
from quorumkey_relay.store.writes import (
    KeepAnswer,
    OpenRequest,
    PutApiKey,
    PutDelivery,
    PutDevice,
    PutPairing,
    PutSuccession,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contract.backends import Backend
    from tests.contract.material import Furnished

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Write

pytestmark = pytest.mark.anyio

DAY = 86_400


async def counts(house: Furnished, stored: Stored) -> None:
    """Approvals, one of them in a group that is satisfied, and a denial."""
    for name in ("carol", "alice", "bob"):
        await house.store.commit(counted(stored, name))
    await house.store.commit(counted(stored, "dave", "deny"))


async def loses(house: Furnished, stored: Stored) -> None:
    """An approval that is voided, and a denial that is not."""
    await house.store.commit(counted(stored, "alice"))
    await house.store.commit(counted(stored, "carol", "deny"))
    for name in ("alice", "carol"):
        await house.store.commit(step(stored, DeviceLost(fingerprint(name))))


async def loses_a_second(house: Furnished, stored: Stored) -> None:
    """An approval that is voided where another keeps the group satisfied."""
    for name in ("alice", "bob"):
        await house.store.commit(counted(stored, name))
    await house.store.commit(step(stored, DeviceLost(fingerprint("alice"))))
    await house.store.commit(counted(stored, "carol"))


async def miscodes(house: Furnished, stored: Stored) -> None:
    """One wrong code of one device and three of another."""
    for name in ("alice", "bob", "bob", "bob"):
        await house.store.commit(step(stored, WrongCode(fingerprint(name))))
    await house.store.commit(counted(stored, "carol"))


async def miscodes_last(house: Furnished, stored: Stored) -> None:
    """A wrong code is the last that happened."""
    await house.store.commit(counted(stored, "carol"))
    await house.store.commit(step(stored, WrongCode(fingerprint("alice"))))


async def finishes(house: Furnished, stored: Stored) -> None:
    """Decisions and an end."""
    await house.store.commit(counted(stored, "alice"))
    await house.store.commit(ended(stored, at=START + 7))


@pytest.mark.parametrize(
    "history", [counts, loses, loses_a_second, miscodes, miscodes_last, finishes]
)
async def test_a_request_is_the_same_after_a_restart(
    backend: Backend, history: Callable[[Furnished, Stored], Awaitable[None]]
) -> None:
    """Terms, state with its version, document and nonce come back whatever happened."""
    async with backend.open() as store:
        house = await furnish(store, "alice", "bob", "carol", "dave")
        stored = await house.open("alice bob", "carol", "dave", required=3)
        await history(house, stored)
        before = replace(await house.load(stored))
    async with backend.open() as store:
        found = await store.load(stored.terms.request_id)

    assert before == found


async def test_a_request_goes_on_after_a_restart(backend: Backend) -> None:
    """Decisions before and after a restart make one history."""
    async with backend.open() as store:
        house = await furnish(store, "alice", "bob", "carol")
        stored = await house.open("alice bob", "carol", required=2)
        await store.commit(counted(stored, "alice"))
        await store.commit(step(stored, WrongCode(fingerprint("carol"))))
    async with backend.open() as store:
        reloaded = await store.load(stored.terms.request_id)
        assert reloaded is not None
        await store.commit(counted(reloaded, "bob"))
        await store.commit(counted(reloaded, "carol"))
    async with backend.open() as store:
        found = await store.evidence(stored.terms.request_id)

    names = ("alice", "bob", "carol")
    assert [fingerprint(name) for name in names] == [one.device for one in found]


async def test_a_voided_decision_leaves_room_for_the_next(backend: Backend) -> None:
    """After a restart, a decision can follow one that was voided last."""
    async with backend.open() as store:
        house = await furnish(store, "alice", "bob", "carol")
        stored = await house.open("alice bob", "carol", required=2)
        for name in ("bob", "alice"):
            await store.commit(counted(stored, name))
        await store.commit(step(stored, DeviceLost(fingerprint("alice"))))
    async with backend.open() as store:
        reloaded = await store.load(stored.terms.request_id)
        assert reloaded is not None
        await store.commit(counted(reloaded, "carol"))
        found = await store.evidence(stored.terms.request_id)

    assert [fingerprint("bob"), fingerprint("carol")] == [one.device for one in found]


async def test_a_match_code_survives(backend: Backend) -> None:
    """The code that a person has to type is still known, and still in no document."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored = request("alice", match_code="4711")
        await store.commit((OpenRequest(stored),))
    async with backend.open() as store:
        found = await store.load(stored.terms.request_id)

    assert found is not None
    assert ("4711", False) == (found.terms.match_code, b"4711" in found.document.payload)


async def test_the_directory_is_the_same_after_a_restart(backend: Backend) -> None:
    """Integrators, keys, devices with their ties, and codes not yet expired."""
    key, revoked = api_key("one"), api_key("two", revoked_at=START)
    invitation = pairing("bob", spent=False)
    async with backend.open() as store:
        await furnish(store, "alice")
        await store.commit((PutApiKey(key), PutApiKey(revoked), PutPairing(invitation)))
        device = store.directory.device(fingerprint("alice"))
        assert device is not None
        changed = replace(
            device,
            session_key=bytes(33),
            push_channel="fcm",
            push=b"sealed",
            sign_count=7,
            assurance="tee",
        )
        await store.commit((PutDevice(changed),))
    async with backend.open() as store:
        directory = store.directory
        found = (
            directory.integrator(ACME.id),
            directory.api_key(key.digest),
            directory.api_key(revoked.digest),
            directory.device(fingerprint("alice")),
            directory.pairing_by_code(invitation.code_digest),
        )

    assert (ACME, key, revoked, changed, invitation) == found


async def test_a_revocation_survives(backend: Backend) -> None:
    """A device that was revoked is revoked after a restart."""
    async with backend.open() as store:
        await furnish(store, "alice")
        device = store.directory.device(fingerprint("alice"))
        assert device is not None
        await store.commit((PutDevice(replace(device, revoked_at=START + 3)),))
    async with backend.open() as store:
        found = store.directory.device(fingerprint("alice"))

    assert found is not None
    assert START + 3 == found.revoked_at


async def test_an_ended_tie_stays_ended(backend: Backend) -> None:
    """A device that was unpaired is not paired again by a restart."""
    async with backend.open() as store:
        await furnish(store)
        writes = admission("alice")
        await store.commit(writes)
        put = writes[1]
        assert isinstance(put, PutPairing)
        await store.commit((PutPairing(replace(put.pairing, ended_at=START + 5)),))
        before = store.directory.device(fingerprint("alice"))
    async with backend.open() as store:
        found = store.directory.device(fingerprint("alice"))

    assert before is not None
    assert ({}, before) == (dict(before.pairings), found)


async def test_codes_are_told_apart_after_they_expired(backend: Backend) -> None:
    """A code is known for good, so that an expired one is refused as expired after a restart."""
    spent, unspent = pairing("alice"), pairing("bob", spent=False)
    async with backend.open() as store:
        await store.commit((*admission("alice"), PutPairing(spent), PutPairing(unspent)))
    backend.clock.advance(599)
    async with backend.open() as store:
        known = [store.directory.pairing_by_code(one.code_digest) for one in (spent, unspent)]
    backend.clock.advance(1)
    async with backend.open() as store:
        late = store.directory.pairing_by_code(unspent.code_digest)

    assert ([spent, unspent], unspent) == (known, late)


async def test_logs_and_answers_survive(backend: Backend) -> None:
    """Events, deliveries, first answers and successions are read again."""
    record, kept = event(), answer(text=b'{"request_id":"1"}')
    row = (envelope_bytes("next"), fingerprint("next"), START)
    async with backend.open() as store:
        house = await furnish(store, "alice")
        stored = await house.open("alice")
        queued = delivery(stored, "alice")
        await store.commit(
            (*happened(record), PutDelivery(queued), KeepAnswer(kept), PutSuccession(*row))
        )
    async with backend.open() as store:
        found = (
            await store.events(integrator_id=ACME.id, after=None, limit=10),
            list(await store.deliveries(stored.terms.request_id)),
            await store.answer(integrator_id=ACME.id, path="/v1/requests", key="key"),
            list(await store.successions()),
        )

    assert ([record], [queued], kept, [row]) == found


# Pruning


async def prune(
    store: Store, *, requests: int = START, events: int = START, answers: int = START
) -> int:
    """Prune up to these times."""
    return await store.prune(requests_before=requests, events_before=events, answers_before=answers)


async def test_nothing_young_is_pruned(store: Store) -> None:
    """What happened at the limit is kept."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    record = event()
    await store.commit((*ended(stored), *happened(record), KeepAnswer(answer())))

    assert 0 == await prune(store)
    assert None is not await store.summary(stored.terms.request_id)
    assert record == await store.event(record.id)


async def test_what_is_old_is_pruned(store: Store) -> None:
    """Finished requests with all that hangs on them, events and answers go; the rest stays."""
    house = await furnish(store, "alice")
    old, young, unfinished = [await house.open("alice") for _ in range(3)]
    await store.commit((*counted(old, "alice"), PutDelivery(delivery(old, "alice"))))
    await store.commit(ended(old))
    await store.commit(ended(young, at=START + 1))
    events = [event(), event(created_at=START + 1)]
    await store.commit((*happened(*events), KeepAnswer(answer())))
    limit = START + 1

    gone = await prune(store, requests=limit, events=limit, answers=limit)

    request_id = old.terms.request_id
    assert (3, None, [], [], None) == (
        gone,
        await store.summary(request_id),
        list(await store.evidence(request_id)),
        list(await store.deliveries(request_id)),
        await store.answer(integrator_id=ACME.id, path="/v1/requests", key="key"),
    )
    assert [young, unfinished] == sorted(
        await store.device_requests(device=fingerprint("alice"), before=None, limit=10),
        key=lambda one: one.terms.request_id,
    )
    assert None is await store.events(integrator_id=ACME.id, after=events[0].id, limit=10)


async def test_a_pruned_request_is_not_loaded(store: Store) -> None:
    """What was pruned is gone from memory too."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    await store.commit(ended(stored))

    await prune(store, requests=START + 1)

    assert None is await store.load(stored.terms.request_id)


async def test_a_great_deal_is_pruned_at_once(store: Store) -> None:
    """Pruning goes on until nothing old is left."""
    await furnish(store, "alice")
    writes: list[Write] = []
    for number in range(250):
        writes += [*happened(event()), KeepAnswer(answer(str(number)))]
    await store.commit(tuple(writes))

    assert 500 == await prune(store, events=START + DAY, answers=START + DAY)


async def test_pruning_keeps_expired_codes(backend: Backend) -> None:
    """A code past its time is still known after the store was pruned."""
    invitation = pairing("alice", spent=False)
    async with backend.open() as store:
        await store.commit((PutPairing(invitation),))
        backend.clock.advance(601)
        await prune(store, requests=0, events=0, answers=0)

        assert invitation == store.directory.pairing_by_code(invitation.code_digest)
