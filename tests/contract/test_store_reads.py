"""What reads report: durable, ordered, page by page, and true at the time asked for."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import (
    MINT,
    admission,
    after,
    counted,
    ended,
    evidence,
    fingerprint,
    furnish,
    pairing,
    request,
    step,
)
from tests.relay.simulator import ACME, START, UMBRELLA

from quorumkey_relay.domain.model import DeviceLost, Status
from quorumkey_relay.store.records import Stored, Summary
from quorumkey_relay.store.writes import OpenRequest, PutIntegrator, PutPairing

if TYPE_CHECKING:
    from quorumkey_relay.identity.principals import Integrator, Pairing
    from quorumkey_relay.store.protocol import Store

pytestmark = pytest.mark.anyio

EXPIRES_AT = START + 300


async def ids(  # noqa: PLR0913 - the arguments of Store.summaries
    store: Store,
    *,
    status: Status | None = None,
    before: Stored | None = None,
    limit: int = 100,
    now: int = START,
    integrator: Integrator = ACME,
) -> list[str]:
    """The ids of a page of summaries."""
    found = await store.summaries(
        integrator_id=integrator.id,
        status=status,
        before=None if before is None else before.terms.request_id,
        limit=limit,
        now=now,
    )
    return [summary.request_id for summary in found]


def names(*requests: Stored) -> list[str]:
    """The ids of requests."""
    return [stored.terms.request_id for stored in requests]


# Requests


async def test_a_summary_reports_the_request(store: Store) -> None:
    """A summary holds what a read needs, with groups by name."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob", required=2)
    await store.commit(counted(stored, "bob"))

    assert Summary(
        request_id=stored.terms.request_id,
        integrator_id=ACME.id,
        profile="approval",
        status=Status.PENDING,
        required=2,
        groups_total=2,
        satisfied=("Group 1",),
        digest=stored.terms.digest,
        created_at=START,
        expires_at=EXPIRES_AT,
        use_by=START + 1_200,
        completed_at=None,
    ) == await store.summary(stored.terms.request_id)


async def test_a_summary_waits_for_what_it_reports(store: Store) -> None:
    """A read that comes right after a commit reports it, and only once it is durable."""
    house = await furnish(store, "alice")
    stored = await house.open("alice")

    unawaited = asyncio.ensure_future(store.commit(ended(stored, at=START + 5)))
    found = await store.summary(stored.terms.request_id)

    assert found is not None
    assert (Status.CANCELLED, START + 5) == (found.status, found.completed_at)
    await unawaited


async def test_an_unknown_request_has_no_summary(store: Store) -> None:
    """An id that was never given out is None."""
    assert None is await store.summary(MINT.uuid7())


async def test_summaries_are_an_integrators_own_newest_first(store: Store) -> None:
    """A list holds one integrator's requests, the newest first."""
    house = await furnish(store, "alice")
    await store.commit((PutIntegrator(UMBRELLA), *admission("alice", UMBRELLA)))
    first, second = await house.open("alice"), await house.open("alice")
    other = request("alice", integrator=UMBRELLA)
    await store.commit((OpenRequest(other),))

    assert names(second, first) == await ids(store)
    assert names(other) == await ids(store, integrator=UMBRELLA)


async def test_summaries_come_page_by_page(store: Store) -> None:
    """Each page starts after the last request of the one before, and none is left out."""
    house = await furnish(store, "alice")
    opened = [await house.open("alice") for _ in range(5)]

    pages = [
        await ids(store, limit=2),
        await ids(store, limit=2, before=opened[3]),
        await ids(store, limit=2, before=opened[1]),
    ]

    assert [
        names(opened[4], opened[3]),
        names(opened[2], opened[1]),
        names(opened[0]),
    ] == pages


@pytest.mark.parametrize("status", list(Status))
async def test_summaries_by_status(store: Store, status: Status) -> None:
    """A list of one status holds the requests that have it, and no others."""
    house = await furnish(store, "alice")
    opened = {Status.PENDING: await house.open("alice")}
    for end in (Status.APPROVED, Status.REJECTED, Status.TIMEOUT, Status.CANCELLED):
        opened[end] = await house.open("alice")
        await store.commit(ended(opened[end], end))

    assert names(opened[status]) == await ids(store, status=status)


@pytest.mark.parametrize(
    ("now", "open_ones", "timed_out"), [(EXPIRES_AT - 1, 1, 0), (EXPIRES_AT, 0, 1)]
)
async def test_a_list_judges_the_status_at_now(
    store: Store, now: int, open_ones: int, timed_out: int
) -> None:
    """A request counts as timed out from ``expires_at`` on, written down or not."""
    house = await furnish(store, "alice")
    await house.open("alice")

    found = [
        len(await ids(store, status=status, now=now)) for status in (Status.PENDING, Status.TIMEOUT)
    ]

    assert [open_ones, timed_out] == found


async def test_a_devices_requests_are_all_that_name_it(store: Store) -> None:
    """Pending and finished ones, newest first, page by page."""
    house = await furnish(store, "alice", "bob")
    first = await house.open("alice")
    await house.open("bob")
    third = await house.open("alice", "bob")
    await store.commit(ended(first))
    third, first = await house.load(third), await house.load(first)
    alice = fingerprint("alice")

    everything = await store.device_requests(device=alice, before=None, limit=10)
    newest = await store.device_requests(device=alice, before=None, limit=1)
    rest = await store.device_requests(device=alice, before=third.terms.request_id, limit=10)

    assert ([third, first], [third], [first]) == (list(everything), list(newest), list(rest))


async def test_evidence_is_in_the_order_of_counting(store: Store) -> None:
    """Decisions come back as they were signed, in the order in which they were counted."""
    house = await furnish(store, "alice", "bob", "carol")
    stored = await house.open("alice bob", "carol", required=2)
    said = [
        evidence(stored, "bob", "approve"),
        evidence(stored, "alice", "deny"),
        evidence(stored, "carol", "approve"),
    ]
    for name, choice in (("bob", "approve"), ("alice", "deny"), ("carol", "approve")):
        await store.commit(counted(stored, name, "deny" if choice == "deny" else "approve"))

    assert said == list(await store.evidence(stored.terms.request_id))


async def test_a_lost_devices_approval_is_no_evidence(store: Store) -> None:
    """An approval that was voided does not count; a denial of the same device would."""
    house = await furnish(store, "alice", "bob")
    stored = await house.open("alice", "bob", required=2)
    await store.commit(counted(stored, "alice"))
    await store.commit(counted(stored, "bob", "deny"))
    for name in ("alice", "bob"):
        await store.commit(step(stored, DeviceLost(fingerprint(name))))

    found = await store.evidence(stored.terms.request_id)

    assert [("deny", fingerprint("bob"))] == [(one.choice, one.device) for one in found]


async def test_an_unknown_request_has_no_evidence(store: Store) -> None:
    """Nothing was decided about what is not there."""
    assert [] == list(await store.evidence(MINT.uuid7()))


# Pairings


async def test_a_pairing_is_read_by_id(store: Store) -> None:
    """An invitation and a spent one; an unknown id is None."""
    invitation = pairing("alice", spent=False)
    await store.commit((PutPairing(invitation),))

    assert (invitation, None) == (
        await store.pairing(invitation.pairing_id),
        await store.pairing(MINT.uuid7()),
    )


async def tie(store: Store, name: str, integrator: Integrator = ACME) -> Pairing:
    """Admit a device and return its tie."""
    writes = admission(name, integrator)
    await store.commit(writes)
    put = writes[1]
    assert isinstance(put, PutPairing)
    return put.pairing


async def test_devices_are_an_integrators_newest_ties_first(store: Store) -> None:
    """A device that was paired twice is listed once, by its newest tie; invitations are not."""
    older = await tie(store, "alice")
    bob = await tie(store, "bob")
    await store.commit((PutPairing(replace(older, ended_at=START + 9)),))
    alice = await tie(store, "alice")
    await tie(store, "carol", UMBRELLA)
    await store.commit((PutPairing(pairing("dave", spent=False)),))

    everybody = await store.devices(integrator_id=ACME.id, approver_id=None, before=None, limit=10)
    second_page = await store.devices(
        integrator_id=ACME.id, approver_id=None, before=alice.pairing_id, limit=10
    )

    assert ([alice, bob], [bob]) == (list(everybody), list(second_page))


async def test_devices_of_one_approver(store: Store) -> None:
    """A list can be of one person's devices."""
    await tie(store, "alice")
    bob = await tie(store, "bob")

    found = await store.devices(integrator_id=ACME.id, approver_id="bob", before=None, limit=10)

    assert [bob] == list(found)


async def test_a_tie_in_force_or_ended_is_found(store: Store) -> None:
    """The newest tie answers, also after its end; no tie is None."""
    ended_tie = replace(await tie(store, "alice"), ended_at=START + 9)
    await store.commit((PutPairing(ended_tie),))
    alice = fingerprint("alice")

    assert (ended_tie, None) == (
        await store.tie(integrator_id=ACME.id, device=alice),
        await store.tie(integrator_id=UMBRELLA.id, device=alice),
    )


async def test_a_satisfied_group_stays_in_order(store: Store) -> None:
    """Reads report groups in the order in which they were satisfied."""
    house = await furnish(store, "alice", "bob", "carol")
    stored = await house.open("alice", "bob", "carol", required=3)
    last = None
    for name in ("carol", "alice"):
        last = counted(stored, name)
        await store.commit(last)

    found = await store.summary(stored.terms.request_id)

    assert found is not None
    assert last is not None
    assert ("Group 2", "Group 0") == found.satisfied
    assert (2, 0) == after(last).satisfied
