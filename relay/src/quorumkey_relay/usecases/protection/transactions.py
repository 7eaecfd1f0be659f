"""Transactions as services and administrators see them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import msgspec
from msgspec import UNSET, Struct, UnsetType

from quorumkey.protocol import TransactionState, format_time, parse_envelope, strict_json
from quorumkey.protocol.limits import MAX_STATEMENT_BYTES
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.domain.transactions import lapses_at, state_at
from quorumkey_relay.usecases.protection.claims import claim_view
from quorumkey_relay.usecases.protection.endings import NOT_CLAIMED
from quorumkey_relay.usecases.protection.views import CallerView, TransactionView, VoteView
from quorumkey_relay.usecases.read import BAD_CURSOR, is_request_id
from quorumkey_relay.usecases.views import Page

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey.protocol import Envelope
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.model import Choice
    from quorumkey_relay.domain.transactions import Transaction
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Evidence, Stored
    from quorumkey_relay.usecases.protection.evidence import RecentVotes

Act = Literal["approve", "reject", "cancel"]


class _Said(Struct, frozen=True):
    """The part of a decision that a vote repeats."""

    decided_at: str


_said: Final = msgspec.json.Decoder(_Said).decode


@dataclass(frozen=True, slots=True, kw_only=True)
class TransactionViews:
    """Puts together what is told of a transaction."""

    store: Store
    clock: Clock
    votes: RecentVotes

    async def of(
        self, transaction: Transaction, *, person: str | None = None
    ) -> TransactionView | None:
        """Return a transaction as it is now; ``person`` is the administrator who reads it.

        None where its request is not kept any more.
        """
        stored = await self.store.load(transaction.request_id)
        if stored is None:
            return None
        evidence = await self.votes.of(stored)
        await self.store.settled()
        return transaction_view(transaction, stored, evidence, now=self.clock.now(), person=person)


def transaction_view(
    transaction: Transaction,
    stored: Stored,
    evidence: Sequence[Evidence],
    *,
    now: int,
    person: str | None = None,
) -> TransactionView:
    """Return what is told of a transaction at ``now``; ``can_act`` only to a ``person``."""
    terms = stored.terms
    state = state_at(transaction, terms, stored.state, now)
    withdrawal = transaction.withdrawal
    caller = transaction.caller
    return TransactionView(
        txid=transaction.request_id,
        method=transaction.method,
        caller=CallerView(caller.kind, caller.id, UNSET if caller.name is None else caller.name),
        state=state.value,
        request_digest=transaction.request_digest,
        resource_digest=_given(transaction.resource_digest),
        condition=transaction.condition,
        approvals_required=terms.required,
        votes=_votes(transaction, stored, evidence),
        created_at=format_time(transaction.created_at),
        expires_at=format_time(terms.expires_at),
        lapses_at=format_time(lapses_at(transaction, terms, stored.state, now))
        if state is TransactionState.APPROVED
        else UNSET,
        ended_reason=_given(_ended_reason(transaction, state)),
        ended_by=UNSET if withdrawal is None else _given(withdrawal.by),
        claim=UNSET if transaction.claim is None else claim_view(transaction.claim, now),
        can_act=UNSET if person is None else can_act(transaction, stored, person, now),
    )


def can_act(transaction: Transaction, stored: Stored, person: str, now: int) -> list[Act]:
    """Return what an administrator can do about a transaction now (B5, B6, B8, B28)."""
    terms, ballots = stored.terms, stored.state.ballots
    seats = [seat for seat in terms.seats.values() if seat.person == person]
    state = state_at(transaction, terms, stored.state, now)
    if state not in _OPEN or not seats:
        return []
    if any(terms.voter(seat.fingerprint) in ballots for seat in seats):
        return []
    if not any(seat.may_approve for seat in seats):
        return ["cancel"]
    return ["approve", "reject"] if state is TransactionState.REQUESTED else ["reject"]


_OPEN: Final = frozenset({TransactionState.REQUESTED, TransactionState.APPROVED})


def _ended_reason(transaction: Transaction, state: TransactionState) -> str | None:
    if transaction.withdrawal is not None:
        return transaction.withdrawal.reason
    return NOT_CLAIMED if state is TransactionState.LAPSED else None


def _votes(
    transaction: Transaction, stored: Stored, evidence: Sequence[Evidence]
) -> list[VoteView]:
    seats, counted = stored.terms.seats, stored.state.ballots
    votes = [
        VoteView(seats[one.device].person, one.choice, _decided_at(one.envelope))
        for one in evidence
        if (ballot := counted.get(stored.terms.voter(one.device))) and ballot.device == one.device
    ]
    withdrawal = transaction.withdrawal
    if withdrawal is not None and withdrawal.envelope is not None and withdrawal.by is not None:
        denial = parse_envelope(
            strict_json.loads(withdrawal.envelope, max_bytes=2 * MAX_STATEMENT_BYTES)
        )
        denied: Choice = "deny"
        votes.append(VoteView(withdrawal.by, denied, _decided_at(denial)))
    return votes


def _decided_at(envelope: Envelope) -> str:
    return _said(envelope.payload).decided_at


def _given(text: str | None) -> str | UnsetType:
    return UNSET if text is None else text


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadTransaction:
    """One transaction of an integrator."""

    store: Store
    views: TransactionViews

    async def __call__(
        self, *, integrator_id: str, txid: str, person: str | None = None
    ) -> TransactionView | Refusal:
        """Return a transaction; ``person`` is the administrator who reads it."""
        transaction = await own_transaction(self.store, integrator_id, txid)
        if transaction is None:
            return NOT_FOUND
        return await self.views.of(transaction, person=person) or NOT_FOUND


@dataclass(frozen=True, slots=True, kw_only=True)
class ListTransactions:
    """Transactions of an integrator, newest first."""

    store: Store
    views: TransactionViews

    async def __call__(
        self, *, integrator_id: str, limit: int, cursor: str | None, person: str | None = None
    ) -> Page[TransactionView] | Refusal:
        """Return a page; ``cursor`` is the txid of the last transaction of the page before."""
        if cursor is not None and await own_transaction(self.store, integrator_id, cursor) is None:
            return BAD_CURSOR
        found = await self.store.transactions(
            integrator_id=integrator_id, before=cursor, limit=limit + 1
        )
        shown = [await self.views.of(one, person=person) for one in found[:limit]]
        page = [view for view in shown if view is not None]
        return Page(page, found[limit - 1].request_id if len(found) > limit else None)


async def own_transaction(store: Store, integrator_id: str, txid: str) -> Transaction | None:
    """Return a transaction of this integrator, or None for anybody else's and none at all."""
    if not is_request_id(txid):
        return None
    found = await store.transaction(txid)
    return None if found is None or found.integrator_id != integrator_id else found
