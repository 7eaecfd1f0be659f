"""The part of the SQLite store that protected methods work with: what is read of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from quorumkey_relay.domain.forms import Executor
    from quorumkey_relay.domain.transactions import Caller, Claim, Transaction
    from quorumkey_relay.store.sqlite.hot import OpenRequests
    from quorumkey_relay.store.sqlite.reader import Reader
    from quorumkey_relay.store.sqlite.writer import Writer


class TransactionStore:
    """The part of the store that holds calls which wait for approval, and their claims."""

    _reader: Reader
    _writer: Writer
    _open: OpenRequests

    def _fresh(self) -> None:
        raise NotImplementedError

    def find_transaction(self, integrator_id: str, match_key: bytes) -> Transaction | None:
        """Return the newest open transaction for a call; see ``Store.find_transaction``."""
        return self._open.transactions.for_call(integrator_id, match_key)

    def find_claimed(
        self, integrator_id: str, match_key: bytes, key_digest: bytes
    ) -> Transaction | None:
        """Return the transaction of a call that was claimed under a key, without a result."""
        return self._open.transactions.claimed_for_call(integrator_id, match_key, key_digest)

    def waiting_calls(
        self, integrator_id: str, *, executor: Executor, caller: Caller | None = None
    ) -> Collection[str]:
        """Return the pending requests of calls; see ``Store.waiting_calls``."""
        return self._open.calls.of(integrator_id, executor, caller)

    def open_transactions(self) -> Iterable[Transaction]:
        """Return the transactions that something can still happen to, oldest first."""
        return self._open.transactions

    async def transaction(self, request_id: str) -> Transaction | None:
        """Return a transaction by id."""
        self._fresh()
        found = self._open.transactions.get(request_id)
        if found is None:
            await self._writer.settled()
            found = self._reader.protection.transaction(request_id)
        return found

    async def transactions(
        self, *, integrator_id: str, before: str | None, limit: int
    ) -> Sequence[Transaction]:
        """Return transactions, newest first."""
        await self._writer.settled()
        return self._reader.protection.transactions(
            integrator_id=integrator_id, before=before, limit=limit
        )

    async def claim(self, claim_id: str) -> Claim | None:
        """Return a claim by id."""
        self._fresh()
        found = self._open.transactions.claim(claim_id)
        if found is None:
            await self._writer.settled()
            found = self._reader.protection.claim(claim_id)
        return found

    async def claim_of(self, request_id: str) -> Claim | None:
        """Return the claim on a request."""
        self._fresh()
        found = self._open.transactions.claim_of(request_id)
        if found is None:
            await self._writer.settled()
            found = self._reader.protection.claim_of(request_id)
        return found

    async def overdue_claims(self, *, now: int, limit: int) -> Sequence[Claim]:
        """Return claims whose result did not come by ``now``, the longest overdue first."""
        await self._writer.settled()
        return self._reader.protection.overdue_claims(now=now, limit=limit)
