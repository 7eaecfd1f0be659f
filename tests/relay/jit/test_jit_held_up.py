"""Targets that hang: nobody is asked for too late, and nobody's end waits for somebody's begin."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.grant_world import ALICE, BOB, MINUTE, Surroundings, Target, World, world

from quorumkey_relay.usecases.jit.targets import MAX_CALLS_OF_EXECUTOR

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.domain.jit.activation import Activation

pytestmark = pytest.mark.anyio


@pytest.fixture
async def one(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[World]:
    """A relay that has to end access, and waits for targets as long as it likes."""
    del anyio_backend
    around = Surroundings(tmp_path, Target(expires_by_itself=False), patience_seconds=0.0)
    async with world(around) as opened:
        yield opened


async def hung(one: World, count: int) -> list[Activation]:
    """So many people whose role is asked for, while the target does not answer."""
    one.target.will("hangs before", times=count)
    people = [f"person-{number}@example.com" for number in range(count)]
    return [await one.activate_alone(beneficiary=person) for person in people]


async def asked(one: World, count: int) -> None:
    """Return once the target was called so often."""
    while len(one.target.calls) < count:
        one.target.asked.clear()
        await one.target.asked.wait()


async def test_an_end_waits_for_no_begin(one: World) -> None:
    """While as many grants hang as there are places, a role is taken back at its end."""
    active = await one.activate_alone(beneficiary=BOB)
    await one.sweeper.drain()
    await hung(one, MAX_CALLS_OF_EXECUTOR)
    await asked(one, 1 + MAX_CALLS_OF_EXECUTOR)

    one.clock.advance(30 * MINUTE)
    await one.sweeper.sweep()
    await asked(one, 2 + MAX_CALLS_OF_EXECUTOR)
    await one.granter.start(active.activation_id)

    assert one.target.calls[-1] == "revoke"
    assert (await one.role(active)).state == "ended"


async def test_what_had_no_place_until_its_end_is_not_asked_for(one: World) -> None:
    """A grant that waits for others to end is not asked for when its time is over."""
    await hung(one, MAX_CALLS_OF_EXECUTOR)
    late = await one.activate_alone()
    await asked(one, MAX_CALLS_OF_EXECUTOR)

    one.clock.advance(30 * MINUTE)
    one.target.held.set()
    await one.settle()

    assert one.target.has(ALICE) is None
    assert one.target.calls.count("grant") == MAX_CALLS_OF_EXECUTOR
    assert (await one.role(late)).state != "active"
