"""Signed votes on requests for roles: who may approve is found out at that moment (C24)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.domain.lifecycle import request_completed, status_at
from quorumkey_relay.domain.model import Resolved, Status
from quorumkey_relay.store.writes import PutAccessRequest
from quorumkey_relay.usecases.jit.audit import Trail
from quorumkey_relay.usecases.jit.events import request_event
from quorumkey_relay.usecases.jit.ports import Person
from quorumkey_relay.usecases.jit.rules import still_allowed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.domain.model import Choice, Event, State
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.jit.audit import AuditCall
    from quorumkey_relay.usecases.jit.eligible import Eligible
    from quorumkey_relay.usecases.jit.endings import Endings
    from quorumkey_relay.usecases.jit.ports import JitRules

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleVotes:
    """Judges who may approve a role, and tells what a vote has led to, in its commit."""

    store: Store
    mint: Mint
    rules: JitRules
    eligible: Eligible
    endings: Endings

    async def refused(
        self, stored: Stored, device: str, choice: Choice, now: int
    ) -> Refusal | None:
        """Refuse an approval that may not count any more; a denial needs no eligibility.

        What would not be counted anyway is left to the request to say.
        """
        terms, state = stored.terms, stored.state
        if choice == "deny" or status_at(terms, state, now) is not Status.PENDING:
            return None
        if terms.voter(device) in state.ballots or not terms.seats[device].may_approve:
            return None
        request = await self.store.access_request_of(terms.request_id)
        if request is None:
            return FORBIDDEN
        if request.closed_at is not None:  # and the clock was set back since
            return request_completed(Status.TIMEOUT)
        people = (request.beneficiary, terms.seats[device].person)
        return still_allowed(request, self.rules) or await self.eligible.with_peers(
            people, request.entitlement
        )

    async def logged(
        self,
        stored: Stored,
        device: str,
        choice: Choice,
        judge: Callable[[], Awaitable[T | Refusal]],
    ) -> T | Refusal:
        """Return what a vote is answered, once it is logged as a click would be (C39)."""
        call: AuditCall = "api.activateRole" if choice == "approve" else "api.denyRequest"
        trail = Trail(call, Person(email=stored.terms.seats[device].person))
        trail.about(device=device, request_id=stored.terms.request_id)
        return await trail.follow(self._judged(stored, trail, judge))

    async def _judged(
        self, stored: Stored, trail: Trail, judge: Callable[[], Awaitable[T | Refusal]]
    ) -> T | Refusal:
        request = await self.request(stored)
        if request is not None:
            trail.about_request(request)
        return await judge()

    async def request(self, stored: Stored) -> AccessRequest | None:
        """Return the request for a role that a signed request belongs to."""
        return await self.store.access_request_of(stored.terms.request_id)

    def follow(
        self,
        request: AccessRequest | None,
        stored: Stored,
        events: tuple[Event, ...],
        after: State,
        now: int,
    ) -> Commit:
        """Return what the vote that made ``events`` has led to, for the commit that counts it."""
        last = events[-1] if events else None
        if request is None or not isinstance(last, Resolved):
            return ()
        people = [
            stored.terms.seats[ballot.device].person
            for ballot in after.ballots.values()
            if ballot.choice == ("approve" if last.status is Status.APPROVED else "deny")
        ]
        if last.status is Status.APPROVED:
            return (
                request_event("jit.approved", request, now=now, mint=self.mint, by=tuple(people)),
            )
        closed = replace(request, closed_at=now, version=request.version + 1)
        return (PutAccessRequest(request, closed), *self.endings.denied(closed, people[-1], now))
