"""Protections, transactions and claims: what a commit rests on, and taking it into memory.

A commit may open a request and its transaction, or take a claim and settle it; so its writes are
judged in order, each on what the ones before it make, and all before any is applied.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.sqlite import protection_rows as rows
from quorumkey_relay.store.writes import (
    AdvanceRequest,
    OpenRequest,
    OpenTransaction,
    PutProtection,
    SettleClaim,
    TakeClaim,
    WithdrawTransaction,
)

if TYPE_CHECKING:
    from quorumkey_relay.domain.model import State
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.transactions import Claim, Transaction
    from quorumkey_relay.store.sqlite.hot import MemoryDirectory, OpenRequests
    from quorumkey_relay.store.sqlite.protection_reader import ProtectionReader
    from quorumkey_relay.store.sqlite.writer import Statement
    from quorumkey_relay.store.writes import Commit

ProtectionWrite = PutProtection | OpenTransaction | WithdrawTransaction | TakeClaim | SettleClaim


def apply_protection(
    write: ProtectionWrite, directory: MemoryDirectory, open_requests: OpenRequests
) -> list[Statement]:
    """Take ``write`` into memory and return its statements."""
    transactions = open_requests.transactions
    match write:
        case PutProtection(after=after):
            directory.put_protection(after)
            return [rows.protection_row(write)]
        case OpenTransaction(transaction=transaction):
            open_requests.open_transaction(transaction)
            return [rows.transaction_row(transaction)]
        case WithdrawTransaction(request_id=request_id, withdrawal=withdrawal):
            transactions.withdraw(request_id, withdrawal)
            return [rows.withdrawal_row(request_id, withdrawal)]
        case TakeClaim(claim=claim):
            transactions.take(claim)
            return [rows.claim_row(claim)]
        case SettleClaim(claim=claim):
            transactions.settle(claim)
            return rows.settle_rows(claim)


def ends_transaction(state: State) -> bool:
    """Say whether a request has ended, and not with an approval."""
    return state.status is not Status.PENDING and state.status is not Status.APPROVED


def close_transaction(open_requests: OpenRequests, request_id: str) -> list[Statement]:
    """Return the statement that closes the transaction of a request that was not approved."""
    if open_requests.transactions.close(request_id):
        return [(rows.CLOSE_TRANSACTION, (request_id,))]
    return []


def check_protection(
    writes: Commit,
    directory: MemoryDirectory,
    open_requests: OpenRequests,
    reader: ProtectionReader,
    now: int,
) -> None:
    """Raise ``Conflict`` where what a commit's writes rest on has changed."""
    if any(isinstance(write, ProtectionWrite) for write in writes):
        draft = _Draft(directory, open_requests, reader, now)
        for write in writes:
            draft.add(write)


class _Draft:
    """What memory would hold after the writes of a commit that were judged so far."""

    def __init__(
        self,
        directory: MemoryDirectory,
        open_requests: OpenRequests,
        reader: ProtectionReader,
        now: int,
    ) -> None:
        self._directory = directory
        self._requests = open_requests
        self._reader = reader
        self._now = now
        self._protections: dict[str, Protection] = {}
        self._opened: set[str] = set()
        self._statuses: dict[str, Status] = {}
        self._transactions: dict[str, Transaction] = {}
        self._claims: dict[str, Claim] = {}

    def add(self, write: object) -> None:
        """Judge one write more; raises ``Conflict``."""
        match write:
            case OpenRequest(stored=stored):
                self._opened.add(stored.terms.request_id)
                self._statuses[stored.terms.request_id] = stored.state.status
            case AdvanceRequest(terms=terms, after=after):
                self._statuses[terms.request_id] = after.status
            case PutProtection():
                self._put(write)
            case OpenTransaction(transaction=transaction):
                self._open(transaction)
            case WithdrawTransaction():
                self._withdraw(write)
            case TakeClaim(claim=claim):
                self._take(claim)
            case SettleClaim(claim=claim):
                self._settle(claim)
            case _:
                pass

    def _put(self, write: PutProtection) -> None:
        integrator_id = write.after.integrator_id
        known = self._protections.get(integrator_id) or self._directory.protection(integrator_id)
        # One that was read again after a failed batch is equal, and not the same.
        if known is not write.before and known != write.before:
            raise Conflict(integrator_id)
        self._protections[integrator_id] = write.after

    def _open(self, transaction: Transaction) -> None:
        request_id = transaction.request_id
        same = self._requests.transactions.for_call(
            transaction.integrator_id, transaction.match_key
        )
        if request_id not in self._opened or request_id in self._transactions:
            raise Conflict(request_id)
        if same is not None and self._waits(same.request_id):
            raise Conflict(same.request_id)
        self._transactions[request_id] = transaction

    def _waits(self, request_id: str) -> bool:
        stored = self._requests.pending(request_id)
        return (
            stored is not None
            and self._statuses.get(request_id, Status.PENDING) is Status.PENDING
            and status_at(stored.terms, stored.state, self._now) is Status.PENDING
        )

    def _approved(self, request_id: str) -> bool:
        """Say whether a request was approved."""
        status = self._statuses.get(request_id)
        slot = self._requests.get(request_id)
        if status is None:
            known = self._reader.status(request_id) if slot is None else slot.stored.state.status
            return known == Status.APPROVED
        return status is Status.APPROVED

    def _withdraw(self, write: WithdrawTransaction) -> None:
        found = self._unclaimed(write.request_id)
        if found is None:
            raise Conflict(write.request_id)
        withdrawn = msgspec.structs.replace(found, withdrawal=write.withdrawal)
        self._transactions[write.request_id] = withdrawn

    def _unclaimed(self, request_id: str) -> Transaction | None:
        """Return an approved transaction if it can still be claimed or withdrawn."""
        found = self._transactions.get(request_id)
        if found is None and self._requests.transactions.is_open(request_id):
            found = self._requests.transactions.get(request_id)
        if found is None or not self._approved(request_id):
            return None
        return found if found.claim is None and found.withdrawal is None else None

    def _take(self, claim: Claim) -> None:
        request_id = claim.request_id
        if claim.result is not None:
            message = "a claim is taken without a result, and settled with one"
            raise ValueError(message)
        found = self._unclaimed(request_id)
        if found is not None:
            self._transactions[request_id] = msgspec.structs.replace(found, claim=claim)
        elif self._spent(request_id):
            raise Conflict(request_id)
        # Its id is random; an older claim that has it nevertheless is the database's to find.
        if claim.claim_id in self._claims:
            raise Conflict(claim.claim_id)
        self._claims[claim.claim_id] = claim

    def _settle(self, claim: Claim) -> None:
        known = self._claim(claim.claim_id)
        if known is None or known.result is not None:
            raise Conflict(claim.claim_id)
        self._claims[claim.claim_id] = claim

    def _spent(self, request_id: str) -> bool:
        """Say whether a request cannot be claimed: it was, or it is no approval any more."""
        if any(claim.request_id == request_id for claim in self._claims.values()):
            return True
        if not self._approved(request_id):
            return True
        transactions = self._requests.transactions
        if request_id in self._transactions or transactions.get(request_id) is not None:
            return True
        return (
            transactions.claim_of(request_id) is not None
            or self._reader.claim_of(request_id) is not None
            or self._reader.transaction(request_id) is not None
        )

    def _claim(self, claim_id: str) -> Claim | None:
        return (
            self._claims.get(claim_id)
            or self._requests.transactions.claim(claim_id)
            or self._reader.claim(claim_id)
        )
