"""A request for a role is read, approved by a click, denied by a click, or taken back.

An approval is judged in this order, each step alone able to refuse it (C24):

(1) the token is valid, and the request it leads to is known;
(2) who approves is not the beneficiary;
(3) who approves is a reviewer of the request;
(4) the justification still meets the criteria;
(5) duration and number of reviewers are still within the limits;
(6) the beneficiary is still eligible;
(7) who approves is still eligible, as a peer;
(8) with enough approvals, the role is granted.

With approval by device, (8) is reached by signed votes alone, which pass the same steps
(`quorumkey_relay.usecases.jit.votes`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec.structs import replace

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.jit.request import FORBIDDEN, status_at, vote
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutAccessRequest, PutActivation
from quorumkey_relay.usecases.jit.activate import GRANT_FAILED, NO_EXECUTOR
from quorumkey_relay.usecases.jit.events import request_event
from quorumkey_relay.usecases.jit.grant import activation_of_request, with_approver
from quorumkey_relay.usecases.jit.rules import still_allowed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.audit import Trail
    from quorumkey_relay.usecases.jit.eligible import Eligible
    from quorumkey_relay.usecases.jit.endings import Endings
    from quorumkey_relay.usecases.jit.find import FindRequest
    from quorumkey_relay.usecases.jit.grant import Granter
    from quorumkey_relay.usecases.jit.ports import Executors, JitRules, Person
    from quorumkey_relay.usecases.jit.shown import AccessViews
    from quorumkey_relay.usecases.jit.views import AccessRequestView

    T = TypeVar("T")

MAX_CONFLICT_RETRIES: Final = 8

REQUESTER = Refusal(
    "requester_cannot_approve", "Who asks for a role cannot approve it; somebody else has to."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReviewRequest:
    """What the parties to a request do with the token that leads to it."""

    store: Store
    clock: Clock
    mint: Mint
    rules: JitRules
    find: FindRequest
    eligible: Eligible
    executors: Executors
    granter: Granter
    endings: Endings
    views: AccessViews

    async def read(self, person: Person, token: str, trail: Trail) -> AccessRequestView | Refusal:
        """Return a request as one of its parties sees it (C33), also once it is over."""
        now = self.clock.now()
        request = await self.find(person, token, trail, now, to_read=True)
        if isinstance(request, Refusal):
            return request
        return await self.views.request(request, person.email, now)

    async def approve(
        self, person: Person, token: str, trail: Trail
    ) -> AccessRequestView | Refusal:
        """Count a reviewer's approval; the same again answers again."""
        return await _until_settled(lambda: self._approve(person, token, trail))

    async def deny(self, person: Person, token: str, trail: Trail) -> AccessRequestView | Refusal:
        """Count a reviewer's denial, which needs no eligibility; the same again answers again."""
        return await _until_settled(lambda: self._deny(person, token, trail))

    async def withdraw(
        self, person: Person, token: str, trail: Trail
    ) -> AccessRequestView | Refusal:
        """Take a request back, for who has made it; the same again answers again."""
        return await _until_settled(lambda: self._withdraw(person, token, trail))

    async def _approve(
        self, person: Person, token: str, trail: Trail
    ) -> AccessRequestView | Refusal:
        now = self.clock.now()
        request = await self._reviewed(person, token, trail, now)  # (1) to (3)
        if isinstance(request, Refusal):
            return request
        decided = _decided(request, person.email)
        if decided is not None:
            is_same = decided == "approve"
            return await self._answer(request, person, now) if is_same else _already(decided)
        status = status_at(request, None, now)
        if status not in {Status.PENDING, Status.APPROVED}:
            return lifecycle.request_completed(status)
        refused = still_allowed(request, self.rules)  # (4) and (5)
        if refused is None:
            refused = await self._ineligible(request, person.email)  # (6) and (7)
        if refused is not None:
            return refused
        if status is Status.APPROVED:
            return await self._approve_again(request, person, now)
        return await self._count(request, person, now)

    async def _count(
        self, request: AccessRequest, person: Person, now: int
    ) -> AccessRequestView | Refusal:
        """Count an approval; with the last that was needed, have the role granted."""
        after = vote(request, person.email, "approve", now)
        if status_at(after, None, now) is Status.APPROVED:
            return await self._grant(request, after, person, now)  # (8)
        await self.store.commit((PutAccessRequest(request, after),))
        return await self._answer(after, person, now)

    async def _reviewed(
        self, person: Person, token: str, trail: Trail, now: int
    ) -> AccessRequest | Refusal:
        """Return the request that a reviewer may decide by a click.

        Whoever is a party and not the beneficiary is a reviewer (3).
        """
        request = await self.find(person, token, trail, now)
        if isinstance(request, Refusal):
            return request
        if person.email == request.beneficiary:
            return REQUESTER
        if request.request_id is not None:
            return Refusal(
                "failed_precondition",
                "This request is decided on a paired device: open it there.",
                {"request_id": request.request_id},
            )
        return request

    async def _ineligible(self, request: AccessRequest, reviewer: str) -> Refusal | None:
        people = (request.beneficiary, reviewer)
        return await self.eligible.with_peers(people, request.entitlement)

    async def _grant(
        self, before: AccessRequest, voted: AccessRequest, person: Person, now: int
    ) -> AccessRequestView | Refusal:
        """Write down the last approval that was needed, with the activation, and have it granted.

        Where one who approved earlier is not eligible any more, nothing is granted.
        """
        earlier = tuple(one for one in voted.approvers if one != person.email)
        lost = await self.eligible.any_lost(earlier, voted.entitlement)
        if isinstance(lost, Refusal):
            return lost
        if lost:
            after = replace(voted, not_granted="reviewer_ineligible")
            told = request_event("jit.not_granted", after, now=now, mint=self.mint)
            await self.store.commit((PutAccessRequest(before, after), told))
            return await self._answer(after, person, now)
        executor = self.executors.for_project(voted.entitlement.project)
        if executor is None:
            return NO_EXECUTOR
        activation = activation_of_request(
            voted,
            approvers=voted.approvers,
            executor=executor.name,
            start=voted.start if voted.window_from == "request" else now,
            now=now,
            mint=self.mint,
        )
        after = replace(voted, activation_id=activation.activation_id)
        approved = request_event("jit.approved", after, now=now, mint=self.mint, by=after.approvers)
        await self.store.commit(
            (PutAccessRequest(before, after), PutActivation(None, activation), approved)
        )
        granted = await self.granter.grant_now(activation.activation_id)
        return GRANT_FAILED if granted.state == "failed" else await self._answer(after, person, now)

    async def _approve_again(
        self, request: AccessRequest, person: Person, now: int
    ) -> AccessRequestView | Refusal:
        """Add a further reviewer's approval: the time stays, the target names who was last."""
        activation = None
        if request.activation_id is not None:
            activation = await self.store.activation(request.activation_id)
        if (
            activation is None
            or activation.state not in {"granting", "active"}
            or now >= activation.end
        ):
            return lifecycle.request_completed(Status.APPROVED)
        after = vote(request, person.email, "approve", now)
        following = with_approver(activation, person.email, now=now)
        await self.store.commit(
            (PutAccessRequest(request, after), PutActivation(activation, following))
        )
        await self.granter.grant_now(activation.activation_id)
        return await self._answer(after, person, now)

    async def _deny(self, person: Person, token: str, trail: Trail) -> AccessRequestView | Refusal:
        now = self.clock.now()
        request = await self._reviewed(person, token, trail, now)
        if isinstance(request, Refusal):
            return FORBIDDEN if request is REQUESTER else request
        decided = _decided(request, person.email)
        if decided == "deny":
            return await self._answer(request, person, now)
        if decided is not None:
            return _already(decided)
        status = status_at(request, None, now)
        if status is not Status.PENDING:
            return lifecycle.request_completed(status)
        after = vote(request, person.email, "deny", now)
        if status_at(after, None, now) is Status.REJECTED:
            after = replace(after, closed_at=now)
            told = self.endings.denied(after, person.email, now)
        else:
            told = ()
        await self.store.commit((PutAccessRequest(request, after), *told))
        return await self._answer(after, person, now)

    async def _withdraw(
        self, person: Person, token: str, trail: Trail
    ) -> AccessRequestView | Refusal:
        now = self.clock.now()
        request = await self.find(person, token, trail, now)
        if isinstance(request, Refusal):
            return request
        if person.email != request.beneficiary:
            return FORBIDDEN
        if request.withdrawn_at is not None:
            return await self._answer(request, person, now)
        ended = await self.endings.withdrawn(request, now)
        if isinstance(ended, Refusal):
            return ended
        after, writes = ended
        await self.store.commit(writes)
        return await self._answer(after, person, now)

    async def _answer(
        self, request: AccessRequest, person: Person, now: int
    ) -> AccessRequestView | Refusal:
        return await self.views.request(request, person.email, now)


def _decided(request: AccessRequest, reviewer: str) -> str | None:
    """Return what a reviewer has said already."""
    for one in request.votes:
        if one.reviewer == reviewer:
            return one.choice
    return None


def _already(choice: str) -> Refusal:
    return Refusal(
        "already_decided",
        f"You have already decided: {choice}. A decision cannot be changed.",
        {"decision": choice},
    )


async def _until_settled(judge: Callable[[], Awaitable[T]]) -> T:
    """Judge again whenever somebody else has decided meanwhile."""
    for _ in range(MAX_CONFLICT_RETRIES):
        try:
            return await judge()
        except Conflict:
            continue
    message = "a request for a role keeps changing"
    raise StoreUnavailable(message)
