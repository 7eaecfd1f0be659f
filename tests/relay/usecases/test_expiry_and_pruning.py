"""Timeouts are written down, and what is old enough is deleted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import ACME, START, ManualClock, Simulator, granted, simulator

from quorumkey_relay.domain.refusal import NOT_FOUND
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.usecases import expire

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from tests.relay.simulator import Asked

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio

DAY = 86_400


async def written(sim: Simulator, request: Asked) -> str:
    """The status that the store has written down."""
    stored = await sim.store.load(request.id)
    assert stored is not None
    return str(stored.state.status)


async def test_every_read_says_timeout_before_anybody_swept(sim: Simulator) -> None:
    """From ``expires_at`` on a request is ``timeout``, ended at that second."""
    request = await sim.ask([await sim.device("alice")])
    sim.clock.advance(300)

    view = await sim.read(request)

    assert ("timeout", "2027-01-15T08:05:00Z") == (view.status, view.completed_at)
    assert ("pending", []) == (await written(sim, request), await sim.outcomes())


async def test_sweeping_writes_down_what_has_come(sim: Simulator) -> None:
    """Each timeout once, with its event; what is still open stays open."""
    alice = await sim.device("alice")
    short, shorter = [await sim.ask([alice], expires_in_seconds=60) for _ in range(2)]
    long = await sim.ask([alice], expires_in_seconds=61)
    done = await sim.ask([alice], expires_in_seconds=60)
    await sim.approve(done, alice)
    sim.clock.advance(60)

    swept = [await sim.relay.sweeper.sweep() for _ in range(2)]

    assert [2, 0] == swept
    assert ["timeout", "timeout", "pending", "approved"] == [
        await written(sim, request) for request in (short, shorter, long, done)
    ]
    assert ["mpa.approved", "mpa.timeout", "mpa.timeout"] == await sim.outcomes()


async def test_many_timeouts_at_once(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one batch of them, and all are written down."""
    monkeypatch.setattr(expire, "SWEEP_BATCH_REQUESTS", 3)
    alice = await sim.device("alice")
    for _ in range(10):
        await sim.ask([alice])
    sim.clock.advance(300)

    assert 10 == await sim.relay.sweeper.sweep()


async def test_a_decision_and_the_sweeper_at_the_last_moment(sim: Simulator) -> None:
    """Whoever comes first: there is one end, and one event."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    sim.clock.advance(299)
    deciding = asyncio.ensure_future(sim.decide(alice, request))
    await asyncio.sleep(0)
    sim.clock.advance(1)

    swept = await sim.relay.sweeper.sweep()

    await granted(deciding)
    assert (0, ["mpa.approved"]) == (swept, await sim.outcomes())


async def test_a_sweep_that_fails_is_made_up_for(
    sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the store is out nothing is written; afterwards everything is."""
    alice = await sim.device("alice")
    for _ in range(3):
        await sim.ask([alice])
    sim.clock.advance(300)
    outage = StoreUnavailable("the disk is gone")

    def gone(writes: Commit) -> Awaitable[None]:
        del writes
        raise outage

    with monkeypatch.context() as patched:
        patched.setattr(sim.store, "commit", gone)
        with pytest.raises(StoreUnavailable):
            await sim.relay.sweeper.sweep()

    assert 3 == await sim.relay.sweeper.sweep()


async def test_a_restarted_relay_sweeps_what_was_open(tmp_path: Path) -> None:
    """Requests of before the restart end in time."""
    clock = ManualClock()
    async with simulator(tmp_path, clock) as sim:
        request = await sim.ask([await sim.device("alice")])
    clock.advance(300)
    async with simulator(tmp_path, clock) as sim:
        swept = await sim.relay.sweeper.sweep()

        assert (1, "timeout") == (swept, await written(sim, request))


async def test_finished_requests_are_kept_for_ninety_days(sim: Simulator) -> None:
    """In the last second a receipt can be read, after it the request is gone."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    await sim.approve(request, alice)
    before = await sim.receipt(request)
    sim.clock.advance(90 * DAY)
    await sim.relay.pruner.prune()
    kept = await sim.receipt(request)
    sim.clock.advance(1)

    gone = await sim.relay.pruner.prune()

    assert (before, 1) == (kept, gone)
    for call in (sim.use.read_request, sim.use.read_receipt, sim.use.read_deliveries):
        answer: object = await call(integrator_id=ACME.id, request_id=request.id)
        assert NOT_FOUND == answer


async def test_retention_is_a_setting(tmp_path: Path) -> None:
    """Operators may keep requests and events for longer."""
    async with simulator(tmp_path, request_retention_days=100, event_retention_days=9) as sim:
        request = await sim.ask([await sim.device("alice")])
        await sim.cancel(request)
        gone: list[int] = []
        for day in (8, 9, 99, 100):
            sim.clock.seconds = START + day * DAY + 1
            gone.append(await sim.relay.pruner.prune())

    assert [0, 2, 0, 1] == gone


async def test_pending_requests_are_never_pruned(sim: Simulator) -> None:
    """What has not ended is kept, however old it is."""
    request = await sim.ask([await sim.device("alice")])
    sim.clock.advance(1_000 * DAY)
    await sim.relay.pruner.prune()

    assert "timeout" == (await sim.read(request)).status


async def test_an_acknowledgement_of_what_is_gone_harms_nobody(sim: Simulator) -> None:
    """A device that still remembers a pruned request is told that there is none."""
    alice = await sim.device("alice")
    request = await sim.ask([alice])
    await sim.cancel(request)
    sim.clock.advance(90 * DAY + 1)
    await sim.relay.pruner.prune()

    answer = await sim.use.acknowledge(device=alice.fingerprint, request_id=request.id)

    assert NOT_FOUND == answer


async def test_a_clock_that_was_set_back_makes_no_impossible_receipt(sim: Simulator) -> None:
    """An end is never dated before its request was made."""
    alice = await sim.device("alice")
    requests = [await sim.ask([alice]) for _ in range(2)]
    sim.clock.advance(-120)
    await sim.approve(requests[0], alice)
    cancelled = await sim.cancel(requests[1])

    ends = [(await sim.read(requests[0])).completed_at, cancelled.completed_at]

    assert ["2027-01-15T08:00:00Z"] * 2 == ends
