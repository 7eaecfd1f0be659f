"""C11: the time of access begins with the request, so a late approval shortens it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.grant_world import (
    BOB,
    CAROL,
    HOUR,
    MINUTE,
    START,
    Surroundings,
    Target,
    World,
    world,
)

from quorumkey_relay.usecases.jit.watch import WAITING_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.anyio

END = START + 30 * MINUTE


@pytest.fixture
async def one(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[World]:
    """A relay whose target ends grants by itself."""
    del anyio_backend
    async with world(Surroundings(tmp_path, Target(expires_by_itself=True))) as opened:
        yield opened


@pytest.mark.parametrize("approval", ["device", "click"])
@pytest.mark.parametrize("late", [0, 1, 20 * MINUTE, 30 * MINUTE - 1])
async def test_c11_a_late_approval_shortens_access(one: World, late: int, approval: str) -> None:
    """Whenever it is approved, access ends when it would have ended."""
    request = await one.ask(BOB, approval=approval)
    await one.pass_time(late)
    await one.decide(request)
    await one.settle()
    role = await one.role(request)

    assert ("active", START, END) == (role.state, role.start, role.end)
    await one.pass_time(30 * MINUTE - late)
    assert ("ended", END) == ((await one.role(request)).state, (await one.role(request)).ended_at)


async def test_c11_an_approval_at_the_end(one: World) -> None:
    """At the second at which access would end it can no longer be approved."""
    request = await one.ask(BOB)
    one.clock.advance(30 * MINUTE)
    with pytest.raises(AssertionError, match="request_completed"):
        await one.decide(request)
    await one.settle()

    assert (["jit.expired"], []) == (await one.told(), one.target.calls)


async def test_c11_an_approval_in_the_last_second_that_is_used_after_it(one: World) -> None:
    """Access that would begin at its end is not granted."""
    request = await one.ask(BOB)
    one.clock.advance(30 * MINUTE - 1)
    one.around.is_source_down = True
    await one.decide(request)
    await one.settle()
    one.around.is_source_down = False
    await one.pass_time(WAITING_SECONDS)

    assert "window_over" == (await one.request(request)).not_granted
    assert (["jit.not_granted"], []) == (await one.told(), one.target.calls)


@pytest.mark.parametrize("approval", ["device", "click"])
async def test_c11_from_the_approval(one: World, approval: str) -> None:
    """With the setting, access begins with the last vote that was needed and lasts in full."""
    request = await one.ask(BOB, CAROL, approval=approval, window_from="approval", required=2)
    await one.pass_time(10 * MINUTE)
    await one.decide(request, BOB)
    await one.pass_time(40 * MINUTE)
    await one.decide(request, CAROL)
    await one.settle()
    role = await one.role(request)

    assert (START + 50 * MINUTE, START + 80 * MINUTE) == (role.start, role.end)


async def test_c11_from_the_approval_though_it_is_used_later(one: World) -> None:
    """What the relay needed to find out who is eligible is not added to the time."""
    request = await one.ask(BOB, window_from="approval")
    one.around.is_source_down = True
    await one.decide(request)
    await one.settle()
    one.around.is_source_down = False
    await one.pass_time(10 * MINUTE)

    assert (START, END) == ((await one.role(request)).start, (await one.role(request)).end)


async def test_c11_an_approval_is_not_used_after_its_use_by(one: World) -> None:
    """However long access would last, an approval is used within the time that was signed."""
    request = await one.ask(BOB, window_from="approval", duration_seconds=24 * HOUR)
    one.around.is_source_down = True
    await one.decide(request)
    stored = await one.signed(request)
    one.clock.seconds = stored.terms.use_by
    await one.settle()
    waiting = (await one.request(request)).is_open
    one.around.is_source_down = False
    await one.pass_time(5)

    assert waiting
    assert "window_over" == (await one.request(request)).not_granted


async def test_c11_granting_again_extends(one: World) -> None:
    """A second request for the same role is granted, and access goes on until its end."""
    first = await one.approved(BOB)
    await one.pass_time(20 * MINUTE)
    second = await one.approved(BOB)

    assert [("ended", END), ("active", START + 50 * MINUTE)] == [
        ((await one.role(role)).state, (await one.role(role)).end) for role in (first, second)
    ]
    assert ["grant", "grant"] == one.target.calls
