"""Between protections, transactions and claims and their rows."""

# ruff: noqa: S608 - every piece that is put into a statement is a constant of this package
from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey_relay.domain.protection import Protection
from quorumkey_relay.domain.transactions import Caller, Claim, Transaction, Withdrawal

if TYPE_CHECKING:
    import sqlite3

    from quorumkey_relay.store.sqlite.writer import Statement
    from quorumkey_relay.store.writes import PutProtection

_protection: Final = msgspec.json.Decoder(Protection)
_encode: Final = msgspec.json.encode

_REQUEST: Final = "(SELECT id FROM requests WHERE request_id = ?)"

INSERT_PROTECTION: Final = (
    "INSERT INTO protections (revision, document, integrator_id) VALUES (?, ?, ?)"
)
# Two processes may write it: the relay and the command line. A revision that is not the one which
# was changed becomes NULL, which the column refuses.
UPDATE_PROTECTION: Final = (
    "UPDATE protections SET revision = CASE WHEN revision = ? THEN ? END, document = ?"
    " WHERE integrator_id = ?"
)
INSERT_TRANSACTION: Final = (
    "INSERT INTO transactions (request, integrator_id, method, caller_kind, caller_id, caller_name,"
    " match_key, request_digest, resource_digest, condition, required, requester_counts,"
    " execution_expiry_seconds, created_at, executor, open)"
    f" VALUES ({_REQUEST}, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1)"
)
WITHDRAW_TRANSACTION: Final = (
    "UPDATE transactions SET open = 0, withdrawn_at = ?, outcome = ?, reason = ?,"
    f" withdrawn_by = ?, denial = ? WHERE request = {_REQUEST}"
)
CLOSE_TRANSACTION: Final = f"UPDATE transactions SET open = 0 WHERE request = {_REQUEST}"
INSERT_CLAIM: Final = (
    "INSERT INTO claims (request, claim_id, integrator_id, executor, key_digest, claimed_at,"
    f" result_by) VALUES ({_REQUEST}, ?, ?, ?, ?, ?, ?)"
)
SETTLE_CLAIM: Final = (
    "UPDATE claims SET completed_at = ?, result = ?, result_digest = ?, execution = ?"
    " WHERE claim_id = ? AND result IS NULL"
)
#: What they rest on may have changed on the disk; the database refuses them then.
GUARDED: Final = frozenset({INSERT_PROTECTION, UPDATE_PROTECTION, INSERT_CLAIM})

_CLAIM_COLUMNS: Final = (
    "c.claim_id, c.executor AS claim_executor, c.key_digest, c.claimed_at, c.result_by,"
    " c.completed_at, c.result, c.result_digest, c.execution"
)
CLAIMS: Final = (
    f"SELECT r.request_id, c.integrator_id, {_CLAIM_COLUMNS} FROM claims AS c"
    " JOIN requests AS r ON r.id = c.request"
)
TRANSACTIONS: Final = (
    f"SELECT r.request_id, t.*, {_CLAIM_COLUMNS} FROM transactions AS t"
    " JOIN requests AS r ON r.id = t.request LEFT JOIN claims AS c ON c.request = t.request"
)


def protection_row(write: PutProtection) -> Statement:
    """Return the statement that stores a protection, if it is still as it was before."""
    after = write.after
    document = _encode(after)
    if write.before is None:
        return (INSERT_PROTECTION, (after.revision, document, after.integrator_id))
    values = (write.before.revision, after.revision, document, after.integrator_id)
    return (UPDATE_PROTECTION, values)


def transaction_row(transaction: Transaction) -> Statement:
    """Return the statement that stores a new transaction; its request is stored before."""
    return (
        INSERT_TRANSACTION,
        (
            transaction.request_id,
            transaction.integrator_id,
            transaction.method,
            transaction.caller.kind,
            transaction.caller.id,
            transaction.caller.name,
            transaction.match_key,
            transaction.request_digest,
            transaction.resource_digest,
            transaction.condition,
            transaction.required,
            transaction.requester_counts,
            transaction.execution_expiry_seconds,
            transaction.created_at,
            transaction.executor,
        ),
    )


def withdrawal_row(request_id: str, withdrawal: Withdrawal) -> Statement:
    """Return the statement that stores why an approval can no longer be claimed."""
    why = (withdrawal.at, withdrawal.outcome, withdrawal.reason, withdrawal.by)
    return (WITHDRAW_TRANSACTION, (*why, withdrawal.envelope, request_id))


def claim_row(claim: Claim) -> Statement:
    """Return the statement that stores a new claim; its request is stored before."""
    values = (claim.request_id, claim.claim_id, claim.integrator_id, claim.executor)
    return (INSERT_CLAIM, (*values, claim.key_digest, claim.claimed_at, claim.result_by))


def settle_rows(claim: Claim) -> list[Statement]:
    """Return the statements that store a claim's result."""
    result = (claim.completed_at, claim.result, claim.result_digest, claim.execution)
    return [
        (SETTLE_CLAIM, (*result, claim.claim_id)),
        (CLOSE_TRANSACTION, (claim.request_id,)),
    ]


def read_protection(row: sqlite3.Row) -> Protection:
    """Read a row of ``protections``."""
    return _protection.decode(row["document"])


def read_claim(row: sqlite3.Row) -> Claim:
    """Read a row of ``CLAIMS``, or of ``TRANSACTIONS`` where the transaction was claimed."""
    return Claim(
        claim_id=row["claim_id"],
        request_id=row["request_id"],
        integrator_id=row["integrator_id"],
        executor=row["claim_executor"],
        key_digest=row["key_digest"],
        claimed_at=row["claimed_at"],
        result_by=row["result_by"],
        completed_at=row["completed_at"],
        result=row["result"],
        result_digest=row["result_digest"],
        execution=row["execution"],
    )


def read_transaction(row: sqlite3.Row) -> Transaction:
    """Read a row of ``TRANSACTIONS``."""
    withdrawal = None
    if row["withdrawn_at"] is not None:
        withdrawal = Withdrawal(
            at=row["withdrawn_at"],
            outcome=row["outcome"],
            reason=row["reason"],
            by=row["withdrawn_by"],
            envelope=row["denial"],
        )
    return Transaction(
        request_id=row["request_id"],
        integrator_id=row["integrator_id"],
        method=row["method"],
        caller=Caller(row["caller_kind"], row["caller_id"], row["caller_name"]),
        match_key=row["match_key"],
        request_digest=row["request_digest"],
        resource_digest=row["resource_digest"],
        condition=row["condition"],
        required=row["required"],
        requester_counts=bool(row["requester_counts"]),
        execution_expiry_seconds=row["execution_expiry_seconds"],
        created_at=row["created_at"],
        executor=row["executor"],
        withdrawal=withdrawal,
        claim=None if row["claim_id"] is None else read_claim(row),
    )
