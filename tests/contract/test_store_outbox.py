"""The outbox of messages to devices: claimed for a while, settled, and there after a restart."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import delivery, furnish
from tests.relay.simulator import START

from quorumkey_relay.delivery.plan import LEASE_SECONDS
from quorumkey_relay.store.writes import PutDelivery

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Delivery

pytestmark = pytest.mark.anyio


async def claim(store: Store, now: int, limit: int = 10) -> list[Delivery]:
    """Claim what is due."""
    return list(await store.claim_deliveries(now=now, lease_seconds=LEASE_SECONDS, limit=limit))


async def test_a_delivery_is_updated_in_place(store: Store) -> None:
    """Putting a delivery again changes its state, not its number."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    queued = delivery(stored, "alice")
    sent = replace(queued, state="sent", attempts=1, next_at=START + 1, reason="temporary")

    await store.commit((PutDelivery(queued),))
    await store.commit((PutDelivery(sent),))

    assert [sent] == list(await store.deliveries(stored.terms.request_id))


async def test_an_acknowledged_delivery_stays_acknowledged(store: Store) -> None:
    """What comes late from a channel does not undo that the person saw it."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    shown = replace(delivery(stored, "alice"), state="acknowledged")
    await store.commit((PutDelivery(shown),))

    await store.commit((PutDelivery(replace(shown, state="sent", attempts=2)),))

    assert [shown] == list(await store.deliveries(stored.terms.request_id))


async def test_what_is_claimed_is_queued_and_due(store: Store) -> None:
    """What is queued and whose time has come, the earliest deadline first."""
    house = await furnish(store, "alice", "bob", "carol")
    stored = await house.open("alice", "bob", "carol")
    alice, bob, carol = (delivery(stored, name) for name in ("alice", "bob", "carol"))
    bob = replace(bob, not_after=START + 10)
    later = replace(carol, next_at=START + 1)
    done = replace(delivery(stored, "alice", channel="fcm"), state="accepted")
    await store.commit(tuple(PutDelivery(one) for one in (alice, bob, later, done)))

    first, second = await claim(store, START, limit=1), await claim(store, START)

    until = START + LEASE_SECONDS
    assert [replace(bob, leased_until=until)] == first
    assert [replace(alice, leased_until=until)] == second
    assert [replace(carol, next_at=START + 1, leased_until=until + 1)] == await claim(
        store, START + 1
    )


async def test_what_is_claimed_is_nobody_elses_until_the_lease_is_over(store: Store) -> None:
    """A claim holds until its last second has passed, and may then be claimed anew."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    await store.commit((PutDelivery(delivery(stored, "alice")),))

    found = [
        len(await claim(store, START + seconds))
        for seconds in (0, 1, LEASE_SECONDS - 1, LEASE_SECONDS, LEASE_SECONDS + 1)
    ]

    assert [1, 0, 0, 1, 0] == found


async def test_what_is_planned_may_be_claimed_already(store: Store) -> None:
    """Who commits a delivery with a lease has claimed it."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    leased = replace(delivery(stored, "alice"), leased_until=START + 5)
    await store.commit((PutDelivery(leased),))

    found = [len(await claim(store, START + seconds)) for seconds in (4, 5)]

    assert [0, 1] == found


async def test_busy_channels_are_passed_over(store: Store) -> None:
    """What there is no room for is left to lie, and hides nothing else."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    apns, fcm = (delivery(stored, "alice", channel=name) for name in ("apns", "fcm"))
    await store.commit((PutDelivery(apns), PutDelivery(fcm)))

    found = await store.claim_deliveries(
        now=START, lease_seconds=LEASE_SECONDS, limit=1, busy={"apns", "webpush"}
    )

    assert [fcm.id] == [one.id for one in found]


async def test_what_is_settled_while_it_is_claimed_is_not_claimed(store: Store) -> None:
    """Of a settlement on its way to the disk and a claim, the settlement wins."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob")
    alice, bob = (delivery(stored, name) for name in ("alice", "bob"))
    await store.commit((PutDelivery(alice), PutDelivery(bob)))

    settling = asyncio.ensure_future(
        store.commit((PutDelivery(replace(alice, state="accepted", attempts=1)),))
    )
    found = await claim(store, START)
    await settling

    assert [bob.id] == [one.id for one in found]


async def test_a_claim_is_there_after_a_restart_until_it_is_released(backend: Backend) -> None:
    """A claim is durable; whoever opens the data next gives it up, and nothing else changes."""
    async with backend.open() as store:
        house = await furnish(store, "alice")
        stored = await house.open("alice")
        queued = delivery(stored, "alice")
        await store.commit((PutDelivery(queued),))
        await claim(store, START)
    async with backend.open() as store:
        before = await claim(store, START)
        await store.release_leases()
        released = await store.deliveries(stored.terms.request_id)
        after = await claim(store, START)

    assert ([], [queued], 1) == (before, list(released), len(after))


async def test_nothing_waits_for_a_clock_that_was_set_back(store: Store) -> None:
    """What is queued is due at once, claimed or not; what has ended stays as it was."""
    house = await furnish(store, "alice", "bob", "carol")
    stored = await house.open("alice bob carol")
    later, claimed, sent = (
        replace(delivery(stored, name), next_at=START + 900) for name in ("alice", "bob", "carol")
    )
    claimed = replace(claimed, next_at=START, leased_until=START + 900)
    sent = replace(sent, state="sent")
    await store.commit(tuple(PutDelivery(one) for one in (later, claimed, sent)))

    await store.advance_deliveries(now=START)

    assert {later.id, claimed.id} == {one.id for one in await claim(store, START)}
    assert sent == await store.delivery(sent.id)


async def test_a_delivery_is_read_by_id(store: Store) -> None:
    """One delivery, or None."""
    house = await furnish(store, "alice")
    queued = delivery(await house.open("alice"), "alice")
    await store.commit((PutDelivery(queued),))

    assert (queued, None) == (await store.delivery(queued.id), await store.delivery("none"))
