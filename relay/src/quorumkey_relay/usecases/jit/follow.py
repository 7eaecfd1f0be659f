"""What comes of a request for a role, once its time is over or its signed request has ended.

Votes by a click, and what people do by themselves, are written down where they are made. Here is
what nobody does: an approval by devices becomes an activation, if those who asked and approved are
eligible still (C24); a time that is over is told; so is what ended the signed request otherwise.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.jit.request import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.transactions import Claim
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutAccessRequest, PutActivation, TakeClaim
from quorumkey_relay.usecases.jit.events import request_event
from quorumkey_relay.usecases.jit.grant import (
    MAX_CONFLICT_RETRIES,
    activation_of_request,
)
from quorumkey_relay.usecases.jit.ports import SourceUnavailable
from quorumkey_relay.usecases.protection.votes import lost_votes

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.request import AccessRequest, NotGranted
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.jit.endings import Endings
    from quorumkey_relay.usecases.jit.grant import Granter
    from quorumkey_relay.usecases.jit.ports import Bell, EligibilitySource, Executors

#: An approval waits because nobody can say who is eligible, or nothing grants roles in its project.
WAITING_ALARM: Final = "access_waiting"


def builtin_claim(activation: Activation, *, claim_id: str, now: int) -> Claim | None:
    """Return the claim of the relay itself on the signed request behind an activation, if any."""
    if activation.request_id is None:
        return None
    return Claim(
        claim_id=claim_id,
        request_id=activation.request_id,
        integrator_id=activation.integrator_id,
        executor="builtin",
        key_digest=hashlib.sha256(activation.activation_id.encode()).digest(),
        claimed_at=now,
        result_by=activation.end,
    )


@dataclass(slots=True, kw_only=True)
class Follower:
    """Knows what has become of a request for a role, and does what follows from it."""

    store: Store
    clock: Clock
    mint: Mint
    source: EligibilitySource
    executors: Executors
    granter: Granter
    endings: Endings
    alarms: Bell
    _waiting: set[str] = field(default_factory=set[str])

    def waits(self, access_request_id: str) -> bool:
        """Say whether an approval is to be looked at again soon."""
        return access_request_id in self._waiting

    async def follow(self, access_request_id: str) -> AccessRequest | None:
        """Do what follows from how a request stands now; return it as it is then.

        What was done already is not done again. An activation that comes of it is granted in a task
        of its own. Raises ``StoreUnavailable``.
        """
        for _ in range(MAX_CONFLICT_RETRIES):
            request = await self.store.access_request(access_request_id)
            if request is None or not request.is_open:
                self._stop_waiting(access_request_id)
                return request
            try:
                await self._follow(request)
            except Conflict:
                continue
            return await self.store.access_request(access_request_id)
        raise StoreUnavailable(access_request_id)

    async def _follow(self, request: AccessRequest) -> None:
        now = self.clock.now()
        stored = None if request.request_id is None else await self.store.load(request.request_id)
        signed = None
        if stored is not None:
            signed = lifecycle.status_at(stored.terms, stored.state, now)
        match status_at(request, signed, now):
            case Status.PENDING:
                pass
            case Status.APPROVED:
                await self._approved(request, stored, now)
            case Status.REJECTED:
                await self._denied(request, _said(request, stored, "deny"), now)
            case Status.CANCELLED:
                after = replace(request, withdrawn_at=now)
                told = request_event("jit.withdrawn", after, now=now, mint=self.mint)
                await self._close(request, after, (told,), now)
            case Status.TIMEOUT:
                told = request_event("jit.expired", request, now=now, mint=self.mint)
                await self._close(request, request, (told,), now)

    async def _denied(self, request: AccessRequest, denied: tuple[str, ...], now: int) -> None:
        """Tell of a request that too few can approve any more, because somebody's device went."""
        told: Commit = (request_event("jit.denied", request, now=now, mint=self.mint),)
        if denied:
            told = self.endings.denied(request, denied[-1], now)
        await self._close(request, request, told, now)

    async def _close(
        self, request: AccessRequest, after: AccessRequest, told: Commit, now: int
    ) -> None:
        closed = replace(after, closed_at=now, version=request.version + 1)
        await self.store.commit((PutAccessRequest(request, closed), *told))
        self._stop_waiting(request.id)

    async def _approved(self, request: AccessRequest, stored: Stored | None, now: int) -> None:
        approvers = _said(request, stored, "approve")
        start = request.start
        if request.window_from == "approval":
            start = _approved_at(request, stored, now)
        end = start + request.duration_seconds
        if now >= end or (stored is not None and now > stored.terms.use_by):
            await self._refuse(request, "window_over", now)
            return
        try:
            reason = await self._ineligible(request, approvers, stored)
        except SourceUnavailable:
            self._wait(request, "Nobody can say at the moment who is eligible for a role.")
            return
        if reason is not None:
            await self._refuse(request, reason, now)
            return
        executor = self.executors.for_project(request.entitlement.project)
        if executor is None:
            self._wait(request, "Nothing is set up that grants roles in the project of a request.")
            return
        activation = activation_of_request(
            request,
            approvers=approvers,
            executor=executor.name,
            start=start,
            now=now,
            mint=self.mint,
        )
        claim = builtin_claim(activation, claim_id=self.mint.uuid7(), now=now)
        writes: Commit = ()
        if claim is not None:
            activation = replace(activation, claim_id=claim.claim_id)
            writes = (TakeClaim(claim),)
        after = replace(
            request, activation_id=activation.activation_id, version=request.version + 1
        )
        writes += (PutAccessRequest(request, after), PutActivation(None, activation))
        if request.approval == "click":
            told = request_event("jit.approved", after, now=now, mint=self.mint, by=approvers)
            writes += (told,)
        await self.store.commit(writes)
        self._stop_waiting(request.id)
        self.granter.start(activation.activation_id)

    async def _ineligible(
        self, request: AccessRequest, approvers: tuple[str, ...], stored: Stored | None
    ) -> NotGranted | None:
        """Return who is not eligible any more; raises ``SourceUnavailable``."""
        named = request.entitlement
        if not await self.source.is_eligible(request.beneficiary, named, "MPA"):
            return "beneficiary_ineligible"
        for approver in approvers:
            if not await self.source.is_eligible(approver, named, "MPA"):
                return "reviewer_ineligible"
        if stored is not None and lost_votes(stored, self.store.directory, None):
            return "reviewer_ineligible"
        return None

    async def _refuse(self, request: AccessRequest, reason: NotGranted, now: int) -> None:
        after = replace(request, not_granted=reason, version=request.version + 1)
        told = request_event("jit.not_granted", after, now=now, mint=self.mint)
        await self.store.commit((PutAccessRequest(request, after), told))
        self._stop_waiting(request.id)

    def _wait(self, request: AccessRequest, sentence: str) -> None:
        self._waiting.add(request.id)
        self.alarms.raise_alarm(WAITING_ALARM, "eligibility", sentence)

    def _stop_waiting(self, access_request_id: str) -> None:
        self._waiting.discard(access_request_id)
        if not self._waiting:
            self.alarms.clear(WAITING_ALARM, "eligibility")


def _said(request: AccessRequest, stored: Stored | None, choice: str) -> tuple[str, ...]:
    """Return who approved, or denied, in the order in which they did."""
    if stored is None:
        return tuple(vote.reviewer for vote in request.votes if vote.choice == choice)
    return tuple(
        stored.terms.seats[ballot.device].person
        for ballot in stored.state.ballots.values()
        if ballot.choice == choice
    )


def _approved_at(request: AccessRequest, stored: Stored | None, now: int) -> int:
    """Return when the last vote came that was needed."""
    if stored is not None:
        return lifecycle.completed_at(stored.terms, stored.state, now) or now
    approvals = [vote.at for vote in request.votes if vote.choice == "approve"]
    return approvals[request.required - 1]
