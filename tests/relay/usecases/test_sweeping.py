"""Timeouts are written down, all that have come at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend

from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.usecases import expire

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.simulator import Simulator

pytestmark = pytest.mark.anyio


async def test_timeouts_share_their_wait_for_the_disk(sim: Simulator) -> None:
    """Ten requests that end in the same second cost one transaction."""
    alice = await sim.device("alice")
    for _ in range(10):
        await sim.ask([alice])
    before = sim.store.counters.transactions
    sim.clock.advance(300)

    swept = await sim.relay.sweeper.sweep()

    assert (10, 1) == (swept, sim.store.counters.transactions - before)


async def test_every_batch_is_swept(sim: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """More than one batch holds are ended too."""
    monkeypatch.setattr(expire, "SWEEP_BATCH_REQUESTS", 2)
    alice = await sim.device("alice")
    for _ in range(5):
        await sim.ask([alice])
    sim.clock.advance(300)

    await sim.relay.sweeper.sweep()

    assert ["mpa.timeout"] * 5 == await sim.outcomes()


async def test_what_could_not_be_written_is_swept_later(sim: Simulator, tmp_path: Path) -> None:
    """A store that fails loses no timeout: its event comes when the store works again."""
    request = await sim.ask([await sim.device("alice")])
    sim.clock.advance(300)
    with SqliteBackend(tmp_path).unwritable(), pytest.raises(StoreUnavailable):
        await sim.relay.sweeper.sweep()

    await sim.relay.sweeper.sweep()

    assert (["mpa.timeout"], "timeout") == (
        await sim.outcomes(),
        (await sim.read(request)).status,
    )
