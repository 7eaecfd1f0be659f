"""Which messages a request needs: by every channel that reaches a device now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import counted, delivery, fingerprint, furnish, request
from tests.relay.simulator import START, SimStream

from quorumkey_relay.delivery.hub import DeviceHub
from quorumkey_relay.delivery.plan import LEASE_SECONDS, UNANSWERED, DeliveryPlan, was_shown
from quorumkey_relay.domain.model import Counted, Resolved, Status
from quorumkey_relay.store.writes import PutDelivery, PutDevice

if TYPE_CHECKING:
    from quorumkey_relay.store.records import Delivery, DeliveryState
    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def addressed(store: SqliteStore, name: str, channel: str) -> None:
    """Give a device a push address."""
    device = store.directory.device(fingerprint(name))
    assert device is not None
    await store.commit((PutDevice(replace(device, push_channel=channel, push=b"sealed")),))


async def test_each_way_to_a_device_is_planned(store: SqliteStore) -> None:
    """By push channel as far as it is served, by stream as far as it is open, or both."""
    await furnish(store, "alice", "bob", "carol", "dave")
    for name, channel in (("alice", "fcm"), ("bob", "fcm"), ("carol", "apns")):
        await addressed(store, name, channel)
    hub = DeviceHub()
    for name in ("bob", "dave"):
        hub.attach(fingerprint(name), SimStream())
    plan = DeliveryPlan(store=store, presence=hub, channels={"websocket", "fcm"})
    stored = request("alice bob", "carol dave", "eve")

    planned = plan.opening(stored, START)

    names = {fingerprint(name): name for name in ("alice", "bob", "carol", "dave")}
    assert [
        ("alice", "fcm"),
        ("bob", "websocket"),
        ("bob", "fcm"),
        ("dave", "websocket"),
    ] == [(names[one.device], one.channel) for one in planned]
    assert {("queued", START, START + 300, 0, START + LEASE_SECONDS)} == {
        (one.state, one.next_at, one.not_after, one.attempts, one.leased_until) for one in planned
    }


async def test_a_new_address_gets_what_has_not_arrived(store: SqliteStore) -> None:
    """Pending requests that it has not decided, by what the channel has made of them so far."""
    house = await furnish(store, "alice", "bob")
    await addressed(store, "alice", "fcm")
    plan = DeliveryPlan(store=store, presence=DeviceHub(), channels={"fcm"})
    states: tuple[DeliveryState | None, ...] = (
        *(None, "queued", "failed", "dropped"),
        *("sent", "accepted", "acknowledged"),
    )
    requests = [await house.open("alice", "bob", required=2) for _ in states]
    decided = await house.open("alice", "bob", required=2)
    await store.commit(counted(decided, "alice"))
    for stored, state in zip(requests, states, strict=True):
        if state is not None:
            (first, *_) = plan.opening(stored, START)
            await store.commit((PutDelivery(replace(first, state=state)),))
    device = store.directory.device(fingerprint("alice"))
    assert device is not None

    found = {
        "now": await plan.plan_for_device(device, START),
        "late": await plan.plan_for_device(device, START + 300),
        "elsewhere": await plan.plan_for_device(replace(device, push_channel="apns"), START),
        "nowhere": await plan.plan_for_device(replace(device, push=None), START),
    }

    assert [stored.terms.request_id for stored in requests[:4]] == [
        one.request_id for one in found["now"]
    ]
    assert [[], [], []] == [found[name] for name in ("late", "elsewhere", "nowhere")]


async def test_an_acknowledgement_hides_no_failure(store: SqliteStore) -> None:
    """What may have reached the device is acknowledged; where nothing may have, it fetched."""
    stored = request("alice")
    row = delivery(stored, "alice", channel="apns")
    plan = DeliveryPlan(store=store, presence=DeviceHub(), channels={"apns"})

    def states(*known: Delivery) -> list[tuple[str, str]]:
        found = plan.acknowledged(stored, fingerprint("alice"), known, START)
        return [(one.channel, one.state) for one in found]

    failed = replace(row, state="failed", reason="BadPriority")
    lost = replace(row, state="failed", reason=f"{UNANSWERED}timeout")
    assert [("fetch", "acknowledged")] == states(failed)
    assert [("fetch", "acknowledged")] == states(replace(row, state="dropped"))
    assert [("apns", "acknowledged")] == states(lost) == states(row)
    assert [] == states(failed, replace(row, channel="fetch", state="acknowledged"))


async def test_nobody_is_told_of_an_end_without_need(store: SqliteStore) -> None:
    """Neither who decided, nor who has no served address, nor anybody of a timeout."""
    house = await furnish(store, "alice", "bob", "carol", "dave")
    for name, channel in (("alice", "fcm"), ("bob", "fcm"), ("carol", "apns")):
        await addressed(store, name, channel)
    plan = DeliveryPlan(store=store, presence=DeviceHub(), channels={"fcm"})
    stored = await house.open("alice bob carol dave eve")
    alice = Counted(fingerprint("alice"), "approve")

    told = [
        [one.device for one in plan.closing(stored, (alice, Resolved(status, START)), START)]
        for status in (Status.APPROVED, Status.TIMEOUT)
    ]

    assert [[fingerprint("bob")], []] == told


def test_what_may_have_been_shown() -> None:
    """What was taken, and what nobody knows of; not what was refused or never sent."""
    queued = delivery(request("alice"), "alice")
    seen = [
        replace(queued, state="sent"),
        replace(queued, state="accepted"),
        replace(queued, state="acknowledged"),
        replace(queued, reason="unanswered_timeout"),
        replace(queued, state="failed", reason="unanswered_broken"),
    ]
    unseen = [None, queued, replace(queued, reason="busy"), replace(queued, state="failed")]

    assert ([True] * 5, [False] * 4) == (
        [was_shown(one) for one in seen],
        [was_shown(one) for one in unseen],
    )
