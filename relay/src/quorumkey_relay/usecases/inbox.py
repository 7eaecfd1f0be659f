"""A device's view of the requests that name it (PROTOCOL §6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.store.writes import PutDelivery
from quorumkey_relay.usecases.ports import rate_limited
from quorumkey_relay.usecases.read import BAD_CURSOR, is_request_id
from quorumkey_relay.usecases.render import envelope_json, status_text
from quorumkey_relay.usecases.views import DeviceRequestView, Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.challenges import Challenges
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.usecases.ports import Limiter


@dataclass(frozen=True, slots=True, kw_only=True)
class Inbox:
    """Requests that name a device, as long as it is paired with who asks."""

    store: Store
    clock: Clock
    challenges: Challenges
    plan: DeliveryPlan
    device_limit: Limiter

    async def page(
        self, *, device: str, everything: bool, limit: int, cursor: str | None
    ) -> Page[DeviceRequestView] | Refusal:
        """Return a page, newest first: pending requests, or with ``everything`` ended ones too."""
        if (wait := self.device_limit.charge(device)) is not None:
            return rate_limited(wait)
        if cursor is not None and not await self._names(device, cursor):
            return BAD_CURSOR
        now = self.clock.now()
        found = await self._found(device, everything=everything, limit=limit, cursor=cursor)
        await self.store.settled()
        page = [
            self._view(stored, device, now)
            for stored in found[:limit]
            if self._shown(stored, device, now, everything=everything)
        ]
        more = len(found) > limit
        return Page(page, found[limit - 1].terms.request_id if more else None)

    async def _found(
        self, device: str, *, everything: bool, limit: int, cursor: str | None
    ) -> Sequence[Stored]:
        if everything:
            return await self.store.device_requests(device=device, before=cursor, limit=limit + 1)
        pending = reversed(self.store.pending_for(device))
        older = [s for s in pending if cursor is None or s.terms.request_id < cursor]
        return older[: limit + 1]

    async def read(self, *, device: str, request_id: str) -> DeviceRequestView | Refusal:
        """Return one request that names the device."""
        if (wait := self.device_limit.charge(device)) is not None:
            return rate_limited(wait)
        stored = await self._visible(device, request_id)
        if stored is None:
            return NOT_FOUND
        await self.store.settled()
        return self._view(stored, device, self.clock.now())

    async def acknowledge(self, *, device: str, request_id: str) -> Refusal | None:
        """Note that the request was shown to the person."""
        if (wait := self.device_limit.charge(device)) is not None:
            return rate_limited(wait)
        stored = await self._visible(device, request_id)
        if stored is None:
            return NOT_FOUND
        known = [d for d in await self.store.deliveries(request_id) if d.device == device]
        shown = self.plan.acknowledged(stored, device, known, self.clock.now())
        await self.store.commit(tuple(PutDelivery(delivery) for delivery in shown))
        return None

    def open_for(self, device: str) -> list[Stored]:
        """Return what a stream is sent after ``ready``: open requests, oldest first.

        That they are sent is noted in the delivery log.
        """
        now = self.clock.now()
        found = [
            stored
            for stored in self.store.pending_for(device)
            if self._shown(stored, device, now, everything=False)
        ]
        if found:
            sent = [self.plan.streamed(stored, device, now) for stored in found]
            self.store.commit(tuple(PutDelivery(delivery) for delivery in sent))
        return found

    async def _names(self, device: str, request_id: str) -> bool:
        """Say whether a page could end there: also at what is hidden since an unpairing."""
        stored = await self.store.load(request_id) if is_request_id(request_id) else None
        return stored is not None and device in stored.terms.seats

    async def _visible(self, device: str, request_id: str) -> Stored | None:
        if not is_request_id(request_id):
            return None
        stored = await self.store.load(request_id)
        if stored is None or not self._paired(stored, device):
            return None
        return stored

    def _paired(self, stored: Stored, device: str) -> bool:
        known = self.store.directory.device(device)
        return (
            known is not None
            and device in stored.terms.seats
            and known.paired_with(stored.terms.integrator_id)
        )

    def _shown(self, stored: Stored, device: str, now: int, *, everything: bool) -> bool:
        if not self._paired(stored, device):
            return False
        return everything or status_at(stored.terms, stored.state, now) is Status.PENDING

    def _view(self, stored: Stored, device: str, now: int) -> DeviceRequestView:
        terms, state = stored.terms, stored.state
        ballot = state.ballots.get(terms.voter(device))
        return DeviceRequestView(
            request_id=terms.request_id,
            request=envelope_json(stored.document),
            challenge=envelope_json(self.challenges.envelope(stored, device, now)),
            group=terms.groups[terms.seats[device].group],
            status=status_text(status_at(terms, state, now)),
            groups_satisfied_count=len(state.satisfied),
            groups_required=terms.required,
            my_decision=UNSET if ballot is None else ballot.choice,
        )
