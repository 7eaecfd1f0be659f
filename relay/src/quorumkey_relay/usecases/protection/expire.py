"""Writing down approvals that have lapsed, and claims of which no result came in time.

Both are true by the clock alone, and every reading says so; this makes events of them. An approval
lapses too where somebody who voted loses the role or the device: also if they get it back.
"""

from __future__ import annotations

import asyncio
import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import TransactionState
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.transactions import lapses_at, state_at
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.writes import (
    AdvanceRequest,
    PutDevice,
    PutPairing,
    PutProtection,
    SettleClaim,
)
from quorumkey_relay.usecases.protection.audit import PROFILE
from quorumkey_relay.usecases.protection.endings import (
    NOT_CLAIMED,
    VOTES_LOST,
    lapse,
    settled_claim,
    told_of_result,
)
from quorumkey_relay.usecases.protection.votes import good_votes

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Change, Commit, Write

SWEEP_BATCH_TRANSACTIONS: Final = 200


@dataclass(slots=True, kw_only=True)
class TransactionSweeper:
    """Knows when each approval lapses, and asks the store which claims are overdue."""

    store: Store
    clock: Clock
    mint: Mint
    keys: RelayKeys
    _due: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])

    def watch_all(self) -> None:
        """Take in all transactions that are open; each is looked at once."""
        self._due = [
            (transaction.created_at, transaction.request_id)
            for transaction in self.store.open_transactions()
            if transaction.claim is None
        ]
        heapq.heapify(self._due)

    def heard(self, commit: Commit) -> None:
        """Take in a new approval; it is looked at once, and again when it lapses.

        Where votes may have been lost, all are looked at.
        """
        for write in commit:
            if _takes_votes(write):
                self.watch_all()
            if (
                isinstance(write, AdvanceRequest)
                and write.after.status is Status.APPROVED
                and write.terms.profile == PROFILE
            ):
                self._add(write.terms.created_at, write.terms.request_id)

    def changed(self, kind: Change, key: str) -> None:
        """Take in what the command line changed: ``key`` may have lost a vote."""
        del key
        if kind in {"protection", "device", "pairing"}:
            self.watch_all()

    async def sweep(self) -> int:
        """Write down all that has come; return how much."""
        now = self.clock.now()
        return await self._sweep_approvals(now) + await self._sweep_claims(now)

    async def _sweep_approvals(self, now: int) -> int:
        count = 0
        while batch := self._next(now):
            try:
                count += await self._commit([await self._lapse(one, now) for _, one in batch])
            except BaseException:
                for due in batch:  # another time; what has ended by then is left alone
                    heapq.heappush(self._due, due)
                raise
        return count

    def _add(self, due: int, request_id: str) -> None:
        heapq.heappush(self._due, (due, request_id))

    def _next(self, now: int) -> list[tuple[int, str]]:
        batch: list[tuple[int, str]] = []
        while self._due and self._due[0][0] <= now and len(batch) < SWEEP_BATCH_TRANSACTIONS:
            batch.append(heapq.heappop(self._due))
        return batch

    async def _lapse(self, request_id: str, now: int) -> Commit:
        """Return what is to be written of an approval now; one that still holds is kept in mind."""
        transaction = await self.store.transaction(request_id)
        stored = await self.store.load(request_id)
        if transaction is None or stored is None or transaction.withdrawal is not None:
            return ()
        state = state_at(transaction, stored.terms, stored.state, now)
        at = lapses_at(transaction, stored.terms, stored.state, now)
        if state is TransactionState.APPROVED:
            directory = self.store.directory
            if not good_votes(stored, directory, directory.protection(transaction.integrator_id)):
                return lapse(transaction, VOTES_LOST, at=now, mint=self.mint)
            self._add(at, request_id)
        if state is not TransactionState.LAPSED:
            return ()
        return lapse(transaction, NOT_CLAIMED, at=at, mint=self.mint)

    async def _sweep_claims(self, now: int) -> int:
        count = 0
        while overdue := await self.store.overdue_claims(now=now, limit=SWEEP_BATCH_TRANSACTIONS):
            settled: list[Commit] = []
            for claim in overdue:
                stored = await self.store.load(claim.request_id)
                if stored is None:
                    continue
                unknown = settled_claim(
                    claim, stored.terms, "indeterminate", keys=self.keys, now=now
                )
                told = await told_of_result(self.store, unknown, mint=self.mint, now=now)
                settled.append((SettleClaim(unknown), *told))
            written = await self._commit(settled)
            count += written
            if written < len(overdue):
                break  # the rest has changed meanwhile; it is looked at in the next round
        return count

    async def _commit(self, commits: list[Commit]) -> int:
        """Commit each on its own; they wait for the disk together. Return how many were made."""
        made: list[Awaitable[None]] = []
        for commit in commits:
            if commit:
                try:
                    made.append(self.store.commit(commit))
                except Conflict:
                    continue  # it was claimed, or settled, meanwhile
        await asyncio.gather(*made)
        return len(made)


def _takes_votes(write: Write) -> bool:
    """Say whether votes may count no more after a write, by what it takes from somebody."""
    match write:
        case PutProtection(before=before, after=after):
            return before is not None and not set(before.administrators) <= set(
                after.administrators
            )
        case PutDevice(device=device):
            return device.revoked_at is not None
        case PutPairing(pairing=pairing):
            return pairing.ended_at is not None
        case _:
            return False
