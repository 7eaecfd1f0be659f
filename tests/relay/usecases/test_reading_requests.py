"""What an integrator reads and takes back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import (
    ACME,
    UMBRELLA,
    Simulator,
    granted,
    refused,
    shown,
)

from quorumkey_relay.domain.refusal import NOT_FOUND
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.usecases.read import BAD_CURSOR

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tests.relay.simulator import Asked, SimDevice

    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.store.records import Summary

pytestmark = pytest.mark.anyio

STATUSES = ["pending", "approved", "rejected", "timeout", "cancelled"]


async def test_a_request_is_read_as_it_was_answered(sim: Simulator) -> None:
    """Reading gives the same object as creating did."""
    request = await sim.ask([await sim.device("alice")])

    assert request.answer == shown(await sim.read(request))


async def test_a_finished_request_shows_its_end(sim: Simulator) -> None:
    """Status, satisfied groups in order, and when it was completed."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    request = await sim.ask([alice], [bob], [carol], required=2)
    sim.clock.advance(3)
    await sim.approve(request, carol)
    sim.clock.advance(3)
    await sim.approve(request, alice)

    assert request.answer | {
        "status": "approved",
        "groups_satisfied": ["Group 3", "Group 1"],
        "completed_at": "2027-01-15T08:00:06Z",
    } == shown(await sim.read(request))


async def test_nobody_learns_who_denied(sim: Simulator) -> None:
    """A rejected request shows no more than that."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob])
    await sim.deny(request, bob)

    view = shown(await sim.read(request))

    assert request.answer | {"status": "rejected", "completed_at": "2027-01-15T08:00:00Z"} == view
    (event,) = [event for event in await sim.events() if event["type"] == "mpa.rejected"]
    assert bob.fingerprint not in str(event)


def every_call(sim: Simulator, integrator_id: str, request_id: str) -> list[Awaitable[object]]:
    """Everything that an integrator may do with a request."""
    use = sim.use
    return [
        use.read_request(integrator_id=integrator_id, request_id=request_id),
        use.cancel_request(integrator_id=integrator_id, request_id=request_id),
        use.read_receipt(integrator_id=integrator_id, request_id=request_id),
        use.read_deliveries(integrator_id=integrator_id, request_id=request_id),
    ]


async def test_other_peoples_requests_are_not_found(sim: Simulator) -> None:
    """Another integrator's, unknown and malformed ids, in every call."""
    request = await sim.ask([await sim.device("alice")])
    ids = [
        (UMBRELLA.id, request.id),
        (ACME.id, SystemMint().uuid7()),
        (ACME.id, request.id.upper()),
        (ACME.id, "1"),
    ]

    found = [await call for one in ids for call in every_call(sim, *one)]

    assert [NOT_FOUND] * 16 == found
    assert "pending" == (await sim.read(request)).status


# Waiting


async def test_waiting_ends_with_the_request(sim: Simulator) -> None:
    """A read that waits is answered as soon as the request has ended."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    waiting = asyncio.ensure_future(sim.read(request, wait_seconds=60))
    await asyncio.sleep(0)

    await sim.approve(request, alice)

    assert "approved" == (await waiting).status


async def test_many_wait_for_one_request(sim: Simulator) -> None:
    """Everybody who waits is answered."""
    request = await sim.ask([await sim.device("alice")])
    waiting = [asyncio.ensure_future(sim.read(request, wait_seconds=60)) for _ in range(20)]
    await asyncio.sleep(0)

    await sim.cancel(request)

    assert ["cancelled"] * 20 == [view.status for view in await asyncio.gather(*waiting)]


async def test_waiting_ends_with_a_timeout_that_was_swept(sim: Simulator) -> None:
    """The end by time ends the waiting too."""
    request = await sim.ask([await sim.device("alice")])
    waiting = asyncio.ensure_future(sim.read(request, wait_seconds=60))
    await asyncio.sleep(0)
    sim.clock.advance(300)

    await sim.relay.sweeper.sweep()

    assert "timeout" == (await waiting).status


async def test_what_has_ended_is_not_waited_for(sim: Simulator) -> None:
    """A finished request answers at once."""
    request = await sim.ask([await sim.device("alice")])
    await sim.cancel(request)

    assert "cancelled" == (await sim.read(request, wait_seconds=60)).status


async def test_an_end_before_the_waiting_begins_is_not_missed(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A request that ends between the first look and the watch answers at once."""
    request = await sim.ask([await sim.device("alice")])
    look = sim.store.summary
    looks: list[str] = []

    async def ends_after_the_first(request_id: str) -> Summary | None:
        found = await look(request_id)
        looks.append(request_id)
        if len(looks) == 1:
            await sim.cancel(request)
        return found

    monkeypatch.setattr(sim.store, "summary", ends_after_the_first)

    assert "cancelled" == (await sim.read(request, wait_seconds=60)).status


async def test_what_is_not_there_is_not_waited_for(sim: Simulator) -> None:
    """An unknown request answers at once."""
    refusal = await refused(
        sim.use.read_request(
            integrator_id=ACME.id, request_id=SystemMint().uuid7(), wait_seconds=60
        )
    )

    assert NOT_FOUND == refusal


async def test_waiting_has_an_end(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing happened: after the time the request is answered as it is."""
    request = await sim.ask([await sim.device("alice")])
    real = asyncio.timeout

    def at_once(seconds: float | None) -> asyncio.Timeout:
        return real(seconds and 0)

    monkeypatch.setattr(asyncio, "timeout", at_once)

    assert "pending" == (await sim.read(request, wait_seconds=60)).status


async def test_shutting_down_lets_who_waits_go(sim: Simulator) -> None:
    """A relay that stops answers with what is known."""
    request = await sim.ask([await sim.device("alice")])
    waiting = asyncio.ensure_future(sim.read(request, wait_seconds=60))
    await asyncio.sleep(0)

    sim.relay.begin_shutdown()

    assert "pending" == (await waiting).status


# Lists


async def listed(
    sim: Simulator,
    *,
    status: str | None = None,
    limit: int = 20,
    cursor: str | None = None,
    integrator: Integrator = ACME,
) -> tuple[list[str], str | None]:
    """The ids of a page, and the cursor of the next."""
    page = await granted(
        sim.use.list_requests(
            integrator_id=integrator.id, status=status, limit=limit, cursor=cursor
        )
    )
    return [view.request_id for view in page.data], page.next_cursor


async def test_a_list_is_newest_first_and_own(sim: Simulator) -> None:
    """An integrator lists its requests and nobody else's."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)
    mine = [await sim.ask([alice]) for _ in range(3)]
    other = await sim.ask([alice], integrator=UMBRELLA)

    assert ([one.id for one in reversed(mine)], None) == await listed(sim)
    assert ([other.id], None) == await listed(sim, integrator=UMBRELLA)


async def test_pages_follow_each_other(sim: Simulator) -> None:
    """Each cursor leads to the next page, the last page has none, and nothing is listed twice."""
    alice = await sim.device("alice")
    made = [(await sim.ask([alice])).id for _ in range(7)]
    found: list[str] = []
    cursor: str | None = None
    sizes: list[int] = []
    while not sizes or cursor is not None:
        page, cursor = await listed(sim, limit=3, cursor=cursor)
        found += page
        sizes.append(len(page))

    assert (made[::-1], [3, 3, 1]) == (found, sizes)


async def test_a_full_last_page_has_no_cursor(sim: Simulator) -> None:
    """Where nothing follows there is nothing to follow."""
    alice = await sim.device("alice")
    for _ in range(2):
        await sim.ask([alice])

    assert None is (await listed(sim, limit=2))[1]


async def ended(sim: Simulator, device: SimDevice, status: str) -> Asked:
    """A request that has come to an end."""
    request = await sim.ask([device], expires_in_seconds=60 if status == "timeout" else 900)
    if status == "approved":
        await sim.approve(request, device)
    elif status == "rejected":
        await sim.deny(request, device)
    elif status == "cancelled":
        await sim.cancel(request)
    return request


@pytest.mark.parametrize("swept", [False, True])
async def test_a_list_of_one_status(sim: Simulator, *, swept: bool) -> None:
    """Each status lists what has it at this moment, whether or not a sweeper ran."""
    alice = await sim.device("alice")
    requests = {status: await ended(sim, alice, status) for status in STATUSES}
    sim.clock.advance(60)
    if swept:
        await sim.relay.sweeper.sweep()

    found = {status: (await listed(sim, status=status))[0] for status in STATUSES}

    assert {status: [request.id] for status, request in requests.items()} == found


@pytest.mark.parametrize("cursor", ["", "1", "0190a000-0000-7000-8000-00000000dead"])
async def test_a_cursor_is_of_the_list(sim: Simulator, cursor: str) -> None:
    """What is no cursor of this list is refused."""
    refusal = await refused(
        sim.use.list_requests(integrator_id=ACME.id, status=None, limit=20, cursor=cursor)
    )

    assert BAD_CURSOR == refusal


async def test_a_cursor_of_another_integrator_is_refused(sim: Simulator) -> None:
    """Another integrator's request is no cursor, and is not told from none."""
    request = await sim.ask([await sim.device("alice")])

    refusal = await refused(
        sim.use.list_requests(integrator_id=UMBRELLA.id, status=None, limit=20, cursor=request.id)
    )

    assert BAD_CURSOR == refusal


# Cancelling


async def test_a_cancelled_request_answers_again(sim: Simulator) -> None:
    """Cancelling twice is answered alike, and is one event."""
    request = await sim.ask([await sim.device("alice")])
    sim.clock.advance(5)
    first = await sim.cancel(request)
    sim.clock.advance(5)

    assert first == await sim.cancel(request)
    assert "2027-01-15T08:00:05Z" == first.completed_at
    assert ["mpa.cancelled"] == await sim.outcomes()


@pytest.mark.parametrize("status", ["approved", "rejected", "timeout"])
async def test_what_ended_otherwise_cannot_be_cancelled(sim: Simulator, status: str) -> None:
    """It is refused with the end that it came to."""
    request = await ended(sim, await sim.device("alice"), status)
    sim.clock.advance(60)

    refusal = await refused(sim.use.cancel_request(integrator_id=ACME.id, request_id=request.id))

    assert ("request_completed", {"status": status}) == (refusal.code, refusal.details)
    assert status == (await sim.read(request)).status


# Devices


async def test_devices_are_listed_newest_first(sim: Simulator) -> None:
    """An integrator's devices, of everybody or of one person, page by page."""
    alice, bob = await sim.devices("alice", "bob")
    tablet = await sim.device("alice")
    await sim.device("carol", UMBRELLA)

    async def page(
        approver_id: str | None = None, limit: int = 20, cursor: str | None = None
    ) -> tuple[list[str], str | None]:
        found = await granted(
            sim.use.list_devices(
                integrator_id=ACME.id, approver_id=approver_id, limit=limit, cursor=cursor
            )
        )
        return [view.fingerprint for view in found.data], found.next_cursor

    first, cursor = await page(limit=2)
    second, end = await page(limit=2, cursor=cursor)
    assert [tablet.fingerprint, bob.fingerprint, alice.fingerprint] == first + second
    assert None is end
    assert [tablet.fingerprint, alice.fingerprint] == (await page("alice"))[0]
    assert [] == (await page("nobody"))[0]


async def test_a_device_is_shown_to_its_integrator(sim: Simulator) -> None:
    """Key, pictogram, platform, level, approver and time of enrolment."""
    alice = await sim.device("alice")

    view = await granted(sim.use.read_device(integrator_id=ACME.id, fingerprint=alice.fingerprint))

    read = shown(view)
    assert 5 == len(read.pop("pictogram"))
    assert {
        "fingerprint": alice.fingerprint,
        "device_public_key": alice.key.public_key.base64,
        "platform": "cli",
        "assurance": "none",
        "approver": {"id": "alice", "name": "Alice"},
        "enrolled_at": "2027-01-15T08:00:00Z",
    } == read


async def test_a_device_of_others_is_not_found(sim: Simulator) -> None:
    """Another integrator's, an unknown one and what is no fingerprint are the same."""
    stranger = await sim.device("alice", UMBRELLA)

    found = [
        await sim.use.read_device(integrator_id=ACME.id, fingerprint=fingerprint)
        for fingerprint in (stranger.fingerprint, "00" * 32, "x")
    ]

    assert [NOT_FOUND] * 3 == found


@pytest.mark.parametrize("cursor", ["1", "0190a000-0000-7000-8000-00000000dead"])
async def test_a_cursor_of_devices_is_of_the_list(sim: Simulator, cursor: str) -> None:
    """What is no cursor of this list is refused."""
    refusal = await refused(
        sim.use.list_devices(integrator_id=ACME.id, approver_id=None, limit=20, cursor=cursor)
    )

    assert BAD_CURSOR == refusal
