"""Claims on approvals: taken once, read, and settled with what became of the call (B13, B14)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import UNSET, UnsetType

from quorumkey.errors import ProtocolError
from quorumkey.protocol import format_time
from quorumkey_relay.domain.forms import FORMS
from quorumkey_relay.domain.lifecycle import request_completed, status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.domain.transactions import RESULT_WITHIN_SECONDS, Claim
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import SettleClaim, TakeClaim
from quorumkey_relay.usecases.protection.endings import settled_claim, told_of_result
from quorumkey_relay.usecases.protection.message import claim_key_digest, is_digest
from quorumkey_relay.usecases.protection.views import ClaimView
from quorumkey_relay.usecases.read import NOT_COMPLETED, is_request_id, own_request

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.model import Terms
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.protection.commands import ResultBody

MAX_CONFLICT_RETRIES: Final = 8

NOT_CLAIMED_HERE = Refusal(
    "failed_precondition",
    "This approval is claimed by issuing the approved call again, not by its request's id.",
)
CLAIMED = Refusal(
    "request_completed",
    "This approval has been claimed already, under another claim_key.",
    {"status": "claimed"},
)
LAPSED = Refusal(
    "request_completed",
    "This approval was not claimed before its use_by; ask for a new one.",
    {"status": "lapsed"},
)
OTHER_RESULT = Refusal(
    "request_completed", "This claim has another result already; a result is never changed."
)
TOO_LATE = Refusal(
    "request_completed",
    "No result came within the time for it; what became of the call stays indeterminate.",
    {"status": "indeterminate"},
)


def claim_view(claim: Claim, now: int) -> ClaimView:
    """Return a claim as it is at ``now``: one without a result in time is indeterminate."""
    result = claim.result
    if result is None and now >= claim.result_by:
        result = "indeterminate"
    return ClaimView(
        claim_id=claim.claim_id,
        txid=claim.request_id,
        executor=claim.executor,
        claimed_at=format_time(claim.claimed_at),
        result_by=format_time(claim.result_by),
        completed_at=UNSET if claim.completed_at is None else format_time(claim.completed_at),
        result=UNSET if result is None else result,
        result_digest=UNSET if claim.result_digest is None else claim.result_digest,
        execution=UNSET if claim.execution is None else msgspec.Raw(claim.execution),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRequest:
    """The integrator claims an approval that it acts on by itself."""

    store: Store
    clock: Clock
    mint: Mint

    async def __call__(
        self, *, integrator_id: str, request_id: str, claim_key: str
    ) -> ClaimView | Refusal:
        """Return the one claim on a request; the same key gets it again, any other is refused."""
        key_digest = claim_key_digest(claim_key)
        now = self.clock.now()
        for _ in range(MAX_CONFLICT_RETRIES):
            try:
                claim = await self._claim(integrator_id, request_id, key_digest, now)
            except Conflict:
                continue
            return claim if isinstance(claim, Refusal) else claim_view(claim, now)
        raise StoreUnavailable(request_id)

    async def _claim(
        self, integrator_id: str, request_id: str, key_digest: bytes, now: int
    ) -> Claim | Refusal:
        stored = await own_request(self.store, integrator_id, request_id)
        if stored is None:
            return NOT_FOUND
        terms = stored.terms
        if FORMS[terms.profile].executor != "integrator":
            return NOT_CLAIMED_HERE
        taken = await self.store.claim_of(request_id)
        if taken is not None:
            await self.store.settled()
            return taken if taken.key_digest == key_digest else CLAIMED
        refused = _why_not(terms, status_at(terms, stored.state, now), now)
        if refused is not None:
            return refused
        claim = Claim(
            claim_id=self.mint.uuid7(),
            request_id=request_id,
            integrator_id=integrator_id,
            executor="integrator",
            key_digest=key_digest,
            claimed_at=now,
            result_by=now + RESULT_WITHIN_SECONDS,
        )
        await self.store.commit((TakeClaim(claim),))
        return claim


def _why_not(terms: Terms, status: Status, now: int) -> Refusal | None:
    """Return why a request cannot be claimed, if it has no claim yet."""
    if status is Status.PENDING:
        return NOT_COMPLETED
    if status is not Status.APPROVED:
        return request_completed(status)
    return LAPSED if now > terms.use_by else None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadClaim:
    """One claim of an integrator."""

    store: Store
    clock: Clock

    async def __call__(self, *, integrator_id: str, claim_id: str) -> ClaimView | Refusal:
        """Return a claim, durable."""
        claim = await own_claim(self.store, integrator_id, claim_id)
        if claim is None:
            return NOT_FOUND
        await self.store.settled()
        return claim_view(claim, self.clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class SettleCall:
    """Whoever claimed an approval says what became of the call."""

    store: Store
    clock: Clock
    mint: Mint
    keys: RelayKeys

    async def __call__(
        self, *, integrator_id: str, claim_id: str, body: ResultBody
    ) -> ClaimView | Refusal:
        """Return the claim with its result; the same result again gets the same answer.

        Raises ``ProtocolError`` for a malformed digest, and ``StoreUnavailable``.
        """
        digest = body.result_digest
        if not isinstance(digest, UnsetType) and not is_digest(digest):
            message = "result_digest must be sha256: and 64 hex digits."
            raise ProtocolError("invalid_request", message)
        now = self.clock.now()
        for _ in range(MAX_CONFLICT_RETRIES):
            try:
                claim = await self._settle(integrator_id, claim_id, body, now)
            except Conflict:
                continue
            return claim if isinstance(claim, Refusal) else claim_view(claim, now)
        raise StoreUnavailable(claim_id)

    async def _settle(
        self, integrator_id: str, claim_id: str, body: ResultBody, now: int
    ) -> Claim | Refusal:
        claim = await own_claim(self.store, integrator_id, claim_id)
        if claim is None:
            return NOT_FOUND
        digest = None if isinstance(body.result_digest, UnsetType) else body.result_digest
        if claim.result is not None:
            await self.store.settled()
            if claim.result == "indeterminate":
                return TOO_LATE
            is_same = (claim.result, claim.result_digest) == (body.result, digest)
            return claim if is_same else OTHER_RESULT
        if now >= claim.result_by:
            return TOO_LATE
        stored = await self.store.load(claim.request_id)
        if stored is None:
            return NOT_FOUND
        settled = settled_claim(
            claim, stored.terms, body.result, keys=self.keys, now=now, result_digest=digest
        )
        told = await told_of_result(self.store, settled, mint=self.mint, now=now)
        await self.store.commit((SettleClaim(settled), *told))
        return settled


async def own_claim(store: Store, integrator_id: str, claim_id: str) -> Claim | None:
    """Return a claim of this integrator, or None for anybody else's and none at all."""
    if not is_request_id(claim_id):
        return None
    claim = await store.claim(claim_id)
    return None if claim is None or claim.integrator_id != integrator_id else claim
