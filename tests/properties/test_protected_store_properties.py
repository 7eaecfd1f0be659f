"""Whatever is tried with protected calls, the store says yes exactly where a small model does."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Literal

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.contract.backends import SqliteBackend
from tests.contract.material import ended, furnish, request
from tests.contract.protection_material import claim, digest, settled, transaction, withdrawal
from tests.relay.simulator import ACME

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import (
    OpenRequest,
    OpenTransaction,
    SettleClaim,
    TakeClaim,
    WithdrawTransaction,
)

if TYPE_CHECKING:
    from quorumkey_relay.domain.transactions import Claim, Transaction
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Commit

ROUNDS = settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
CALLS = ("first", "second")
Kind = Literal["open", "approve", "reject", "withdraw", "claim", "execute", "settle"]
KINDS: tuple[Kind, ...] = ("open", "approve", "reject", "withdraw", "claim", "execute", "settle")


@dataclass(frozen=True)
class Try:
    """Something is tried with the newest transaction of a call, or one ``back`` from it."""

    kind: Kind
    call: str
    back: int
    #: What happens around it: nothing, a disk that is full, or a restart before it.
    around: Literal["", "full", "restart"]


TRIES = st.lists(
    st.builds(
        Try,
        st.sampled_from(KINDS),
        st.sampled_from(CALLS),
        st.integers(0, 1),
        st.sampled_from(["", "", "", "full", "restart"]),
    ),
    max_size=14,
)


@dataclass
class Case:
    """A transaction as the model has it."""

    stored: Stored
    transaction: Transaction
    status: Status = Status.PENDING

    @property
    def request_id(self) -> str:
        """Its id."""
        return self.transaction.request_id

    @property
    def is_open(self) -> bool:
        """Whether something can still happen to it."""
        done = self.transaction.claim is not None and self.transaction.claim.result is not None
        return (
            self.status in {Status.PENDING, Status.APPROVED}
            and self.transaction.withdrawal is None
            and not done
        )

    @property
    def unclaimed(self) -> bool:
        """Whether nobody has claimed it, and somebody may once it is approved."""
        return self.is_open and self.transaction.claim is None

    @property
    def claimable(self) -> bool:
        """Whether it can be claimed or withdrawn now."""
        return self.unclaimed and self.status is Status.APPROVED


@dataclass
class Model:
    """What may happen, and what has."""

    cases: list[Case] = field(default_factory=list[Case])

    def of(self, call: str) -> list[Case]:
        """The transactions of a call, newest first."""
        return [case for case in reversed(self.cases) if case.transaction.match_key == digest(call)]

    def pick(self, tried: Try) -> Case | None:
        """The transaction that is meant."""
        found = self.of(tried.call)
        return found[tried.back] if len(found) > tried.back else None

    def plan(self, tried: Try) -> tuple[Commit, bool, Case] | None:
        """The writes, whether they are allowed, and what comes of it then; None without a case."""
        if tried.kind == "open":
            stored = request("alice")
            made = transaction(stored, call=tried.call)
            waits = any(case.status is Status.PENDING for case in self.of(tried.call))
            return (OpenRequest(stored), OpenTransaction(made)), not waits, Case(stored, made)
        case = self.pick(tried)
        if case is None:
            return None
        if tried.kind in {"approve", "reject"}:
            if case.status is not Status.PENDING or not case.unclaimed:
                return None
            status = Status.APPROVED if tried.kind == "approve" else Status.REJECTED
            return ended(case.stored, status), True, Case(case.stored, case.transaction, status)
        return self._end(tried, case)

    def _end(self, tried: Try, case: Case) -> tuple[Commit, bool, Case]:
        old = case.transaction
        if tried.kind == "withdraw":
            changed = msgspec.structs.replace(old, withdrawal=withdrawal())
            writes: Commit = (WithdrawTransaction(case.request_id, withdrawal()),)
            return writes, case.claimable, Case(case.stored, changed, case.status)
        if tried.kind == "settle":
            known: Claim = old.claim or claim(case.stored)
            done = msgspec.structs.replace(old, claim=settled(known))
            allowed = old.claim is not None and old.claim.result is None
            return (SettleClaim(settled(known)),), allowed, Case(case.stored, done, case.status)
        taken = claim(case.stored)
        newest = taken if tried.kind == "claim" else settled(taken)
        more: Commit = () if tried.kind == "claim" else (SettleClaim(newest),)
        changed = msgspec.structs.replace(old, claim=newest)
        return (TakeClaim(taken), *more), case.claimable, Case(case.stored, changed, case.status)

    def take(self, changed: Case) -> None:
        """It happened."""
        self.cases = [case for case in self.cases if case.request_id != changed.request_id]
        self.cases.append(changed)
        self.cases.sort(key=lambda case: case.request_id)

    async def load(self, store: Store) -> None:
        """Start from the requests as the store holds them now."""
        for case in self.cases:
            found = await store.load(case.request_id)
            assert found is not None
            assert case.status is found.state.status
            case.stored = found

    async def compare(self, store: Store) -> None:
        """The store holds what the model does, in memory and on the disk."""
        for call in CALLS:
            wanted = next((one.transaction for one in self.of(call) if one.unclaimed), None)
            assert wanted == store.find_transaction(ACME.id, digest(call))
        open_ones = [case.transaction for case in self.cases if case.is_open]
        assert open_ones == list(store.open_transactions())
        listed = await store.transactions(integrator_id=ACME.id, before=None, limit=99)
        assert [case.transaction for case in reversed(self.cases)] == list(listed)
        for case in self.cases:
            assert case.transaction == await store.transaction(case.request_id)
            assert case.transaction.claim == await store.claim_of(case.request_id)


async def play(folder: Path, tries: list[Try]) -> None:
    """Try everything, and compare after each."""
    backend, model = SqliteBackend(folder), Model()
    async with AsyncExitStack() as stack:
        store = await stack.enter_async_context(backend.open())
        await furnish(store, "alice")
        for tried in tries:
            if tried.around == "restart":
                await stack.aclose()
                store = await stack.enter_async_context(backend.open())
            await model.load(store)
            planned = model.plan(tried)
            if planned is None:
                continue
            writes, allowed, changed = planned
            if await happens(backend, store, writes, full=tried.around == "full"):
                assert allowed
                model.take(changed)
            else:
                assert tried.around == "full" or not allowed
            await model.compare(store)


async def happens(backend: SqliteBackend, store: Store, writes: Commit, *, full: bool) -> bool:
    """Commit; says whether it happened."""
    try:
        if full:
            with backend.unwritable():
                await store.commit(writes)
        else:
            await store.commit(writes)
    except (Conflict, StoreUnavailable):
        return False
    return True


@ROUNDS
@given(tries=TRIES)
def test_what_is_claimed_was_approved_and_once(tries: list[Try]) -> None:
    """Every try succeeds exactly where it may, and all that is read agrees with what happened."""
    with TemporaryDirectory() as folder:
        asyncio.run(play(Path(folder), tries))
