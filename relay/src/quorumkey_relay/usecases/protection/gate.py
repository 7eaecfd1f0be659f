"""The gate in front of a protected method: proceed, wait for others, or run once (B1, B2, B9-B14).

A call that waits is an approval request beside a `Transaction`. What decides is read and what
follows from it is committed in one turn of the event loop, so of any number of calls that share a
match key one opens a request and one claims an approval; the store's compare-and-set is the net
below.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from quorumkey.protocol import CallerKind, JsonValue, TransactionState
from quorumkey_relay.domain.forms import Executor
from quorumkey_relay.domain.protection import Protection
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import (
    RESULT_WITHIN_SECONDS,
    Caller,
    Claim,
    Transaction,
    state_at,
)
from quorumkey_relay.identity.principals import Integrator
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.records import Stored
from quorumkey_relay.store.writes import SettleClaim, TakeClaim
from quorumkey_relay.usecases.protection.audit import audit
from quorumkey_relay.usecases.protection.endings import VOTES_LOST, lapse, settled_claim
from quorumkey_relay.usecases.protection.message import (
    Message,
    claim_key_digest,
    match_key,
    resource_text,
)
from quorumkey_relay.usecases.protection.open import by
from quorumkey_relay.usecases.protection.votes import good_votes

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.conditions import Conditions
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit, Write
    from quorumkey_relay.usecases.protection.open import OpenProtectedCall
    from quorumkey_relay.usecases.protection.watch import ProtectionWatch

MAX_CONFLICT_RETRIES: Final = 8

ProceedReason = Literal["disabled", "api_key_excluded", "unprotected", "condition_false"]


class GatedCall(Struct, frozen=True, kw_only=True):
    """A call as its service received it; the texts of ``method`` and ``caller`` are checked.

    ``resource`` is what the call acts on, and ``resource_failed`` that it could not be found.
    """

    integrator: Integrator
    method: str
    caller: Caller
    message: Message
    claim_key: str
    resource: Mapping[str, JsonValue] | None = None
    resource_failed: bool = False
    executor: Executor = "reissue"


class Proceed(Struct, frozen=True):
    """The call needs no approval."""

    reason: ProceedReason
    revision: int


class Waiting(Struct, frozen=True):
    """The call must not run before its transaction is approved."""

    transaction: Transaction
    stored: Stored
    revision: int


class Running(Struct, frozen=True):
    """The call has been approved, and claimed for whoever is told this."""

    transaction: Transaction
    stored: Stored
    claim: Claim
    revision: int


Outcome = Proceed | Waiting | Running


def passes(
    protection: Protection | None, method: str, caller_kind: CallerKind
) -> ProceedReason | None:
    """Return why a call needs no approval whatever it carries; None where it may need one (B1)."""
    if protection is None or not protection.settings.enabled:
        return "disabled"
    if caller_kind == "api_key" and protection.settings.exclude_api_keys:
        return "api_key_excluded"
    return "unprotected" if protection.condition(method) is None else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """Decides about calls, opens transactions and claims approvals."""

    store: Store
    clock: Clock
    mint: Mint
    keys: RelayKeys
    conditions: Conditions
    watch: ProtectionWatch
    opening: OpenProtectedCall

    async def enter(
        self, call: GatedCall, *, effect: Callable[[], Commit | Refusal] | None = None
    ) -> Outcome | Refusal:
        """Return what becomes of a call; what it says is durable.

        ``effect`` is what a method of the relay itself does: where the call may run, its writes
        are in the commit that claims the approval, together with the result; what it refuses
        claims nothing. Where the call proceeds, they are left to the caller.

        Raises ``ProtocolError`` for a request, claim key or resource that is malformed, and
        ``StoreUnavailable``.
        """
        for _ in range(MAX_CONFLICT_RETRIES):
            try:
                return await self._decide(call, effect)
            except Conflict:
                continue
        message = "the transactions of a call keep changing"
        raise StoreUnavailable(message)

    async def _decide(
        self, call: GatedCall, effect: Callable[[], Commit | Refusal] | None
    ) -> Outcome | Refusal:
        protection = await self.watch.current(call.integrator.id)
        reason = passes(protection, call.method, call.caller.kind)
        if protection is None or reason is not None:
            return Proceed(reason or "disabled", 0 if protection is None else protection.revision)
        resource = resource_text(call.resource, failed=call.resource_failed)
        condition = protection.condition(call.method) or ""
        if not self._waits(call, protection, condition):
            return Proceed("condition_false", protection.revision)
        return await self._pass_gate(
            _Attempt(
                call=call,
                protection=protection,
                condition=condition,
                match_key=match_key(call.method, call.caller, call.message.digest, resource),
                key_digest=claim_key_digest(call.claim_key),
                now=self.clock.now(),
            ),
            effect,
        )

    def _waits(self, call: GatedCall, protection: Protection, condition: str) -> bool:
        """Evaluate a condition; what cannot be evaluated waits (B19)."""
        if not condition or call.resource_failed or not call.message.is_seen:
            return True
        method = protection.method(call.method)
        if call.resource is None and method is not None and method.resolver:
            return True  # its service forgot to look, so nobody knows what the call acts on
        return self.conditions.waits(condition, call.message.view, call.resource)

    async def _pass_gate(
        self, attempt: _Attempt, effect: Callable[[], Commit | Refusal] | None
    ) -> Outcome | Refusal:
        lost = await self._lost_answer(attempt)
        if lost is not None:
            return lost
        found = self._find(attempt)
        if found is None:
            return await self._open(attempt)
        stored = await self.store.load(found.request_id)
        # It may have been claimed or withdrawn while it was loaded; from here on nothing can.
        if stored is None or self._find(attempt) != found:
            raise Conflict(found.request_id)
        state = state_at(found, stored.terms, stored.state, attempt.now)
        if state is TransactionState.REQUESTED:
            await self.store.settled()
            return Waiting(found, stored, attempt.protection.revision)
        if state is not TransactionState.APPROVED:
            return await self._open(attempt)
        directory = self.store.directory
        if not good_votes(stored, directory, directory.protection(found.integrator_id)):
            # Somebody lost the device or the role since: their vote counts no more (B30).
            return await self._open(attempt, instead_of=found)
        return await self._claim(attempt, found, stored, effect)

    def _find(self, attempt: _Attempt) -> Transaction | None:
        return self.store.find_transaction(attempt.call.integrator.id, attempt.match_key)

    async def _lost_answer(self, attempt: _Attempt) -> Running | None:
        """Return the claim whose answer was lost: the one that was taken under the same key."""
        found = self.store.find_claimed(
            attempt.call.integrator.id, attempt.match_key, attempt.key_digest
        )
        claim = None if found is None else found.claim
        if found is None or claim is None or attempt.now >= claim.result_by:
            return None
        stored = await self.store.load(found.request_id)
        await self.store.settled()
        newest = await self.store.claim(claim.claim_id)
        if stored is None or newest is None or newest.result is not None:
            return None
        return Running(found, stored, newest, attempt.protection.revision)

    async def _open(
        self, attempt: _Attempt, *, instead_of: Transaction | None = None
    ) -> Waiting | Refusal:
        """Open a new request; one whose votes no longer count lapses in the same commit."""
        opened = self.opening(
            attempt.call,
            attempt.protection,
            condition=attempt.condition,
            match_key=attempt.match_key,
            now=attempt.now,
        )
        lapsed: Commit = ()
        if instead_of is not None:
            lapsed = lapse(instead_of, VOTES_LOST, at=attempt.now, mint=self.mint)
        if isinstance(opened, Refusal):
            if lapsed:
                await self.store.commit(lapsed)
            return opened
        await self.store.commit((*lapsed, *opened.writes))
        return Waiting(opened.transaction, opened.stored, attempt.protection.revision)

    async def _claim(
        self,
        attempt: _Attempt,
        transaction: Transaction,
        stored: Stored,
        effect: Callable[[], Commit | Refusal] | None,
    ) -> Running | Refusal:
        """Consume an approval, before anything runs (B13, B14)."""
        now = attempt.now
        claim = Claim(
            claim_id=self.mint.uuid7(),
            request_id=transaction.request_id,
            integrator_id=transaction.integrator_id,
            executor=attempt.call.executor,
            key_digest=attempt.key_digest,
            claimed_at=now,
            result_by=now + RESULT_WITHIN_SECONDS,
        )
        follows: tuple[Write, ...] = ()
        newest = claim
        if effect is not None:
            made = effect()
            if isinstance(made, Refusal):
                return made
            newest = settled_claim(claim, stored.terms, "ok", keys=self.keys, now=now)
            executed = self._told("protected_method.executed", transaction, claim, now)
            follows = (*made, SettleClaim(newest), executed)
        claimed = self._told("protected_method.claimed", transaction, claim, now)
        await self.store.commit((TakeClaim(claim), claimed, *follows))
        return Running(
            replace(transaction, claim=newest), stored, newest, attempt.protection.revision
        )

    def _told(
        self,
        kind: Literal["protected_method.claimed", "protected_method.executed"],
        transaction: Transaction,
        claim: Claim,
        now: int,
    ) -> Write:
        return audit(
            kind,
            integrator_id=transaction.integrator_id,
            subject=transaction.request_id,
            now=now,
            mint=self.mint,
            method=transaction.method,
            by=by(transaction.caller),
            claim_id=claim.claim_id,
        )


class _Attempt(Struct, frozen=True, kw_only=True):
    """A call at the gate, with what was found out about it; ``now`` is read once."""

    call: GatedCall
    protection: Protection
    condition: str
    match_key: bytes
    key_digest: bytes
    now: int
