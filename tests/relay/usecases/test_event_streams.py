"""An integrator's events: none missed, none twice, in order."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import TYPE_CHECKING, Any
from weakref import ReferenceType, ref

import pytest
from tests.relay.simulator import (
    ACME,
    UMBRELLA,
    Simulator,
    granted,
    refused,
    simulator,
)

from quorumkey_relay.identity.principals import ApiKey
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.store.records import EventRecord
from quorumkey_relay.store.sqlite import AdminStore
from quorumkey_relay.store.writes import AppendEvent, PutApiKey
from quorumkey_relay.usecases import bulletin, watch
from quorumkey_relay.usecases.watch import CURSOR_EXPIRED

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.bulletin import EventFeed

pytestmark = pytest.mark.anyio


async def follow(
    sim: Simulator, after: str | None = None, integrator: Integrator = ACME
) -> AsyncIterator[EventRecord]:
    """A stream of an integrator's events."""
    return await granted(sim.use.watch_events(integrator_id=integrator.id, last_event_id=after))


async def take(stream: AsyncIterator[EventRecord], count: int) -> list[EventRecord]:
    """The next events of a stream."""
    return [await anext(stream) for _ in range(count)]


async def cancelled(sim: Simulator, count: int) -> list[str]:
    """Make so many events; the ids of their requests."""
    alice = await sim.device("alice")
    ids: list[str] = []
    for _ in range(count):
        request = await sim.ask([alice])
        await sim.cancel(request)
        ids.append(request.id)
    return ids


def bodies(events: list[EventRecord]) -> list[dict[str, Any]]:
    """The bodies of events."""
    return [json.loads(event.body) for event in events]


async def test_an_end_is_an_event(sim: Simulator) -> None:
    """Type, request, status, satisfied groups and time."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    stream = await follow(sim)
    sim.clock.advance(42)
    await sim.approve(request, bob, alice)

    (event,) = await take(stream, 1)

    assert ("mpa.approved", ACME.id, sim.clock.now()) == (
        event.type,
        event.integrator_id,
        event.created_at,
    )
    assert {
        "type": "mpa.approved",
        "request_id": request.id,
        "status": "approved",
        "groups_satisfied": ["Group 2", "Group 1"],
        "timestamp": "2027-01-15T08:00:42Z",
    } == json.loads(event.body)


async def test_a_timeouts_event_is_dated_at_its_end(sim: Simulator) -> None:
    """Whenever the sweeper ran, the event says when the request expired."""
    request = await sim.ask([await sim.device("alice")])
    sim.clock.advance(1_000)
    await sim.relay.sweeper.sweep()

    event = (await sim.events())[-1]

    assert ("mpa.timeout", request.id, "2027-01-15T08:05:00Z") == (
        event["type"],
        event["request_id"],
        event["timestamp"],
    )


async def test_a_stream_without_cursor_begins_now(sim: Simulator) -> None:
    """What happened before is not told, what happens next is."""
    await cancelled(sim, 2)
    stream = await follow(sim)
    (later,) = await cancelled(sim, 1)

    events = bodies(await take(stream, 2))

    assert ["device.enrolled", "mpa.cancelled"] == [event["type"] for event in events]
    assert later == events[1]["request_id"]


async def test_a_stream_begins_with_the_call(sim: Simulator) -> None:
    """What happens between the call and the first look is told too, with and without cursor."""
    (first,) = await cancelled(sim, 1)
    newest = (await sim.store.events(integrator_id=ACME.id, after=None, limit=100) or [])[-1]
    streams = [await follow(sim), await follow(sim, newest.id)]
    request = await sim.ask([await sim.device("bob")])

    await sim.cancel(request)

    found = [bodies(await take(stream, 2))[1]["request_id"] for stream in streams]
    assert [request.id] * 2 == found
    assert first != request.id


async def test_a_stream_is_an_integrators_own(sim: Simulator) -> None:
    """Nobody hears of others' events."""
    stream = await follow(sim, integrator=UMBRELLA)
    await cancelled(sim, 1)
    carol = await sim.device("carol", UMBRELLA)

    (event,) = await take(stream, 1)

    assert carol.fingerprint == json.loads(event.body)["fingerprint"]


async def test_a_stream_goes_on_after_its_last_event(sim: Simulator) -> None:
    """With a cursor: everything after it, once and in order, then what happens next."""
    stream = await follow(sim)
    ids = await cancelled(sim, 3)
    seen = await take(stream, 2)  # the enrolment and the first end

    resumed = await follow(sim, seen[-1].id)
    missed = await take(resumed, 2)
    ids += await cancelled(sim, 1)
    live = await take(resumed, 2)

    ends = bodies([seen[-1], *missed, live[-1]])
    assert ids == [end["request_id"] for end in ends]


async def test_a_long_absence_is_caught_up_with(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More missed events than fit into a page, and some that happen meanwhile: each once."""
    monkeypatch.setattr(watch, "EVENTS_PAGE", 2)
    stream = await follow(sim)
    ids = await cancelled(sim, 5)
    (first,) = await take(stream, 1)
    resumed = await follow(sim, first.id)
    found = await take(resumed, 1)
    ids += await cancelled(sim, 2)

    found += await take(resumed, 7)

    ends = [body for body in bodies(found) if body["type"] == "mpa.cancelled"]
    assert ids == [end["request_id"] for end in ends]
    assert len({event.id for event in found}) == len(found)


async def test_events_during_the_look_at_the_store_come_once(sim: Simulator) -> None:
    """What both the store and the feed have is told once."""
    before = await follow(sim)
    await cancelled(sim, 1)
    (first, _) = await take(before, 2)
    resumed = await follow(sim, first.id)
    ids = await cancelled(sim, 1)  # in the feed, and in the next page of the store

    found = bodies(await take(resumed, 3))
    waiting = asyncio.ensure_future(take(resumed, 2))
    for _ in range(3):  # until it has passed over what it had and waits for what is new
        await asyncio.sleep(0)
    ids += await cancelled(sim, 1)
    found += bodies(await waiting)

    kinds = ["mpa.cancelled", *["device.enrolled", "mpa.cancelled"] * 2]
    assert kinds == [one["type"] for one in found]
    assert ids == [found[2]["request_id"], found[4]["request_id"]]


@pytest.mark.parametrize("cursor", ["", "1", "0190a000-0000-7000-8000-00000000dead"])
async def test_a_cursor_that_is_not_kept_is_expired(sim: Simulator, cursor: str) -> None:
    """An event that never was, or is not kept any more, cannot be gone on from."""
    refusal = await refused(sim.use.watch_events(integrator_id=ACME.id, last_event_id=cursor))

    assert CURSOR_EXPIRED == refusal


async def test_a_pruned_cursor_is_expired(sim: Simulator) -> None:
    """After the events' retention the cursor is gone; before it, it is good."""
    stream = await follow(sim)
    await cancelled(sim, 1)
    (first, _) = await take(stream, 2)
    sim.clock.advance(7 * 86_400)
    await sim.relay.pruner.prune()
    kept = await follow(sim, first.id)
    sim.clock.advance(1)
    await sim.relay.pruner.prune()

    refusal = await refused(sim.use.watch_events(integrator_id=ACME.id, last_event_id=first.id))

    assert ("mpa.cancelled", CURSOR_EXPIRED) == ((await take(kept, 1))[0].type, refusal)


async def test_events_survive_a_restart(tmp_path: Path) -> None:
    """A cursor of before the restart goes on after it."""
    async with simulator(tmp_path) as sim:
        stream = await follow(sim)
        ids = await cancelled(sim, 2)
        seen = await take(stream, 2)
    async with simulator(tmp_path) as sim:
        (missed,) = await take(await follow(sim, seen[-1].id), 1)

    assert ids[1] == json.loads(missed.body)["request_id"]


def append_elsewhere(sim: Simulator) -> EventRecord:
    """Another process appends an event."""
    record = EventRecord(
        id=SystemMint().uuid7(),
        integrator_id=ACME.id,
        type="device.revoked",
        subject="",
        body=b"{}",
        created_at=0,
    )
    with AdminStore(sim.relay.settings.data_dir, vault=sim.vault) as admin:
        admin.commit(AppendEvent(record))
    return record


async def test_an_event_of_the_command_line_is_told(sim: Simulator) -> None:
    """What another process appended reaches the streams."""
    stream = await follow(sim)
    record = append_elsewhere(sim)

    await sim.relay.follow_changes()

    assert [record] == await take(stream, 1)


async def test_events_of_two_processes_are_told_in_one_order(sim: Simulator) -> None:
    """What another process appended first is told first, so that no cursor skips it."""
    stream = await follow(sim)
    record = append_elsewhere(sim)
    alice = await sim.device("alice")

    first, second = await take(stream, 2)
    resumed = await take(await follow(sim, first.id), 1)

    assert (record, [second]) == (first, resumed)
    assert alice.fingerprint in second.body.decode()


async def test_a_changed_key_ends_event_streams(sim: Simulator) -> None:
    """When an API key changes, whoever follows has to come again, with a key that is good."""
    stream = await follow(sim)
    key = ApiKey(
        key_id=SystemMint().uuid7(),
        integrator_id=ACME.id,
        scope="integrator",
        name="first",
        digest=bytes(32),
        created_at=0,
    )
    with AdminStore(sim.relay.settings.data_dir, vault=sim.vault) as admin:
        admin.commit(PutApiKey(key))

    await sim.relay.follow_changes()

    assert [] == [event async for event in stream]


async def test_shutting_down_ends_streams(sim: Simulator) -> None:
    """A relay that stops ends every stream, after what it had queued."""
    stream = await follow(sim)
    await cancelled(sim, 1)

    sim.relay.begin_shutdown()

    assert ["device.enrolled", "mpa.cancelled"] == [one.type async for one in stream]


async def test_a_stream_that_waits_is_woken(sim: Simulator) -> None:
    """An event that comes while the stream is waited for is handed over at once."""
    stream = await follow(sim)
    waiting = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0)
    alice = await sim.device("alice")

    assert alice.fingerprint == json.loads((await waiting).body)["fingerprint"]


async def test_a_reader_that_falls_behind_is_cut_off(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full queue ends the stream without a gap: what comes later is not told on it."""
    monkeypatch.setattr(bulletin, "MAX_QUEUED_EVENTS", 2)
    stream = await follow(sim)
    ids = await cancelled(sim, 2)  # an enrolment and two ends: one too many
    (enrolled,) = await take(stream, 1)
    await cancelled(sim, 1)

    rest = [event async for event in stream]
    resumed = await take(await follow(sim, rest[-1].id), 1)

    assert ("device.enrolled", ids[:1]) == (
        enrolled.type,
        [body["request_id"] for body in bodies(rest)],
    )
    assert ids[1:] == [body["request_id"] for body in bodies(resumed)]


async def test_nobody_has_to_say_goodbye(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that is dropped, looked at or not, is followed no longer."""
    feeds: list[ReferenceType[EventFeed]] = []
    real = sim.relay.bulletin.follow

    def remembered(integrator_id: str) -> EventFeed:
        feed = real(integrator_id)
        feeds.append(ref(feed))
        return feed

    monkeypatch.setattr(sim.relay.bulletin, "follow", remembered)
    looked_at, ignored = await follow(sim), await follow(sim)
    await cancelled(sim, 1)
    await take(looked_at, 1)
    before = [feed() is None for feed in feeds]

    del looked_at, ignored
    gc.collect()
    for _ in range(10):  # the event loop closes what was dropped
        await asyncio.sleep(0)

    assert ([False, False], [None, None]) == (before, [feed() for feed in feeds])
