"""What is kept of protected methods: as long as the requests, events about them too."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.hooks import about, claim_one, hooked
from tests.contract.material import ended, event, furnish, happened
from tests.contract.protection_material import approved, claim, opened, settled, withdrawal
from tests.relay.simulator import ACME, START

from quorumkey_relay.store.records import LASTING_EVENTS
from quorumkey_relay.store.writes import SettleClaim, TakeClaim, WithdrawTransaction

if TYPE_CHECKING:
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

LATER = START + 1
DAY = 86_400


async def prune(store: Store, *, requests: int = LATER, events: int = LATER) -> int:
    """Prune requests and events up to these times."""
    return await store.prune(requests_before=requests, events_before=events, answers_before=0)


async def kept(store: Store) -> list[str]:
    """The transactions that are listed."""
    listed = await store.transactions(integrator_id=ACME.id, before=None, limit=10)
    return [one.request_id for one in listed]


async def test_a_transaction_goes_with_its_request(store: Store) -> None:
    """Transaction and claim are deleted with their request, in memory too."""
    await furnish(store, "alice")
    stored, made = await approved(store, "alice")
    taken = claim(stored)
    await store.commit((TakeClaim(taken), SettleClaim(settled(taken))))
    before = await prune(store, requests=START), await kept(store)

    gone = await prune(store)

    assert (0, [made.request_id]) == before
    assert (1, [], None, None, None) == (
        gone,
        await kept(store),
        await store.transaction(made.request_id),
        await store.claim(taken.claim_id),
        await store.claim_of(made.request_id),
    )


@pytest.mark.parametrize("claimed", [False, True], ids=["approved", "claimed"])
async def test_what_can_still_happen_is_not_pruned(store: Store, *, claimed: bool) -> None:
    """An approval that may be claimed, or a claim that may have a result, is kept until it ends."""
    await furnish(store, "alice")
    stored, made = await approved(store, "alice")
    taken = claim(stored)
    end: Commit = (WithdrawTransaction(made.request_id, withdrawal("lapsed", by=None)),)
    if claimed:
        await store.commit((TakeClaim(taken),))
        end = (SettleClaim(settled(taken, "indeterminate")),)
    early = await prune(store)
    await store.commit(end)
    late = await prune(store)

    assert ((0, 1), []) == ((early, late), await kept(store))


async def test_a_rejected_call_is_pruned(store: Store) -> None:
    """A transaction that ended with its request is in nobody's way."""
    await furnish(store, "alice")
    stored, _ = await opened(store, "alice")
    await store.commit(ended(stored))

    assert (1, []) == (await prune(store), await kept(store))


LASTING = [f"{prefix}claimed" for prefix in LASTING_EVENTS]


@pytest.mark.parametrize("kind", LASTING)
async def test_events_about_protected_methods_last(store: Store, kind: str) -> None:
    """They are kept until requests of their time are pruned; others are not."""
    lasting, passing = replace(event(), type=kind), event()
    await store.commit(happened(lasting, passing))
    first = await prune(store, requests=START)
    listed = await store.events(integrator_id=ACME.id, after=None, limit=10)
    second = await prune(store)

    assert (1, [lasting], 1) == (first, listed, second)
    assert [] == await store.events(integrator_id=ACME.id, after=None, limit=10)


@pytest.mark.parametrize("kind", LASTING)
async def test_they_go_where_requests_are_kept_less_long(store: Store, kind: str) -> None:
    """Where requests are kept less long than events, these go with the requests."""
    lasting, passing = replace(event(), type=kind), event()
    await store.commit(happened(lasting, passing))

    assert 1 == await prune(store, events=START)
    assert [passing] == await store.events(integrator_id=ACME.id, after=None, limit=10)


async def test_no_stream_goes_on_where_events_are_gone(store: Store) -> None:
    """Who saw a lasting event last is not told that what is left is all that followed it."""
    old = replace(event(), type=LASTING[0])
    young = replace(event(created_at=LATER), type=LASTING[0])
    between = event()
    await store.commit(happened(old, between, young))
    before = await store.events(integrator_id=ACME.id, after=old.id, limit=10)
    await prune(store, requests=START)

    assert ([between, young], None, []) == (
        before,
        await store.events(integrator_id=ACME.id, after=old.id, limit=10),
        await store.events(integrator_id=ACME.id, after=young.id, limit=10),
    )


async def test_many_of_them_get_old_at_once(store: Store) -> None:
    """However many there are, a stream goes on from none that others may be missing after."""
    events = [replace(event(), type=LASTING[0]) for _ in range(250)]
    await store.commit(happened(*events, event()))

    assert 1 == await prune(store, requests=START)
    assert {None} == {
        await store.events(integrator_id=ACME.id, after=one.id, limit=1) for one in events
    }


async def test_a_lasting_event_stays_while_it_may_be_delivered(store: Store) -> None:
    """What is still to reach a webhook is kept, however old."""
    await hooked(store)
    lasting = about("a call", LASTING[0])
    await store.commit(happened(lasting))

    assert (0, lasting.id) == (await prune(store), (await claim_one(store)).event_id)
