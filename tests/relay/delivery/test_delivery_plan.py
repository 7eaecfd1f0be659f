"""Which messages a request needs: by every channel that reaches a device now."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import fingerprint, furnish, request
from tests.relay.simulator import START, SimStream

from quorumkey_relay.delivery.hub import DeviceHub
from quorumkey_relay.delivery.plan import DeliveryPlan
from quorumkey_relay.store.writes import PutDevice

if TYPE_CHECKING:
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
    assert {("queued", START, START + 300, 0)} == {
        (one.state, one.next_at, one.not_after, one.attempts) for one in planned
    }
