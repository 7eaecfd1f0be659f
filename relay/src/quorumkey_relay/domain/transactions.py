"""A call that waits for approval, from the first attempt to its one execution.

A *transaction* is an approval request of profile ``protected_method`` and the call that it is for;
its id, the txid, is the request's. How it stands is computed, never stored twice::

    requested ─► approved ─► claimed ─► executed | failed | indeterminate
        │            └─────► lapsed | cancelled | rejected
        └─► rejected | expired | cancelled

A *claim* is the right to execute an approval, taken once and before the handler runs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct

from quorumkey.protocol import CallerKind, TransactionState
from quorumkey_relay.domain.forms import Executor
from quorumkey_relay.domain.lifecycle import completed_at, status_at
from quorumkey_relay.domain.model import Status

if TYPE_CHECKING:
    from quorumkey_relay.domain.model import State, Terms

#: For so long after a claim its result is awaited; then what became of the call is unknown.
RESULT_WITHIN_SECONDS: Final = 3_600

ClaimResult = Literal["ok", "error", "indeterminate"]
#: What ends an approval that was not claimed: its requester, another administrator, or the relay,
#: because its time is over or too few of its votes still count.
WithdrawalOutcome = Literal["cancelled", "rejected", "lapsed"]


class Caller(Struct, frozen=True):
    """Who calls a protected method: a person by approver id, or an API key by its id."""

    kind: CallerKind
    id: str
    name: str | None = None


class Withdrawal(Struct, frozen=True, kw_only=True):
    """Why an approval can no longer be claimed; ``by`` is an approver, ``envelope`` their denial.

    ``envelope`` is the encoded decision envelope; None where the relay itself ended it.
    """

    at: int
    outcome: WithdrawalOutcome
    reason: str
    by: str | None = None
    envelope: bytes | None = None


class Claim(Struct, frozen=True, kw_only=True):
    """The one right to act on an approval; times in seconds since the epoch.

    ``key_digest`` is the SHA-256 of the idempotency key under which a lost answer is asked for
    again. ``execution`` is the signed execution envelope, encoded, once there is a result.
    """

    claim_id: str
    request_id: str
    integrator_id: str
    executor: Executor
    key_digest: bytes
    claimed_at: int
    result_by: int
    completed_at: int | None = None
    result: ClaimResult | None = None
    result_digest: str | None = None
    execution: bytes | None = None


class Transaction(Struct, frozen=True, kw_only=True):
    """A gated call; never changes but for how it ended.

    ``match_key`` is the SHA-256 of what a re-issued call must share (B10); ``condition`` the one
    that fired, empty for an unconditional one; ``required`` the number of approvers as it was set
    then, and ``requester_counts`` whether the requester is one of them.
    """

    request_id: str
    integrator_id: str
    method: str
    caller: Caller
    match_key: bytes
    request_digest: str
    resource_digest: str | None
    condition: str
    required: int
    requester_counts: bool
    execution_expiry_seconds: int
    created_at: int
    executor: Executor = "reissue"
    withdrawal: Withdrawal | None = None
    claim: Claim | None = None


_OF_STATUS: Final = {
    Status.PENDING: TransactionState.REQUESTED,
    Status.REJECTED: TransactionState.REJECTED,
    Status.TIMEOUT: TransactionState.EXPIRED,
    Status.CANCELLED: TransactionState.CANCELLED,
}
_OF_RESULT: Final = {
    "ok": TransactionState.EXECUTED,
    "error": TransactionState.FAILED,
    "indeterminate": TransactionState.INDETERMINATE,
}


def state_at(transaction: Transaction, terms: Terms, state: State, now: int) -> TransactionState:
    """Return how a transaction stands at ``now``, whether or not anybody has written that down."""
    claim = transaction.claim
    if claim is not None:
        if claim.result is not None:
            return _OF_RESULT[claim.result]
        late = now >= claim.result_by
        return TransactionState.INDETERMINATE if late else TransactionState.CLAIMED
    status = status_at(terms, state, now)
    if status is not Status.APPROVED:
        return _OF_STATUS[status]
    if transaction.withdrawal is not None:
        return TransactionState(transaction.withdrawal.outcome)
    if now >= lapses_at(transaction, terms, state, now):
        return TransactionState.LAPSED
    return TransactionState.APPROVED


def lapses_at(transaction: Transaction, terms: Terms, state: State, now: int) -> int:
    """Return when an approval that nobody claims lapses, in seconds since the epoch."""
    approved_at = completed_at(terms, state, now)
    if approved_at is None:
        approved_at = terms.expires_at
    return min(approved_at + transaction.execution_expiry_seconds, terms.use_by)
