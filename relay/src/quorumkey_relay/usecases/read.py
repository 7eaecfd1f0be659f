"""An integrator reads and cancels its requests (PROTOCOL §5 Reading)."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Kind, Receipt, check_uuid7, sign
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.usecases.advance import advance
from quorumkey_relay.usecases.render import encode, request_from, request_of
from quorumkey_relay.usecases.views import (
    DeliveriesView,
    DeliveryCountsView,
    GroupDeliveriesView,
    Page,
    RequestView,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quorumkey.protocol import Envelope, FinalStatus
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Delivery, Evidence, Stored
    from quorumkey_relay.usecases.bulletin import Bulletin

BAD_CURSOR = Refusal("invalid_request", "cursor: this is not a cursor of this list.")
PEOPLE_DECIDE = Refusal(
    "forbidden", "A call of a protected method is taken back by who made it, on a paired device."
)
NOT_COMPLETED = Refusal(
    "not_completed", "This request is still pending; its receipt comes with its end."
)


_FINAL: Final[Mapping[Status, FinalStatus]] = MappingProxyType(
    {
        Status.APPROVED: "approved",
        Status.REJECTED: "rejected",
        Status.TIMEOUT: "timeout",
        Status.CANCELLED: "cancelled",
    }
)


def is_request_id(text: str) -> bool:
    """Say whether ``text`` can be a request's id; what cannot is just not found."""
    try:
        check_uuid7(text, field="request_id")
    except ProtocolError:
        return False
    return True


async def own_request(store: Store, integrator_id: str, request_id: str) -> Stored | None:
    """Return a request of this integrator, or None for anybody else's and none at all."""
    if not is_request_id(request_id):
        return None
    stored = await store.load(request_id)
    if stored is None or stored.terms.integrator_id != integrator_id:
        return None
    return stored


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRequest:
    """One request, at once or as soon as it has ended."""

    store: Store
    clock: Clock
    bulletin: Bulletin

    async def __call__(
        self, *, integrator_id: str, request_id: str, wait_seconds: int = 0
    ) -> RequestView | Refusal:
        """Return the request object; waits up to ``wait_seconds`` while it is pending."""
        view = await self._read(integrator_id, request_id)
        if wait_seconds == 0 or isinstance(view, Refusal) or view.status != "pending":
            return view
        with self.bulletin.watch_request(request_id) as ended:
            # It may have ended between the read and the watch.
            view = await self._read(integrator_id, request_id)
            if isinstance(view, Refusal) or view.status != "pending":
                return view
            await ended.wait(wait_seconds)
        return await self._read(integrator_id, request_id)

    async def _read(self, integrator_id: str, request_id: str) -> RequestView | Refusal:
        if not is_request_id(request_id):
            return NOT_FOUND
        summary = await self.store.summary(request_id)
        if summary is None or summary.integrator_id != integrator_id:
            return NOT_FOUND
        return request_from(summary, self.clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequests:
    """Requests of an integrator, newest first."""

    store: Store
    clock: Clock

    async def __call__(
        self, *, integrator_id: str, status: str | None, limit: int, cursor: str | None
    ) -> Page[RequestView] | Refusal:
        """Return a page; ``cursor`` is the id of the last request of the page before."""
        if cursor is not None and await own_request(self.store, integrator_id, cursor) is None:
            return BAD_CURSOR
        now = self.clock.now()
        found = await self.store.summaries(
            integrator_id=integrator_id,
            status=None if status is None else Status(status),
            before=cursor,
            limit=limit + 1,
            now=now,
        )
        page = [request_from(summary, now) for summary in found[:limit]]
        return Page(page, page[-1].request_id if len(found) > limit else None)


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelRequest:
    """The integrator takes a pending request back."""

    store: Store
    clock: Clock
    mint: Mint
    plan: DeliveryPlan

    async def __call__(self, *, integrator_id: str, request_id: str) -> RequestView | Refusal:
        """Return the cancelled request; one that ended otherwise refuses."""
        now = self.clock.now()
        while True:
            stored = await own_request(self.store, integrator_id, request_id)
            if stored is None:
                return NOT_FOUND
            if not stored.terms.form.integrator_cancels:
                return PEOPLE_DECIDE
            outcome = lifecycle.cancel(stored.terms, stored.state, now)
            if outcome.refusal is not None or not outcome.events:
                await self.store.settled()
                return outcome.refusal or request_of(stored, now)
            _, writes = advance(stored, outcome.events, now=now, mint=self.mint, plan=self.plan)
            try:
                await self.store.commit(writes)
            except Conflict:
                continue
            return request_of(stored, now)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadReceipt:
    """The evidence of a finished request (PROTOCOL §8)."""

    store: Store
    clock: Clock
    keys: RelayKeys

    async def __call__(self, *, integrator_id: str, request_id: str) -> bytes | Refusal:
        """Return the receipt envelope as JSON; a pending request has none yet."""
        now = self.clock.now()
        stored = await own_request(self.store, integrator_id, request_id)
        if stored is None:
            return NOT_FOUND
        status = lifecycle.status_at(stored.terms, stored.state, now)
        if status is Status.PENDING:
            return NOT_COMPLETED
        evidence = await self.store.evidence(request_id) if status is Status.APPROVED else ()
        await self.store.settled()
        return receipt_of(stored, evidence, keys=self.keys, now=now)


def receipt_of(stored: Stored, evidence: Sequence[Evidence], *, keys: RelayKeys, now: int) -> bytes:
    """Return the receipt envelope of a finished request as JSON; ``evidence`` of an approved one.

    It holds the approvals that satisfied the groups: the first of each.
    """
    first: dict[int, Envelope] = {}
    for one in evidence:
        if one.choice == "approve":
            first.setdefault(stored.terms.seats[one.device].group, one.envelope)
    receipt = Receipt(
        status=_FINAL[lifecycle.status_at(stored.terms, stored.state, now)],
        completed_at=lifecycle.completed_at(stored.terms, stored.state, now) or now,
        request=stored.document,
        decisions=tuple(first[group] for group in stored.state.satisfied) if first else (),
    )
    envelope = sign(Kind.RECEIPT, encode(receipt.to_json()), keys.current(now))
    return encode(envelope.to_json())


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDeliveries:
    """How far a request's notifications got, by group and channel; never who."""

    store: Store

    async def __call__(self, *, integrator_id: str, request_id: str) -> DeliveriesView | Refusal:
        """Return counts of delivery states."""
        stored = await own_request(self.store, integrator_id, request_id)
        if stored is None:
            return NOT_FOUND
        counts: list[dict[str, dict[str, int]]] = [{} for _ in stored.terms.groups]
        for delivery in await self.store.deliveries(request_id):
            # What withdraws a message notifies nobody.
            if delivery.kind == "approval_request":
                self._count(counts[stored.terms.seats[delivery.device].group], delivery)
        return DeliveriesView(
            request_id=request_id,
            groups=[
                GroupDeliveriesView(
                    group=name,
                    channels={
                        channel: DeliveryCountsView(**states)
                        for channel, states in sorted(group.items())
                    },
                )
                for name, group in zip(stored.terms.groups, counts, strict=True)
            ],
        )

    def _count(self, group: dict[str, dict[str, int]], delivery: Delivery) -> None:
        states = group.setdefault(delivery.channel, {})
        states[delivery.state] = states.get(delivery.state, 0) + 1
