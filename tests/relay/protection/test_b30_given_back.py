"""B30: a vote that was lost stays lost, also where its person gets role or device back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from tests.contract.backends import SqliteBackend
from tests.relay.protection.council import Council
from tests.relay.simulator import simulator

from quorumkey_relay.store.writes import PutProtection

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

pytestmark = pytest.mark.anyio

PEOPLE = ("alice", "bob", "carol")


async def _dismissed(council: Council) -> None:
    await council.appoint("alice", "carol")


async def _appointed(council: Council) -> None:
    await council.appoint(*PEOPLE)


async def _unpaired(council: Council) -> None:
    await council.sim.unpair(council.devices["bob"])


async def _paired(council: Council) -> None:
    await council.admit(council.devices["bob"])


async def _dismissed_on_the_host(council: Council) -> None:
    before = council.protection
    after = replace(before, administrators=("alice", "carol"), revision=before.revision + 1)
    relay = council.sim.relay
    SqliteBackend(relay.settings.data_dir).administer(PutProtection(before, after))
    await relay.follow_changes()


LOSSES = {
    "role": (_dismissed, _appointed),
    "device": (_unpaired, _paired),
    "role, by the command line": (_dismissed_on_the_host, _appointed),
}


async def sweep(council: Council) -> None:
    """What the relay does four times a second."""
    await council.sim.relay.protection.sweeper.sweep()


@pytest.mark.parametrize(("take", "give_back"), LOSSES.values(), ids=LOSSES)
async def test_b30_a_lost_vote_is_not_given_back(
    tmp_path: Path,
    take: Callable[[Council], Awaitable[None]],
    give_back: Callable[[Council], Awaitable[None]],
) -> None:
    """An approval lapses soon after the loss, so nothing runs by it when the loss is undone."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, *PEOPLE)
        txid = await council.wait()
        await council.approve(txid, "bob")
        await take(council)
        await sweep(council)
        await give_back(council)
        again = await council.wait()
        read = await council.transaction(txid)

        assert (True, "lapsed", "votes_lost") == (
            again != txid,
            read["state"],
            read["ended_reason"],
        )
        assert ["requested by alice", "approved by bob", "lapsed"] == await council.story(txid)


async def test_b30_a_loss_while_the_relay_was_down_is_followed(tmp_path: Path) -> None:
    """The first look after a start finds the approval that lost its vote meanwhile."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, *PEOPLE)
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.dismiss("bob")
        before = council.protection
    async with simulator(tmp_path) as sim:
        council = Council(sim)
        await sweep(council)

        assert before == council.protection
        assert "lapsed" == await council.state(txid)


async def test_b30_somebody_elses_loss_ends_no_approval(tmp_path: Path) -> None:
    """An approval that keeps votes enough can still be claimed."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, *PEOPLE)
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.appoint("alice", "bob")
        await sweep(council)

        assert txid == await council.run()


async def test_b30_a_loss_after_the_claim_ends_nothing(tmp_path: Path) -> None:
    """What was claimed while its votes counted stays claimed."""
    async with simulator(tmp_path) as sim:
        council = await Council.of(sim, *PEOPLE)
        txid = await council.wait()
        await council.approve(txid, "bob")
        await council.run()
        await council.appoint("alice", "carol")
        await sweep(council)

        assert "claimed" == await council.state(txid)
