"""Whatever happens between: an event reaches each webhook, after those of its subject before it."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.backends import SqliteBackend
from tests.contract.hooks import LEASE_SECONDS, about, claim, happen, hooked, settle

from quorumkey_relay.store.writes import PutWebhook, QueueWebhookDelivery, SettleWebhookDelivery

if TYPE_CHECKING:
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Webhook, WebhookDelivery

ROUNDS = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
WEBHOOKS = 2
#: A webhook, and an event or a subject.
Name = tuple[str, str]
#: A kind of step, and a number that chooses among what there is.
Step = tuple[str, int]
ENDS = ("deliver", "retry", "give up", "give back")
#: What happens most stands there more than once.
KINDS = (*("happen", "claim") * 4, *ENDS, "again", "wait", "restart", "switch")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 7)), min_size=15, max_size=40)


@dataclass
class Course:
    """A store that is opened again at times, and what must be true of it."""

    backend: SqliteBackend
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    webhooks: list[Webhook] = field(default_factory=list["Webhook"])
    #: Event ids in order, by webhook and subject, and those that are queued.
    order: dict[Name, list[str]] = field(default_factory=dict["Name", "list[str]"])
    queued: set[Name] = field(default_factory=set["Name"])
    tried: list[WebhookDelivery] = field(default_factory=list["WebhookDelivery"])

    @property
    def now(self) -> int:
        """What the clock says."""
        return self.backend.clock.now()

    async def open(self) -> Store:
        """The store, opened anew; nobody is trying anything any more."""
        await self.stack.aclose()
        store = await self.stack.enter_async_context(self.backend.open())
        await store.release_leases()
        self.tried.clear()
        return store

    async def claim(self, store: Store, limit: int) -> list[WebhookDelivery]:
        """Claim, and check that each may be tried now by nobody else."""
        found = await claim(store, now=self.now, limit=limit)
        held = {(one.webhook_id, one.event_id) for one in self.tried if one.leased_until > self.now}
        for one in found:
            name, subject = (one.webhook_id, one.event_id), (one.webhook_id, one.subject)
            waiting = [e for e in self.order[subject] if (one.webhook_id, e) in self.queued]
            webhook = store.directory.webhook(one.webhook_id)
            assert webhook is not None
            assert "active" == webhook.status
            assert waiting[0] == one.event_id
            assert name not in held
        self.tried += found
        return found

    async def take(self, store: Store, kind: str, number: int) -> Store:
        """Let one thing happen."""
        webhook = store.directory.webhook(self.webhooks[number % WEBHOOKS].webhook_id)
        assert webhook is not None
        if kind == "happen":
            event = about(f"s{number % 3}")
            await happen(store, event)
            for one in self.webhooks:
                known = store.directory.webhook(one.webhook_id)
                if known is not None and known.status == "active":
                    events = self.order.setdefault((one.webhook_id, event.subject), [])
                    events.append(event.id)
                    self.queued.add((one.webhook_id, event.id))
        elif kind == "claim":
            await self.claim(store, number + 1)
        elif kind == "wait":
            self.backend.clock.advance(LEASE_SECONDS * number // 3)
        elif kind == "restart":
            return await self.open()
        elif kind == "switch":
            is_active = webhook.status == "active"
            switched = replace(webhook, status="disabled" if is_active else "active")
            await store.commit((PutWebhook(switched),))
        elif kind == "again":
            await self.send_again(store, number)
        elif self.tried:
            await self.settle(store, kind, self.tried.pop(number % len(self.tried)))
        return store

    async def send_again(self, store: Store, number: int) -> None:
        """Queue something again, whatever became of it."""
        known = sorted((w, e) for (w, _), events in self.order.items() for e in events)
        if known:
            name = known[number % len(known)]
            until = self.now + 10**6
            await store.commit((QueueWebhookDelivery(*name, self.now, until),))
            self.queued.add(name)

    async def settle(self, store: Store, kind: str, one: WebhookDelivery) -> None:
        """End one try."""
        name = (one.webhook_id, one.event_id)
        if kind == "give back":
            await store.commit((SettleWebhookDelivery(one, None),))
        elif kind == "deliver":
            await settle(store, one, "delivered", at=self.now)
            self.queued.discard(name)
        elif kind == "retry":
            await settle(store, one, "queued", at=self.now, next_at=self.now + 5)
        else:
            await settle(store, one, "failed", at=self.now)
            found = await store.webhook_delivery(webhook_id=name[0], event_id=name[1])
            assert found is not None
            if found[0].state == "failed":  # not where it was queued again meanwhile
                self.queued.discard(name)


async def play(folder: Path, steps: list[Step]) -> None:
    """Let it all happen; then what is queued is delivered, and nothing else is left."""
    course = Course(SqliteBackend(folder))
    store = await course.open()
    course.webhooks = [await hooked(store) for _ in range(WEBHOOKS)]
    for kind, number in steps:
        store = await course.take(store, kind, number)
    store = await course.open()
    await store.commit(tuple(PutWebhook(one) for one in course.webhooks))
    course.backend.clock.advance(LEASE_SECONDS)
    while found := await course.claim(store, 8):
        for one in found:
            course.tried.remove(one)
            await course.settle(store, "deliver", one)
    assert set() == course.queued
    await course.stack.aclose()


@ROUNDS
@given(steps=STEPS)
def test_nothing_is_lost_or_overtaken(steps: list[Step]) -> None:
    """Events, claims, failures, restarts and switches in any order: each delivery ends, in turn."""
    with TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), steps))
