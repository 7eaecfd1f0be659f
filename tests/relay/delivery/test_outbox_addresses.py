"""Where a push goes: to the address that the device has when it is sent."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import delivery, ended, fingerprint
from tests.relay.delivery.post import (
    Post,
    addressed,
    again,
    asked,
    iphone,
    known,
    leave,
    log,
    queue,
    work,
)
from tests.relay.simulator import START

from quorumkey.protocol import ApnsAddress, FcmAddress, strict_json
from quorumkey_relay.delivery import addresses as addresses_module
from quorumkey_relay.delivery import lane as lane_module
from quorumkey_relay.delivery import worker as worker_module
from quorumkey_relay.delivery.addresses import Addresses
from quorumkey_relay.delivery.channel import Retry
from quorumkey_relay.identity.relaykeys import RelayKeys
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import PutDelivery, PutDevice

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.contract.backends import SqliteBackend

    from quorumkey.protocol import PrivateKey, PushAddress
    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.store.sqlite import SqliteStore

pytestmark = pytest.mark.anyio


async def test_a_device_without_that_address_is_not_sent_anything(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """It has none, one on another channel, one that cannot be opened, or it has left."""
    names = ("none", "other", "unreadable", "left")
    stored, post = await asked(store, *names), Post("apns")
    await addressed(backend, store, "other", FcmAddress("token"))
    for name in ("unreadable", "left"):
        await addressed(backend, store, name, iphone("aa"))
    spoiled = replace(known(store, "unreadable"), push=b"not sealed with this key")
    await store.commit((PutDevice(spoiled),))
    backend.revoke(known(store, "left"), at=START)
    backend.follow(store)
    worker = work(backend, store, post)

    await queue(store, *(delivery(stored, name, channel="apns") for name in names))
    await worker.rest()

    assert {
        "none": "address_replaced",
        "other": "address_replaced",
        "unreadable": "unreadable_address",
        "left": "unpaired",
    } == {
        name: one.reason
        for name in names
        for one in await log(store, stored)
        if one.device == fingerprint(name)
    }
    assert [] == post.sent


@pytest.mark.parametrize(
    ("newer", "told"),
    [
        (iphone("bb"), [iphone("bb")]),
        (iphone("bb", "sandbox"), [iphone("bb", "sandbox")]),
        (FcmAddress("token"), []),
    ],
    ids=["the same lane", "another lane", "another channel"],
)
async def test_an_address_that_changes_while_the_message_waits(
    backend: SqliteBackend,
    store: SqliteStore,
    monkeypatch: pytest.MonkeyPatch,
    newer: PushAddress,
    told: list[PushAddress],
) -> None:
    """It is sent to the new one, by the lane that serves it; another channel is not this one."""
    monkeypatch.setattr(lane_module, "MAX_IN_FLIGHT", 1)
    stored, post = await asked(store, "first", "second"), Post("apns")
    for name in ("first", "second"):
        await addressed(backend, store, name, iphone("aa"))
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "first", channel="apns"))
    await post.begun.wait()
    await queue(store, delivery(stored, "second", channel="apns"))
    await addressed(backend, store, "second", newer)
    post.hold.set()
    await worker.rest()

    assert [iphone("aa"), *told] == [message.address for message in post.messages]
    states = {one.device: (one.state, one.reason) for one in await log(store, stored)}
    expected = ("accepted", None) if told else ("dropped", "address_replaced")
    assert expected == states[fingerprint("second")]


@pytest.mark.parametrize(("newer", "told"), [("bb", ["aa", "bb"]), ("aa", ["aa"])])
async def test_an_address_that_changes_while_the_old_one_takes_the_message(
    backend: SqliteBackend, store: SqliteStore, newer: str, told: list[str]
) -> None:
    """A provider may take what reaches nobody; the same address, given again, is no other."""
    stored, post = await asked(store, "alice"), Post("apns")
    await addressed(backend, store, "alice", iphone("aa"))
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="apns"))
    await post.begun.wait()
    await addressed(backend, store, "alice", iphone(newer))
    post.hold.set()
    await worker.rest()
    await again(backend, worker, 2)

    (found,) = await log(store, stored)
    assert "accepted" == found.state
    assert [iphone(token) for token in told] == [message.address for message in post.messages]


async def test_what_was_seen_while_it_waited_is_not_sent(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An acknowledgement takes a message out of the queue."""
    monkeypatch.setattr(lane_module, "MAX_IN_FLIGHT", 1)
    stored, post = await asked(store, "first", "second"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    waiting = delivery(stored, "second", channel="post")
    await queue(store, delivery(stored, "first", channel="post"))
    await post.begun.wait()
    await queue(store, waiting)
    await store.commit((PutDelivery(replace(waiting, state="acknowledged")),))
    post.hold.set()
    await worker.rest()

    assert 1 == len(post.sent)
    assert {"accepted", "acknowledged"} == {one.state for one in await log(store, stored)}


async def test_what_ends_between_two_sends_is_sent_once(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What was not processed goes out again only while the request is pending."""
    stored, post = await asked(store, "alice"), Ends("post", Retry(0, "broken"))
    post.end = lambda: store.commit(ended(stored))
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="post"))
    await worker.rest()

    (found,) = await log(store, stored)
    assert (1, "dropped", "request_finished") == (len(post.sent), found.state, found.reason)


class Ends(Post):
    """A channel during whose send the request ends."""

    async def send(self, message: Message) -> Outcome:
        """Send, and have the request end."""
        await self.end()
        return await super().send(message)

    end: Callable[[], Awaitable[None]]


async def test_what_cannot_be_settled_is_sent_again(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """While the disk is full nothing is settled, and nothing is forgotten."""
    stored, post = await asked(store, "alice"), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await queue(store, delivery(stored, "alice", channel="post"))
    await post.begun.wait()
    with backend.unwritable():
        post.hold.set()
        await worker.rest()
    backend.clock.advance(30)
    await worker.scan()
    await worker.rest()

    (found,) = await log(store, stored)
    assert (2, "accepted", 1) == (len(post.sent), found.state, found.attempts)


async def test_without_the_key_of_the_moment_messages_wait(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A challenge that cannot be signed breaks nothing, and goes out once it can be."""
    stored, post = await asked(store, "alice"), Post("apns")
    await addressed(backend, store, "alice", iphone("aa"))
    worker = work(backend, store, post)

    def missing(*_: object) -> PrivateKey:
        raise StoreUnavailable

    with monkeypatch.context() as patched:
        patched.setattr(RelayKeys, "current", missing)
        await queue(store, delivery(stored, "alice", channel="apns"))
        await worker.rest()
    sent = len(post.sent)
    await again(backend, worker)

    assert (0, 1, 0) == (sent, len(post.sent), worker.depth)


async def test_a_send_that_cannot_read_the_store_waits(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The withdrawal stays in the outbox until the store can be read."""
    stored, post = await asked(store, "alice"), Post()
    worker = work(backend, store, post)

    async def unreadable(delivery_id: str) -> None:
        raise StoreUnavailable(delivery_id)

    monkeypatch.setattr(store, "delivery", unreadable)
    withdrawal = replace(delivery(stored, "alice", channel="post"), kind="request_resolved")
    await queue(store, withdrawal)
    await worker.rest()

    assert (["queued"], []) == ([one.state for one in await log(store, stored)], post.sent)


async def test_a_scan_claims_no_more_than_there_is_room_for(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What this process cannot hold is left to the next scan."""
    monkeypatch.setattr(worker_module, "MAX_JOBS", 2)
    names = ("alice", "bob", "carol")
    stored, post = await asked(store, *names), Post()
    post.hold = asyncio.Event()
    worker = work(backend, store, post)
    await leave(store, *(delivery(stored, name, channel="post") for name in names))

    counts = [await worker.scan(), await worker.scan()]
    post.hold.set()
    await worker.rest()
    counts.append(await worker.scan())
    await worker.rest()

    assert [2, 0, 1] == counts


def test_opened_addresses_are_kept_within_a_bound(
    monkeypatch: pytest.MonkeyPatch, backend: SqliteBackend
) -> None:
    """The oldest one goes; what is opened again is the same."""
    monkeypatch.setattr(addresses_module, "MAX_KEPT_ADDRESSES", 2)
    opened = Addresses(backend.vault)
    tokens = ("aa", "bb", "cc")
    sealed = [
        backend.vault.seal(strict_json.dumps(ApnsAddress(token, "t", "sandbox").to_json()))
        for token in tokens
    ]
    first = [opened.open(one) for one in sealed]

    assert [ApnsAddress(token, "t", "sandbox") for token in tokens] == first
    assert first[2] is opened.open(sealed[2])
    assert first[0] is not opened.open(sealed[0])
    assert first[0] == opened.open(sealed[0])


def test_an_address_of_another_directory_is_not_opened(backend: SqliteBackend) -> None:
    """Neither one that was sealed with another key nor one that is no address."""
    opened = Addresses(backend.vault)
    sealed = (Vault(b"k" * 32).seal(b"{}"), backend.vault.seal(b"{}"))

    assert [None, None] == [opened.open(one) for one in sealed]
