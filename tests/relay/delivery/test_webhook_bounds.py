"""Bounds of the sender of webhooks: slow endpoints, crashes, shutdown, a store that is away."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, cast

import pytest
from tests.contract.material import event
from tests.relay.delivery.receiver import answer, receiving
from tests.relay.delivery.webhook_sending import DELIVERY, SECRET, WEBHOOK, sending
from tests.relay.simulator import START

from quorumkey_relay.delivery.webhooks import sender as module
from quorumkey_relay.delivery.webhooks import signing
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import DeleteWebhook, SettleWebhookDelivery

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.sqlite import SqliteStore
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


async def test_a_slow_endpoint_delays_no_other(backend: SqliteBackend, store: SqliteStore) -> None:
    """With hundreds of events held up by one endpoint, another gets all of its own."""
    async with receiving() as slow, receiving() as quick:
        release = slow.held()
        post = sending(backend, store)
        stuck, free = await post.webhook(slow.url), await post.webhook(quick.url)
        await post.happen(*(f"r{number}" for number in range(300)))

        await quick.got(300)
        held_up = len(slow.received)
        release.set()
        await post.settle()

        assert module.MAX_IN_FLIGHT_PER_ENDPOINT == held_up
        assert ({"delivered"}, {"delivered"}) == (
            set(await post.states(stuck)),
            set(await post.states(free)),
        )
        assert (300, 300) == (len(slow.received), len(quick.received))


async def test_many_slow_endpoints_with_queues_delay_no_other(
    backend: SqliteBackend, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is claimed for endpoints that hang does not take all that may be claimed."""
    monkeypatch.setattr(module, "MAX_IN_FLIGHT", 64)
    monkeypatch.setattr(module, "MAX_IN_FLIGHT_PER_ENDPOINT", 6)
    monkeypatch.setattr(module, "CLAIM_LIMIT", 32)
    async with receiving() as slow, receiving() as quick:
        release = slow.held()
        post = sending(backend, store)
        for _ in range(8):
            await post.webhook(slow.url, events=("mpa.approved",))
        await post.webhook(quick.url, events=("mpa.timeout",))
        await post.happen(*(f"r{number}" for number in range(20)))
        await slow.got(8)
        await post.append(replace(event(created_at=START), type="mpa.timeout", subject="r20"))

        await quick.got(1)
        tried = list(post.counts.tried)
        release.set()
        await post.settle()

    assert "failed" not in tried  # none of those that hang has run out of time yet


async def test_an_endpoint_that_fails_gets_few_at_once(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Until it recovers no more than four attempts are in flight to it."""
    most = in_flight = 0

    async def count(_: object, writer: asyncio.StreamWriter) -> None:
        nonlocal most, in_flight
        in_flight += 1
        most = max(most, in_flight)
        for _turn in range(50):
            await asyncio.sleep(0)
        in_flight -= 1
        writer.write(answer(500))

    async with receiving() as receiver:
        receiver.by_hand = count
        post = sending(backend, store)
        await post.webhook(receiver.url, failing_since=START)
        await post.happen(*(f"r{number}" for number in range(40)))
        await receiver.got(40)
        await post.sender.idle()

    assert module.FEW_IN_FLIGHT_PER_ENDPOINT >= most > 0


# Crashes and shutdown


async def test_who_dies_before_settling_sends_again(backend: SqliteBackend) -> None:
    """At least once: after a crash between sending and settling the same id is sent again."""
    async with receiving() as receiver:
        async with backend.open() as store:
            post = sending(backend, store)
            await post.webhook(receiver.url)
            commit = store.commit

            def dies(writes: Commit) -> Awaitable[None]:
                if isinstance(writes[0], SettleWebhookDelivery):
                    raise StoreUnavailable(str(len(writes)))
                return commit(writes)

            store.commit = dies  # type: ignore[method-assign]  # the process ends here
            await post.happen("r1")
            await post.sender.idle()
            await post.settle()
            while_leased = len(receiver.received)
        async with backend.open() as store:
            await store.release_leases()
            post = sending(backend, store)
            await post.settle()
            await post.settle()

    first, second = receiver.received
    assert (1, first.headers["webhook-id"], first.body) == (
        while_leased,
        second.headers["webhook-id"],
        second.body,
    )


async def test_what_is_left_behind_is_found(backend: SqliteBackend, store: SqliteStore) -> None:
    """A scan alone sends what nobody was told of."""
    async with receiving() as receiver:
        post = sending(backend, store, listens=False)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1", "r2")
        before = len(receiver.received)

        await post.settle()

        assert (0, ["delivered"] * 2) == (before, await post.states(webhook))


async def test_a_lease_that_ends_soon_is_not_used(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What has waited so long behind a slow endpoint that its lease may end is given back."""
    async with receiving() as receiver:
        release = receiver.held()
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen(*(f"r{number}" for number in range(40)))
        await receiver.got(32)
        backend.clock.advance(module.LEASE_SECONDS - 15)
        release.set()
        await post.sender.idle()
        await post.settle()

        assert {"delivered"} == set(await post.states(webhook))
    assert (
        40
        == len(receiver.received)
        == len({one.headers["webhook-id"] for one in receiver.received})
    )
    late = [one for one in receiver.received if one.headers["webhook-timestamp"] != str(START)]
    assert 8 == len(late)


async def test_draining_finishes_what_is_in_flight_and_gives_back_the_rest(
    backend: SqliteBackend,
) -> None:
    """Nothing new begins, what was sent is settled, and what waits is free for the next process."""
    async with receiving() as receiver, backend.open() as store:
        release = receiver.held()
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen(*(f"r{number}" for number in range(40)))
        await receiver.got(32)
        draining = asyncio.create_task(post.sender.drain(60))
        await asyncio.sleep(0)
        release.set()

        ended = await draining
        await post.happen("r40")
        states = await post.states(webhook)
        claimed = await store.claim_webhook_deliveries(
            now=backend.clock.now(), lease_seconds=60, limit=100, busy=()
        )

    assert (True, 32, 9) == (ended, states.count("delivered"), states.count("queued"))
    assert (32, 9) == (len(receiver.received), len(claimed))


async def test_draining_cuts_off_what_does_not_end(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """After the cap nothing is waited for; it is still queued."""

    async def never(_: object, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()
        writer.close()

    async with receiving() as receiver:
        receiver.by_hand = never
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen("r1")
        await receiver.got(1)

        ended = await post.sender.drain(0.01)
        await post.egress.close()

        assert (False, 0, ["queued"]) == (
            ended,
            post.sender.in_flight,
            await post.states(webhook),
        )


async def test_a_store_that_is_away_is_asked_again(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """Where nothing can be claimed the next scan tries again."""
    async with receiving() as receiver:
        post = sending(backend, store, listens=False)
        await post.webhook(receiver.url)
        await post.happen("r1")
        with backend.unwritable():
            await post.settle()
        before = len(receiver.received)

        await post.settle()

    assert (0, 1) == (before, len(receiver.received))


async def test_nothing_secret_is_logged(
    backend: SqliteBackend, store: SqliteStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure's line names the host, and neither path, query, secret nor body."""
    async with receiving() as receiver:
        receiver.answers = [answer(500)]
        post = sending(backend, store)
        await post.webhook(receiver.url)
        await post.happen("r1", body=b"b0dy")
        await post.sender.idle()

    out = "".join(cast("tuple[str, str]", capsys.readouterr()))
    assert "webhook_attempt_failed" in out
    assert "localhost" in out
    assert not [one for one in ("c4n4ry", "/hooks", "b0dy", SECRET, SECRET[6:]) if one in out]


async def test_a_claim_that_breaks_is_not_the_end(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """A bug in one look for work is logged, and the next look finds what there is."""
    claim = store.claim_webhook_deliveries

    async def broken(**_: object) -> object:
        store.claim_webhook_deliveries = claim  # type: ignore[method-assign]  # once
        bug = "a bug of the store"
        raise RuntimeError(bug)

    async with receiving() as receiver:
        post = sending(backend, store)
        await post.webhook(receiver.url)
        await post.sender.idle()
        store.claim_webhook_deliveries = broken  # type: ignore[method-assign,assignment]  # breaks
        await post.happen("r1")
        await post.sender.idle()
        before = len(receiver.received)
        await post.settle()

    assert (0, 1) == (before, len(receiver.received))


async def test_draining_without_a_store_ends_too(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What cannot be given back stays leased, and is free at the next start."""
    async with receiving() as receiver:
        release = receiver.held()
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen(*(f"r{number}" for number in range(40)))
        await receiver.got(32)

        def away(writes: Commit) -> Awaitable[None]:
            raise StoreUnavailable(str(len(writes)))

        store.commit = away  # type: ignore[method-assign]  # as on a full disk
        release.set()
        ended = await post.sender.drain(60)

    assert (True, {"queued"}) == (ended, set(await post.states(webhook)))


async def test_what_waits_for_a_deleted_webhook_is_not_sent(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What was claimed and not begun when the webhook went goes with it."""
    async with receiving() as receiver:
        release = receiver.held()
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen(*(f"r{number}" for number in range(40)))
        await receiver.got(32)
        await store.commit((DeleteWebhook(webhook.webhook_id),))
        release.set()
        await post.sender.idle()

    assert 32 == len(receiver.received)


async def test_what_waits_for_one_that_asks_to_wait_is_given_back(
    backend: SqliteBackend, store: SqliteStore
) -> None:
    """What was claimed already is not sent to an endpoint that has just asked for time."""
    async with receiving() as receiver:
        release = receiver.held(answer(429, "retry-after: 60"))
        post = sending(backend, store)
        webhook = await post.webhook(receiver.url)
        await post.happen(*(f"r{number}" for number in range(40)))
        await receiver.got(32)
        release.set()
        await post.sender.idle()
        early = len(receiver.received)
        receiver.by_hand = None
        backend.clock.advance(120)
        await post.settle()

        assert (32, {"delivered"}) == (early, set(await post.states(webhook)))


async def test_few_secrets_are_kept_open(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The secret that was not used for the longest time is forgotten first."""
    monkeypatch.setattr(signing, "MAX_OPEN_SECRETS", 2)
    opened: list[bytes] = []
    vault = backend.vault

    class Counting(Vault):
        def __init__(self) -> None:
            """Opens with the vault of the test."""

        def open(self, sealed: bytes) -> bytes:
            opened.append(sealed)
            return vault.open(sealed)

    signer = signing.Signer(Counting())
    hooks = [replace(WEBHOOK, secret=vault.seal(SECRET.encode())) for _ in range(3)]
    for number in (0, 1, 0, 2, 0, 1):
        signer.headers(hooks[number], DELIVERY, START)

    assert [hooks[number].secret for number in (0, 1, 2, 1)] == opened
