"""A device that another process revokes counts for nothing from the moment that is known."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend
from tests.relay.simulator import ACME, SimDevice, Simulator, granted

from quorumkey.protocol import Receipt, parse_envelope
from quorumkey_relay.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from quorumkey_relay.store.writes import Commit

pytestmark = pytest.mark.anyio


@pytest.fixture
def elsewhere(sim: Simulator, tmp_path: Path) -> SqliteBackend:
    """Another process's way to the same data."""
    del sim  # the folder is the relay's by then
    return SqliteBackend(tmp_path)


def revoke(sim: Simulator, elsewhere: SqliteBackend, device: SimDevice) -> None:
    """Revoke as the command line does; the relay has not heard of it yet."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    elsewhere.revoke(known, at=sim.clock.now())


async def test_an_approval_is_lost_before_its_loss_is_written(
    sim: Simulator, elsewhere: SqliteBackend
) -> None:
    """The decision that would complete the quorum takes a revoked device's approval out first."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    revoke(sim, elsewhere, alice)
    envelope = bob.decision(request.digest, "approve", at=sim.clock.now())
    # It runs after the relay has read what changed, and before what follows from that.
    deciding = asyncio.ensure_future(sim.use.decide(request_id=request.id, envelope=envelope))
    elsewhere.follow(sim.store)

    answer = await granted(deciding)

    assert ("pending", 1) == (answer.status, answer.groups_satisfied_count)
    assert ["Group 2"] == (await sim.read(request)).groups_satisfied


async def test_a_store_that_fails_does_not_revive_an_approval(
    sim: Simulator, elsewhere: SqliteBackend
) -> None:
    """A revocation counts although what follows from it could not be written."""
    alice, bob = await sim.devices("alice", "bob")
    stream = sim.listen(alice)
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    revoke(sim, elsewhere, alice)
    with elsewhere.unwritable():
        elsewhere.follow(sim.store)
        await asyncio.sleep(0)  # what follows begins
        with pytest.raises(StoreUnavailable):
            await sim.store.settled()

    await sim.approve(request, bob)

    assert ("pending", 4403) == ((await sim.read(request)).status, stream.closed_with)


async def test_others_in_its_group_still_count(sim: Simulator, elsewhere: SqliteBackend) -> None:
    """A group that lost its approval is satisfied by the next one, and the receipt holds that."""
    alice, deputy, bob = await sim.devices("alice", "deputy", "bob")
    request = await sim.ask([alice, deputy], [bob], required=2)
    await sim.approve(request, alice, deputy)
    revoke(sim, elsewhere, alice)
    elsewhere.follow(sim.store)

    await sim.approve(request, bob)

    evidence = await granted(sim.use.read_receipt(integrator_id=ACME.id, request_id=request.id))
    receipt = Receipt.decode(parse_envelope(json.loads(evidence)).payload)
    signers = [envelope.keyid for envelope in receipt.decisions]
    assert [deputy.fingerprint, bob.fingerprint] == signers


async def test_what_follows_is_written_when_the_store_works_again(
    sim: Simulator, elsewhere: SqliteBackend
) -> None:
    """A change is told once, so the relay does not forget it over a store that failed."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2, reject_policy="quorum_impossible")
    await sim.approve(request, alice)
    revoke(sim, elsewhere, alice)
    with elsewhere.unwritable():
        elsewhere.follow(sim.store)
        await asyncio.sleep(0)  # what follows begins
        with pytest.raises(StoreUnavailable):
            await sim.store.settled()

    await sim.relay.follow_changes()

    assert "rejected" == (await sim.read(request)).status


async def test_a_relay_that_goes_down_gives_up(
    sim: Simulator, elsewhere: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What could not be written is taken up by the next start."""

    def fail(_: Commit) -> Awaitable[None]:
        raise StoreUnavailable

    alice, bob = await sim.devices("alice", "bob")
    await sim.approve(await sim.ask([alice], [bob], required=2), alice)
    revoke(sim, elsewhere, alice)
    monkeypatch.setattr(sim.store, "commit", fail)
    sim.relay.begin_shutdown()

    with pytest.raises(StoreUnavailable):
        await sim.relay.follow_changes()
