"""An event stream while another process changes the relay's data."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend
from tests.contract.material import api_key, event
from tests.relay.simulator import ACME, Simulator, granted

from quorumkey_relay.store.writes import AppendEvent, PutApiKey

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from quorumkey_relay.store.records import EventRecord

pytestmark = pytest.mark.anyio


async def following(sim: Simulator) -> AsyncIterator[EventRecord]:
    """The events of Acme from now on."""
    return await granted(sim.use.watch_events(integrator_id=ACME.id, last_event_id=None))


async def test_events_of_both_processes_come_in_the_order_of_the_stream(
    sim: Simulator, tmp_path: Path
) -> None:
    """What another process appended first is told first, so who resumes after ours has it."""
    device = await sim.device("alice")
    request = await sim.ask([device])
    events = await following(sim)
    first = event()
    SqliteBackend(tmp_path).administer(AppendEvent(first))
    await sim.approve(request, device)

    told = [(await anext(events)).id for _ in range(2)]

    ours = await sim.store.events(integrator_id=ACME.id, after=first.id, limit=10)
    assert ours is not None
    assert [first.id, *(one.id for one in ours)] == told


async def test_an_event_is_told_once(sim: Simulator, tmp_path: Path) -> None:
    """Whether a commit or the poll finds it, and however often both look."""
    elsewhere = SqliteBackend(tmp_path)
    events = await following(sim)
    first, second = event(), event()
    elsewhere.administer(AppendEvent(first))
    elsewhere.follow(sim.store)
    elsewhere.follow(sim.store)
    await sim.store.commit((AppendEvent(second),))

    assert [first.id, second.id] == [(await anext(events)).id for _ in range(2)]


async def test_a_stream_ends_when_keys_change(sim: Simulator, tmp_path: Path) -> None:
    """A stream was let in by a key, so it does not outlive the key's revocation."""
    elsewhere = SqliteBackend(tmp_path)
    key = api_key("a key")
    elsewhere.administer(PutApiKey(key))
    elsewhere.follow(sim.store)
    events = await following(sim)
    elsewhere.administer(PutApiKey(replace(key, revoked_at=sim.clock.now())))

    elsewhere.follow(sim.store)

    assert None is await anext(events, None)
    assert None is sim.use.api_key("a key")
