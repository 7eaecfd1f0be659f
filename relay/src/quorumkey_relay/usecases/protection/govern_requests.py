"""Calls that wait, as the people see them who may resolve them (B28)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from msgspec import UNSET, Struct, UnsetType

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Decision
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT, MAX_LIST_LIMIT
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.usecases.protection.govern import ADMIN_KEYS_ONLY
from quorumkey_relay.usecases.protection.transactions import own_transaction
from quorumkey_relay.usecases.protection.views import TransactionView
from quorumkey_relay.usecases.read import BAD_CURSOR

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.domain.transactions import Transaction
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.answer import AnswerRequest
    from quorumkey_relay.usecases.protection.actor import Actor
    from quorumkey_relay.usecases.protection.govern import Governor
    from quorumkey_relay.usecases.protection.govern_commands import ListBody
    from quorumkey_relay.usecases.protection.transactions import TransactionViews

#: How many transactions are looked through for one page of those that an approver may see.
MAX_LOOKED_THROUGH: Final = 200

Choice = Literal["approve", "reject", "cancel"]

PEOPLE_ONLY: Final = Refusal(
    "forbidden",
    "An API key neither approves nor rejects nor cancels; an administrator's device does.",
)
NOT_THEIR_DEVICE: Final = Refusal(
    "forbidden", "envelope: it was signed by a device that is not the caller's."
)
OTHER_DECISION: Final = Refusal(
    "invalid_request", "decision: the envelope says otherwise than the call."
)
NOT_THE_REQUESTER: Final = Refusal(
    "failed_precondition", "decision: only the requester cancels a call; others reject it."
)
BAD_LIMIT: Final = Refusal("invalid_request", f"limit: must be from 1 to {MAX_LIST_LIMIT}.")


class RequestsAnswer(Struct, frozen=True):
    """A page of calls, newest first."""

    requests: list[TransactionView]
    next_cursor: str | UnsetType = UNSET


class RequestAnswer(Struct, frozen=True):
    """One call."""

    request: TransactionView


@dataclass(frozen=True, slots=True, kw_only=True)
class GovernRequests:
    """List, get, resolve."""

    governor: Governor
    store: Store
    views: TransactionViews
    answer: AnswerRequest

    async def list(self, actor: Actor, body: ListBody) -> RequestsAnswer | Refusal:
        """Return a page of the calls that the actor may see."""
        if not actor.is_person and actor.scope != "admin":
            return ADMIN_KEYS_ONLY
        limit = body.limit or DEFAULT_LIST_LIMIT
        if not 1 <= limit <= MAX_LIST_LIMIT:
            return BAD_LIMIT
        before = body.cursor or None
        owner = actor.integrator.id
        if before is not None and await own_transaction(self.store, owner, before) is None:
            return BAD_CURSOR
        shown: list[TransactionView] = []
        looked_through = 0
        while True:
            found = await self.store.transactions(
                integrator_id=owner, before=before, limit=MAX_LIST_LIMIT + 1
            )
            for transaction in found[:MAX_LIST_LIMIT]:
                if len(shown) == limit or looked_through == MAX_LOOKED_THROUGH:
                    return RequestsAnswer(shown, before or UNSET)
                before = transaction.request_id
                looked_through += 1
                if not await self._may_see(actor, transaction):
                    continue
                view = await self._view(actor, transaction)
                if view is not None:
                    shown.append(view)
            if len(found) <= MAX_LIST_LIMIT:
                return RequestsAnswer(shown)

    async def read(self, actor: Actor, txid: str) -> RequestAnswer | Refusal:
        """Return one call."""
        if not actor.is_person and actor.scope != "admin":
            return ADMIN_KEYS_ONLY
        transaction = await self._visible(actor, txid)
        if transaction is None:
            return NOT_FOUND
        view = await self._view(actor, transaction)
        return NOT_FOUND if view is None else RequestAnswer(view)

    async def resolve(
        self, actor: Actor, txid: str, decision: Choice, envelope: Envelope
    ) -> RequestAnswer | Refusal:
        """Count a decision that a device of the actor has signed (B5 to B8).

        What the envelope says is what counts; that the call says the same protects from mistakes.
        Raises ``ProtocolError`` and ``StoreUnavailable``.
        """
        if not actor.is_person:
            return PEOPLE_ONLY
        transaction = await self._visible(actor, txid)
        if transaction is None:
            return NOT_FOUND
        counted = self._mistaken(actor, transaction, decision, envelope) or await self.answer(
            request_id=txid, envelope=envelope
        )
        return counted if isinstance(counted, Refusal) else await self.read(actor, txid)

    def _mistaken(
        self, actor: Actor, transaction: Transaction, decision: Choice, envelope: Envelope
    ) -> Refusal | None:
        """Return what of a call does not fit its envelope or its caller."""
        if not self._is_theirs(actor, envelope.keyid):
            return NOT_THEIR_DEVICE
        if _said(envelope) != ("approve" if decision == "approve" else "deny"):
            return OTHER_DECISION
        caller = transaction.caller
        if decision == "cancel" and (caller.kind, caller.id) != ("person", actor.caller.id):
            return NOT_THE_REQUESTER
        return None

    async def _visible(self, actor: Actor, txid: str) -> Transaction | None:
        transaction = await own_transaction(self.store, actor.integrator.id, txid)
        if transaction is None or not await self._may_see(actor, transaction):
            return None
        return transaction

    async def _may_see(self, actor: Actor, transaction: Transaction) -> bool:
        """Say whether a call is one of the actor's: who governs sees all of them."""
        if self.governor.may_not(actor) is None:
            return True
        person = actor.caller.id
        if transaction.caller.kind == "person" and transaction.caller.id == person:
            return True
        stored = await self.store.load(transaction.request_id)
        return stored is not None and any(
            seat.person == person for seat in stored.terms.seats.values()
        )

    async def _view(self, actor: Actor, transaction: Transaction) -> TransactionView | None:
        can_act = await self._can_act(actor, transaction)
        return await self.views.of(transaction, person=actor.caller.id if can_act else None)

    async def _can_act(self, actor: Actor, transaction: Transaction) -> bool:
        """Say whether the actor is an administrator, with a device that the request names."""
        if not actor.is_person or self.governor.may_not(actor) is not None:
            return False
        stored = await self.store.load(transaction.request_id)
        return stored is not None and any(
            seat.person == actor.caller.id and self._is_theirs(actor, seat.fingerprint)
            for seat in stored.terms.seats.values()
        )

    def _is_theirs(self, actor: Actor, fingerprint: str) -> bool:
        device = self.store.directory.device(fingerprint)
        if device is None or not device.paired_with(actor.integrator.id):
            return False
        return device.pairings[actor.integrator.id].approver_id == actor.caller.id


def _said(envelope: Envelope) -> str | None:
    """Return the decision of an envelope that nobody has verified yet; None for no decision."""
    try:
        return Decision.decode(envelope.payload).decision
    except ProtocolError:
        return None
