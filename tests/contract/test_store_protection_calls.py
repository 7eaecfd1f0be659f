"""Transactions: opened with their requests, found by their call, ended once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.contract.material import ended, furnish, request, step
from tests.contract.protection_material import (
    approved,
    bare,
    claim,
    digest,
    opened,
    settled,
    transaction,
    withdrawal,
)
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.domain.model import Resolved, Status
from quorumkey_relay.store.protocol import Conflict, Store, StoreUnavailable
from quorumkey_relay.store.writes import (
    OpenRequest,
    OpenTransaction,
    SettleClaim,
    TakeClaim,
    WithdrawTransaction,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.backends import Backend

    from quorumkey_relay.domain.transactions import Transaction
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

CALL = digest("a call")


def found(store: Store, call: bytes = CALL) -> Transaction | None:
    """The open transaction for a call."""
    return store.find_transaction(ACME.id, call)


@pytest.mark.parametrize(
    "make", [transaction, bare], ids=["every member", "without what may be absent"]
)
async def test_a_transaction_survives(
    backend: Backend, make: Callable[[Stored], Transaction]
) -> None:
    """What was stored of a call is read again as it was, by id and by its call."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored = request("alice")
        made = make(stored)
        await store.commit((OpenRequest(stored), OpenTransaction(made)))
        at_once = await store.transaction(made.request_id)
    async with backend.open() as store:
        later = (
            await store.transaction(made.request_id),
            found(store),
            *store.open_transactions(),
            *await store.transactions(integrator_id=ACME.id, before=None, limit=10),
        )

    assert [made] * 5 == [at_once, *later]


async def test_a_transaction_is_known_before_it_is_durable(store: Store) -> None:
    """Who calls next finds it at once, and it is loaded like a request."""
    await furnish(store, "alice")
    stored = request("alice")
    made = transaction(stored)
    durable = asyncio.ensure_future(store.commit((OpenRequest(stored), OpenTransaction(made))))

    seen = found(store), await store.transaction(made.request_id)
    await durable

    assert (made, made) == seen


async def test_only_the_same_call_is_found(store: Store) -> None:
    """Another call, or the same one of another integrator, has a transaction of its own."""
    await furnish(store, "alice")
    _, made = await opened(store, "alice")

    assert (made, None, None, None) == (
        found(store),
        found(store, digest("another call")),
        store.find_transaction(UMBRELLA.id, CALL),
        await store.transaction("nothing"),
    )


async def test_the_newest_transaction_is_found(store: Store) -> None:
    """Of several for one call the newest counts, and the one before it when that has ended."""
    await furnish(store, "alice")
    _, first = await approved(store, "alice")
    stored, second = await opened(store, "alice")
    newest = found(store)
    await store.commit(ended(stored))

    assert (second, first) == (newest, found(store))


@pytest.mark.parametrize(
    "status",
    [status for status in Status if status not in {Status.PENDING, Status.APPROVED}],
    ids=str,
)
async def test_a_request_that_is_not_approved_ends_its_transaction(
    backend: Backend, status: Status
) -> None:
    """It is not found for its call any more, and still by its id and in lists."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored, made = await opened(store, "alice")
        await store.commit(ended(stored, status))
        at_once = found(store), await store.transaction(made.request_id)
    async with backend.open() as store:
        later = found(store), await store.transaction(made.request_id)
        open_ones = list(store.open_transactions())
        listed = list(await store.transactions(integrator_id=ACME.id, before=None, limit=10))

    assert ((None, made), (None, made), [], [made]) == (at_once, later, open_ones, listed)


async def test_an_approval_keeps_its_transaction_open(backend: Backend) -> None:
    """An approved call can still be claimed, so it is found, also after a restart."""
    async with backend.open() as store:
        await furnish(store, "alice")
        _, made = await approved(store, "alice")
        at_once = found(store), list(store.open_transactions())
    async with backend.open() as store:
        later = found(store), list(store.open_transactions())

    assert [(made, [made])] * 2 == [at_once, later]


async def test_transactions_are_listed_newest_first(store: Store) -> None:
    """A page ends at its limit and goes on before the last one told; others' are not in it."""
    await furnish(store, "alice")
    made = [(await opened(store, "alice", call=str(number)))[1] for number in range(5)]
    stored = request("alice", integrator=UMBRELLA)
    await store.commit((OpenRequest(stored), OpenTransaction(transaction(stored))))

    first = await store.transactions(integrator_id=ACME.id, before=None, limit=3)
    rest = await store.transactions(integrator_id=ACME.id, before=first[-1].request_id, limit=3)

    assert [made[:1:-1], made[1::-1]] == [list(first), list(rest)]


async def test_open_transactions_are_told_oldest_first(backend: Backend) -> None:
    """So they are before and after a restart, claimed ones among them."""
    async with backend.open() as store:
        await furnish(store, "alice")
        pairs = [await approved(store, "alice", call=str(number)) for number in range(3)]
        taken = claim(pairs[1][0])
        await store.commit((TakeClaim(taken),))
        at_once = [one.request_id for one in store.open_transactions()]
    async with backend.open() as store:
        later = [one.request_id for one in store.open_transactions()]

    assert [[made.request_id for _, made in pairs]] * 2 == [at_once, later]


# Opening


async def test_the_same_call_cannot_wait_twice(store: Store) -> None:
    """While a call waits, a second transaction for it is refused, its request too."""
    await furnish(store, "alice")
    _, made = await opened(store, "alice")
    second = request("alice")

    with pytest.raises(Conflict):
        await store.commit((OpenRequest(second), OpenTransaction(transaction(second))))

    assert (made, None) == (found(store), await store.load(second.terms.request_id))


async def test_a_call_whose_time_is_over_may_wait_again(backend: Backend, store: Store) -> None:
    """A timeout that nobody has written down yet is in nobody's way."""
    await furnish(store, "alice")
    await opened(store, "alice")
    backend.clock.advance(300)
    _, made = await opened(store, "alice")

    assert made == found(store)


async def test_a_call_may_wait_again_in_the_commit_that_ends_the_last(store: Store) -> None:
    """A commit that cancels what waits may open another request for the call."""
    await furnish(store, "alice")
    stored, _ = await opened(store, "alice")
    second = request("alice")
    made = transaction(second)
    await store.commit((*ended(stored), OpenRequest(second), OpenTransaction(made)))

    assert made == found(store)


async def test_a_transaction_needs_its_request(store: Store) -> None:
    """It is opened after its request in one commit, and once."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")
    second = request("alice")
    made = transaction(second)
    refused: list[Commit] = [
        (OpenTransaction(transaction(stored)),),
        (OpenTransaction(made), OpenRequest(second)),
        (OpenRequest(second), OpenTransaction(made), OpenTransaction(made)),
    ]

    for commit in refused:
        with pytest.raises(Conflict):
            await store.commit(commit)

    assert (None, None) == (found(store), await store.load(second.terms.request_id))


async def test_what_was_opened_in_a_failed_batch_was_not(backend: Backend, store: Store) -> None:
    """After a commit that could not be written, no transaction is found and another can wait."""
    await furnish(store, "alice")

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await opened(store, "alice")

    before = found(store), list(store.open_transactions())
    _, made = await opened(store, "alice")
    assert ((None, []), made) == (before, found(store))


# Withdrawing


@pytest.mark.parametrize("by", ["alice", None], ids=["by somebody", "by the relay"])
async def test_a_withdrawal_survives(backend: Backend, by: str | None) -> None:
    """Why an approval can no longer be claimed is read again, and its call is not found."""
    end = withdrawal("lapsed" if by is None else "rejected", by=by)
    async with backend.open() as store:
        await furnish(store, "alice")
        _, made = await approved(store, "alice")
        await store.commit((WithdrawTransaction(made.request_id, end),))
        at_once = await store.transaction(made.request_id), found(store)
    async with backend.open() as store:
        later = await store.transaction(made.request_id), found(store)

        assert [] == list(store.open_transactions())
    assert [(msgspec.structs.replace(made, withdrawal=end), None)] * 2 == [at_once, later]


def withdraw(stored: Stored) -> Commit:
    """The writes that withdraw an approval."""
    return (WithdrawTransaction(stored.terms.request_id, withdrawal()),)


def take(stored: Stored) -> Commit:
    """The writes that claim an approval."""
    return (TakeClaim(claim(stored)),)


def execute(stored: Stored) -> Commit:
    """The writes that claim an approval and settle the claim."""
    taken = claim(stored)
    return (TakeClaim(taken), SettleClaim(settled(taken)))


ENDS: dict[str, Callable[[Stored], Commit]] = {
    "withdrawn": withdraw,
    "claimed": take,
    "executed": execute,
}


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
@pytest.mark.parametrize("restart", [False, True], ids=["at once", "after a restart"])
async def test_an_approval_has_one_end(
    backend: Backend, first: str, second: str, *, restart: bool
) -> None:
    """What was withdrawn or claimed is neither withdrawn nor claimed again."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored, made = await approved(store, "alice")
        await store.commit(ENDS[first](stored))
        before = await store.transaction(made.request_id)
        if not restart:
            with pytest.raises(Conflict):
                await store.commit(ENDS[second](stored))
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit(ENDS[second](stored))

        assert before == await store.transaction(made.request_id)


@pytest.mark.parametrize("second", ENDS)
@pytest.mark.parametrize("first", ENDS)
async def test_two_ends_in_one_commit(store: Store, first: str, second: str) -> None:
    """A commit that ends an approval twice is refused as a whole."""
    await furnish(store, "alice")
    stored, made = await approved(store, "alice")

    with pytest.raises(Conflict):
        await store.commit((*ENDS[first](stored), *ENDS[second](stored)))

    assert (made, None) == (found(store), await store.claim_of(made.request_id))


@pytest.mark.parametrize("end", ENDS)
async def test_what_was_not_approved_has_no_further_end(store: Store, end: str) -> None:
    """A rejected call cannot be withdrawn or claimed, in the commit that rejects it or later."""
    await furnish(store, "alice")
    stored, made = await opened(store, "alice")
    rejection = step(stored, Resolved(Status.REJECTED, START))
    with pytest.raises(Conflict):
        await store.commit((*rejection, *ENDS[end](stored)))
    waiting = found(store)
    await store.commit(rejection)

    with pytest.raises(Conflict):
        await store.commit(ENDS[end](stored))

    assert (made, made) == (waiting, await store.transaction(made.request_id))


@pytest.mark.parametrize("end", ENDS)
async def test_a_call_that_waits_has_no_end_yet(store: Store, end: str) -> None:
    """What nobody has approved can be neither withdrawn nor claimed, nor in its own commit."""
    await furnish(store, "alice")
    stored, made = await opened(store, "alice")
    second = request("alice")
    opening: Commit = (OpenRequest(second), OpenTransaction(transaction(second, call="another")))

    for commit in (ENDS[end](stored), (*opening, *ENDS[end](second))):
        with pytest.raises(Conflict):
            await store.commit(commit)

    assert (made, [made]) == (found(store), list(store.open_transactions()))


@pytest.mark.parametrize("end", ENDS)
async def test_an_approval_may_end_in_its_own_commit(store: Store, end: str) -> None:
    """The commit that approves a call may claim it too."""
    await furnish(store, "alice")
    stored, made = await opened(store, "alice")
    await store.commit((*ended(stored, Status.APPROVED), *ENDS[end](stored)))

    ending = await store.transaction(made.request_id)
    assert ending is not None
    assert None is found(store)
    assert (end == "withdrawn") == (ending.claim is None)


async def test_nothing_unknown_is_withdrawn(store: Store) -> None:
    """A request without a transaction cannot be withdrawn."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")

    with pytest.raises(Conflict):
        await store.commit(withdraw(stored))
