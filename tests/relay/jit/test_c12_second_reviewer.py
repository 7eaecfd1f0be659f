"""C12: a second reviewer's approval gives the same time, and the target shows the last approver."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.grant_world import (
    BOB,
    CAROL,
    MINUTE,
    START,
    UNSURE,
    Deed,
    Surroundings,
    Target,
    World,
    world,
)

from quorumkey_relay.domain.jit.request import vote
from quorumkey_relay.store.writes import PutAccessRequest, PutActivation
from quorumkey_relay.usecases.jit.grant import with_approver

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.domain.jit.request import AccessRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def one(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[World]:
    """A relay that ends access."""
    del anyio_backend
    async with world(Surroundings(tmp_path, Target(expires_by_itself=False))) as opened:
        yield opened


async def approve_again(one: World, request: AccessRequest, by: str = CAROL) -> None:
    """A further reviewer clicks; nothing is granted yet."""
    before, role, now = await one.request(request), await one.role(request), one.clock.now()
    after = vote(before, by, "approve", now)
    changed = with_approver(role, by, now=now)
    await one.store.commit((PutAccessRequest(before, after), PutActivation(role, changed)))


async def test_c12_the_same_time_and_the_last_approver(one: World) -> None:
    """The target is told of the last approver; start and end stay as they were."""
    request = await one.approved(BOB, CAROL, approval="click")
    await one.pass_time(MINUTE)
    await approve_again(one, request)
    role = await one.granter.grant_now((await one.role(request)).activation_id)

    assert ("active", (BOB, CAROL), START, START + 30 * MINUTE, 0) == (
        role.state,
        role.approvers,
        role.start,
        role.end,
        role.next_at,
    )
    assert (BOB, CAROL) == getattr(one.target.has(), "approvers", ())
    assert ["grant", "grant"] == one.target.calls
    assert ["jit.approved", "jit.granted"] == await one.told()


async def test_c12_whoever_approves_twice_is_last(one: World) -> None:
    """Nobody is named twice."""
    role = await one.role(await one.approved(BOB, CAROL, approval="click"))

    assert (CAROL, BOB) == with_approver(with_approver(role, CAROL, now=1), BOB, now=1).approvers


@pytest.mark.parametrize("deed", UNSURE)
async def test_c12_a_target_that_fails_meanwhile(tmp_path: Path, deed: Deed) -> None:
    """Access stands while the target is asked again, and then shows the last approver."""
    around = Surroundings(tmp_path, Target(expires_by_itself=False), call_seconds=0.01)
    async with world(around) as one:
        request = await one.approved(BOB, CAROL, approval="click")
        await approve_again(one, request)
        around.target.will(deed)
        await one.settle()
        waiting = await one.role(request)
        await one.pass_time(1)
        role = await one.role(request)

        assert ("active", 1) == (waiting.state, waiting.attempts)
        assert ("active", 0, None) == (role.state, role.next_at, role.fault)
        assert (BOB, CAROL) == getattr(around.target.has(), "approvers", ())


async def test_c12_a_target_that_refuses_the_change(one: World) -> None:
    """Access stands; what the target said is kept for operators."""
    request = await one.approved(BOB, CAROL, approval="click")
    await approve_again(one, request)
    one.target.will("refuses")
    await one.settle()
    role = await one.role(request)

    assert ("active", 0, "The target refuses.") == (role.state, role.next_at, role.fault)


async def test_c12_while_the_first_is_granted(one: World) -> None:
    """Whoever approves while the target is asked is in what it is asked for last."""
    one.target.will("hangs after")
    request = await one.ask(BOB, CAROL, approval="click")
    await one.decide(request)
    await one.target.asked.wait()
    await approve_again(one, request)
    one.target.held.set()
    await one.settle()

    assert ("active", (BOB, CAROL)) == (
        (await one.role(request)).state,
        getattr(one.target.has(), "approvers", ()),
    )


async def test_c12_after_a_crash(tmp_path: Path) -> None:
    """An approval that was counted before a crash is shown after it."""
    around = Surroundings(tmp_path, Target(expires_by_itself=False))
    async with world(around) as one:
        request = await one.approved(BOB, CAROL, approval="click")
        await approve_again(one, request)
    async with world(around) as one:
        await one.settle()

        assert (BOB, CAROL) == getattr(around.target.has(), "approvers", ())


async def test_c12_the_end_is_the_first_ones(one: World) -> None:
    """Access ends at its end, also while the target has not taken the last approver."""
    request = await one.approved(BOB, CAROL, approval="click")
    one.clock.advance(30 * MINUTE - 1)
    await approve_again(one, request)
    one.target.will("fails before")
    await one.settle()
    await one.pass_time(1)

    assert ("ended", None) == ((await one.role(request)).state, one.target.has())


async def test_c12_nothing_is_added_to_what_is_over(one: World) -> None:
    """An activation that has ended takes no approver more."""
    request = await one.approved(BOB, CAROL, approval="click")
    await one.pass_time(30 * MINUTE)

    with pytest.raises(ValueError, match="ended"):
        with_approver(await one.role(request), CAROL, now=one.clock.now())
