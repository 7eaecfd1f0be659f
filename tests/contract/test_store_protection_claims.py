"""Claims: one for an approval, one result for a claim, and never half of either."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.contract.material import api_key, ended, event, furnish, happened, request
from tests.contract.protection_material import (
    approved,
    changed,
    claim,
    digest,
    protection,
    settled,
)
from tests.relay.simulator import ACME, START

from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.transactions import RESULT_WITHIN_SECONDS
from quorumkey_relay.store.protocol import Conflict, Store, StoreUnavailable
from quorumkey_relay.store.writes import (
    OpenRequest,
    PutApiKey,
    PutProtection,
    SettleClaim,
    TakeClaim,
)

if TYPE_CHECKING:
    from tests.contract.backends import Backend

    from quorumkey_relay.domain.transactions import Claim
    from quorumkey_relay.store.records import Stored
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

CALL = digest("a call")
KEY = digest("a key")


async def read(store: Store, one: Claim) -> tuple[Claim | None, Claim | None]:
    """A claim by its id and by its request."""
    return await store.claim(one.claim_id), await store.claim_of(one.request_id)


async def test_a_claim_survives(backend: Backend) -> None:
    """A claim is read by its id, its request and its transaction; its call waits no more."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored, made = await approved(store, "alice")
        taken = claim(stored)
        await store.commit((TakeClaim(taken),))
        at_once = await read(store, taken), await store.transaction(made.request_id)
    async with backend.open() as store:
        later = await read(store, taken), await store.transaction(made.request_id)
        waiting = store.find_transaction(ACME.id, CALL)

    claimed = msgspec.structs.replace(made, claim=taken)
    assert [((taken, taken), claimed)] * 2 == [at_once, later]
    assert None is waiting


@pytest.mark.parametrize("result", ["ok", "error", "indeterminate"])
async def test_a_result_survives(backend: Backend, result: str) -> None:
    """What became of a claim is read again, and nothing can happen to its transaction any more."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored, made = await approved(store, "alice")
        taken = claim(stored)
        done = msgspec.convert(
            msgspec.to_builtins(settled(taken)) | {"result": result}, type(taken)
        )
        await store.commit((TakeClaim(taken),))
        await store.commit((SettleClaim(done),))
        at_once = await read(store, taken), await store.transaction(made.request_id)
        open_ones = list(store.open_transactions())
    async with backend.open() as store:
        later = await read(store, taken), await store.transaction(made.request_id)
        open_later = list(store.open_transactions())

    claimed = msgspec.structs.replace(made, claim=done)
    assert [((done, done), claimed)] * 2 == [at_once, later]
    assert [[], []] == [open_ones, open_later]


async def test_a_claim_is_known_before_it_is_durable(store: Store) -> None:
    """Who claims next sees it at once."""
    await furnish(store, "alice")
    stored, _ = await approved(store, "alice")
    taken = claim(stored)
    durable = asyncio.ensure_future(store.commit((TakeClaim(taken),)))
    seen = await read(store, taken)
    await durable

    assert (taken, taken) == seen


async def test_of_many_claims_at_once_one_is_taken(store: Store) -> None:
    """Of 32 claims on one approval one is durable, and it is the one that is read."""
    await furnish(store, "alice")
    stored, _ = await approved(store, "alice")
    claims = [claim(stored, key=str(number)) for number in range(32)]

    async def take(one: Claim) -> None:
        await store.commit((TakeClaim(one),))

    outcomes = await asyncio.gather(*map(take, claims), return_exceptions=True)

    won = [one for one, outcome in zip(claims, outcomes, strict=True) if outcome is None]
    assert 31 == sum(isinstance(outcome, Conflict) for outcome in outcomes)
    assert won == [await store.claim_of(stored.terms.request_id)]


async def test_a_claim_id_is_used_once(backend: Backend) -> None:
    """A claim under an id that another request's has is refused, also after a restart."""
    async with backend.open() as store:
        await furnish(store, "alice")
        first, _ = await approved(store, "alice")
        second, _ = await approved(store, "alice", call="another")
        taken = claim(first)
        again = msgspec.structs.replace(taken, request_id=second.terms.request_id)
        with pytest.raises(Conflict):
            await store.commit((TakeClaim(taken), TakeClaim(again)))
        await store.commit((TakeClaim(taken),))
        with pytest.raises(Conflict):
            await store.commit((TakeClaim(again),))
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((TakeClaim(again),))


async def test_a_lost_answer_is_found_by_its_key(backend: Backend) -> None:
    """A call's claim without a result is found under its own key alone; then it is not any more."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored, made = await approved(store, "alice")
        before = store.find_claimed(ACME.id, CALL, KEY)
        taken = claim(stored)
        await store.commit((TakeClaim(taken),))
    async with backend.open() as store:
        found = store.find_claimed(ACME.id, CALL, KEY)
        others = [
            store.find_claimed(ACME.id, CALL, digest("another key")),
            store.find_claimed(ACME.id, digest("another call"), KEY),
        ]
        await store.commit((SettleClaim(settled(taken)),))
        after = store.find_claimed(ACME.id, CALL, KEY)

    assert msgspec.structs.replace(made, claim=taken) == found
    assert [None, None, None, None] == [before, *others, after]


# Results


async def test_a_claim_has_one_result(backend: Backend) -> None:
    """A second result is refused, at once and after a restart, and the first one stays."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored, _ = await approved(store, "alice")
        taken = claim(stored)
        done = settled(taken)
        with pytest.raises(Conflict):
            await store.commit((SettleClaim(done),))
        await store.commit((TakeClaim(taken), SettleClaim(done)))
        with pytest.raises(Conflict):
            await store.commit((SettleClaim(settled(taken, "error")),))
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((SettleClaim(settled(taken, "error")),))

        assert (done, done) == await read(store, taken)


async def test_a_claim_is_taken_without_a_result(store: Store) -> None:
    """A claim that brings its result along is a mistake, and nothing of it is stored."""
    await furnish(store, "alice")
    stored, made = await approved(store, "alice")

    with pytest.raises(ValueError, match="without a result"):
        await store.commit((TakeClaim(settled(claim(stored))),))

    assert made == await store.transaction(made.request_id)


async def test_two_results_in_one_commit(store: Store) -> None:
    """A commit that settles a claim twice is refused as a whole."""
    await furnish(store, "alice")
    stored, _ = await approved(store, "alice")
    taken = claim(stored)

    with pytest.raises(Conflict):
        await store.commit(
            (TakeClaim(taken), SettleClaim(settled(taken)), SettleClaim(settled(taken, "error")))
        )

    assert (None, None) == await read(store, taken)


async def test_overdue_claims(store: Store) -> None:
    """Claims whose result did not come in time are told, the longest overdue first."""
    await furnish(store, "alice")
    claims = [
        claim((await approved(store, "alice", call=str(at)))[0], at=START + at)
        for at in (2, 0, 1, 3)
    ]
    done = claim((await approved(store, "alice"))[0])
    await store.commit((*map(TakeClaim, claims), TakeClaim(done), SettleClaim(settled(done))))
    late = START + RESULT_WITHIN_SECONDS

    assert [[], [claims[1]], [claims[1], claims[2], claims[0]]] == [
        list(await store.overdue_claims(now=now, limit=3)) for now in (late - 1, late, late + 9)
    ]


# The relay's own methods, and integrators


async def test_an_effect_is_there_with_its_claim(backend: Backend) -> None:
    """Claim, effect and result of one commit are there together."""
    before, key = protection("alice"), api_key("a key")
    after = changed(before, "alice", "bob")
    async with backend.open() as store:
        await furnish(store, "alice")
        await store.commit((PutProtection(None, before),))
        stored, _ = await approved(store, "alice")
        taken = claim(stored, executor="builtin")
        effect = (PutProtection(before, after), PutApiKey(key))
        await store.commit((TakeClaim(taken), *effect, SettleClaim(settled(taken))))
    async with backend.open() as store:
        found = (
            await store.claim(taken.claim_id),
            store.directory.protection(ACME.id),
            store.directory.api_key(key.digest),
        )

    assert (settled(taken), after, key) == found


async def test_an_effect_that_lost_leaves_the_approval(backend: Backend, store: Store) -> None:
    """Where another process changed the protection first, nothing was claimed."""
    before = protection("alice")
    await furnish(store, "alice")
    await store.commit((PutProtection(None, before),))
    stored, made = await approved(store, "alice")
    theirs = changed(before, "carol")
    backend.administer(PutProtection(before, theirs))
    taken = claim(stored, executor="builtin")

    with pytest.raises(Conflict):
        await store.commit(
            (
                TakeClaim(taken),
                PutProtection(before, changed(before, "alice", "bob")),
                SettleClaim(settled(taken)),
            )
        )

    assert (None, None) == await read(store, taken)
    assert (made, theirs) == (
        store.find_transaction(ACME.id, CALL),
        store.directory.protection(ACME.id),
    )


@pytest.mark.parametrize("place", [0, 1, 2], ids=["first", "between", "last"])
async def test_an_effect_of_what_was_changed_leaves_the_approval(store: Store, place: int) -> None:
    """A conflict of any part of the commit leaves the approval as it was."""
    before = protection("alice")
    await furnish(store, "alice")
    await store.commit((PutProtection(None, before),))
    stored, made = await approved(store, "alice")
    taken, record = claim(stored, executor="builtin"), event()
    writes: Commit = (TakeClaim(taken), SettleClaim(settled(taken)))

    with pytest.raises(Conflict):
        await store.commit(
            (
                *happened(record),
                *writes[:place],
                PutProtection(None, before),
                *writes[place:],
            )
        )

    assert (None, None) == await read(store, taken)
    assert (made, None) == (store.find_transaction(ACME.id, CALL), await store.event(record.id))


async def approval(store: Store) -> Stored:
    """An approved request of an integrator, without a transaction."""
    stored = request("alice")
    await store.commit((OpenRequest(stored),))
    await store.commit(ended(stored, Status.APPROVED))
    return stored


async def test_an_integrator_claims_its_request(backend: Backend) -> None:
    """A request without a transaction is claimed once too, also after a restart."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored = await approval(store)
        taken = claim(stored, executor="integrator")
        await store.commit((TakeClaim(taken),))
        with pytest.raises(Conflict):
            await store.commit((TakeClaim(claim(stored, executor="integrator")),))
    async with backend.open() as store:
        with pytest.raises(Conflict):
            await store.commit((TakeClaim(claim(stored, executor="integrator")),))
        await store.commit((SettleClaim(settled(taken)),))

        assert (settled(taken), settled(taken)) == await read(store, taken)


async def test_two_claims_on_a_request_in_one_commit(store: Store) -> None:
    """They are refused, where there is no transaction too."""
    await furnish(store, "alice")
    stored = await approval(store)
    claims = claim(stored), claim(stored)

    with pytest.raises(Conflict):
        await store.commit(tuple(map(TakeClaim, claims)))

    assert None is await store.claim_of(stored.terms.request_id)


@pytest.mark.parametrize("write", ["claim", "result"])
async def test_what_a_failed_batch_claimed_was_not(
    backend: Backend, store: Store, write: str
) -> None:
    """After a commit that could not be written, the approval or the claim is as before."""
    await furnish(store, "alice")
    stored, made = await approved(store, "alice")
    taken = claim(stored)
    commit = (TakeClaim(taken),) if write == "claim" else (SettleClaim(settled(taken)),)
    if write == "result":
        await store.commit((TakeClaim(taken),))
        made = msgspec.structs.replace(made, claim=taken)

    with backend.unwritable(), pytest.raises(StoreUnavailable):
        await store.commit(commit)

    assert (made, made.claim) == (
        await store.transaction(made.request_id),
        await store.claim(taken.claim_id),
    )
    await store.commit(commit)
