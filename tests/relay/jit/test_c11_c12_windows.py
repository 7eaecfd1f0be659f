"""When access begins and ends, and what a further approval changes (C11, C12)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import ALICE, ALONE, BOB, CAROL, PROJECT, ROLE, desk, token_of
from tests.relay.simulator import START, granted, refused

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from tests.relay.jit.desk import Desk

    from quorumkey_relay.domain.jit.request import ApprovalMode
    from quorumkey_relay.usecases.jit.views import AccessRequestView

pytestmark = pytest.mark.anyio

MODES: tuple[ApprovalMode, ...] = ("click", "device")


def window(view: AccessRequestView) -> tuple[object, object]:
    """The time of the role in a view, from the moment when the clock began."""
    one = view.entitlements[0]
    assert isinstance(one.start_time, int)
    assert isinstance(one.end_time, int)
    return one.start_time - START, one.end_time - START


async def test_c11_a_late_approval_shortens_access(desk: Desk) -> None:
    """The time begins with the request, whoever approves whenever."""
    request = await desk.ask(minutes=30)
    desk.sim.clock.advance(1_200)
    view = await desk.approve(request)

    assert ((0, 1_800), "ACTIVE") == (window(view), view.entitlements[0].status)


async def test_c11_a_late_approval_by_a_device_shortens_it_too(signing: Desk) -> None:
    """What the reviewer signed says when it ends."""
    request = await signing.ask(minutes=30)
    signing.sim.clock.advance(1_200)
    await granted(signing.vote(request))
    view = await signing.read(request)

    assert ((0, 1_800), "ACTIVE") == (window(view), view.entitlements[0].status)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("seconds", "is_in_time"), [(59, True), (60, False), (61, False)])
async def test_c11_the_end_of_the_window_is_outside(
    tmp_path: Path, anyio_backend: object, mode: ApprovalMode, seconds: int, *, is_in_time: bool
) -> None:
    """An approval in its last second still grants; one at the end comes too late."""
    del anyio_backend
    async with desk(tmp_path, approval=mode) as opened:
        await opened.equip(BOB)
        request = await opened.ask(minutes=1)
        opened.sim.clock.advance(seconds)
        call: Awaitable[object]
        if mode == "click":
            call = opened.cases.approve(BOB, token_of(request))
        else:
            call = opened.vote(request)
        if is_in_time:
            await granted(call)
        else:
            assert "request_completed" == (await refused(call)).code

        assert int(is_in_time) == len(opened.target.grants)


async def test_c11_the_beginning_of_the_window_is_inside(desk: Desk) -> None:
    """A role that is granted in the second of the request is active in it."""
    view = await desk.approve(await desk.ask())
    listed = await granted(desk.cases.roles(ALICE, PROJECT))

    assert ("ACTIVE", ["ACTIVE"]) == (
        view.entitlements[0].status,
        [one.status for one in listed.entitlements if one.name == ROLE],
    )


@pytest.mark.parametrize(
    ("seconds", "status", "listed"), [(1_799, "ACTIVE", "ACTIVE"), (1_800, "ENDED", "INACTIVE")]
)
async def test_c12_access_ends_by_time_alone(
    desk: Desk, seconds: int, status: str, listed: str
) -> None:
    """Nothing has to be done for that: the target was told until when, and forgets."""
    request = await desk.ask(minutes=30)
    await desk.approve(request)
    desk.sim.clock.advance(seconds)
    roles = await granted(desk.cases.roles(ALICE, PROJECT))

    assert ([listed], status, []) == (
        [one.status for one in roles.entitlements if one.name == ROLE],
        await desk.status(request),
        desk.target.revoked,
    )


@pytest.mark.parametrize("mode", MODES)
async def test_jit_the_time_may_begin_with_the_approval(
    tmp_path: Path, anyio_backend: object, mode: ApprovalMode
) -> None:
    """A setting; then the whole time is there, however late the approval came."""
    del anyio_backend
    async with desk(tmp_path, approval=mode, window_from="approval") as opened:
        await opened.equip(BOB)
        request = await opened.ask(minutes=5)
        opened.sim.clock.advance(3_599)
        if mode == "device":
            await opened.vote(request)
        else:
            await opened.approve(request)
        view = await opened.read(request) if mode == "click" else None
        one = opened.target.grants[0]

        assert (3_599, 3_899) == (one.start - START, one.end - START)
        assert view is None or window(view) == (3_599, 3_899)


async def test_jit_a_window_from_the_approval_has_no_times_before(
    tmp_path: Path, anyio_backend: object
) -> None:
    """The view leaves out what nobody knows yet, and says how long it will last."""
    del anyio_backend
    async with desk(tmp_path, window_from="approval") as opened:
        view = await opened.ask(minutes=5)
        one = view.entitlements[0]

        assert (True, 5) == (
            not isinstance(one.start_time, int) and not isinstance(one.end_time, int),
            view.duration_minutes,
        )


async def test_c12_a_second_reviewers_approval_keeps_the_window(desk: Desk) -> None:
    """The target is granted the same again, and names who approved last."""
    request = await desk.ask(BOB, CAROL, minutes=30)
    first = await desk.approve(request, BOB)
    desk.sim.clock.advance(60)
    second = await desk.approve(request, CAROL)
    one, other = desk.target.grants

    assert (window(first), "ACTIVE", (one.start, one.end), one.activation_id) == (
        window(second),
        second.entitlements[0].status,
        (other.start, other.end),
        other.activation_id,
    )
    assert (("bob@example.com",), ("bob@example.com", "carol@example.com")) == (
        one.approvers,
        other.approvers,
    )


async def test_c12_a_second_vote_by_a_device_comes_too_late(signing: Desk) -> None:
    """The signed request is finished with its approval; the access stays as it is."""
    request = await signing.ask(BOB, CAROL)
    await signing.vote(request, BOB)
    late = await refused(signing.vote(request, CAROL))

    assert ("request_completed", 1) == (late.code, len(signing.target.grants))


async def test_c11_the_same_approval_again_changes_nothing(desk: Desk) -> None:
    """A lost answer is asked for again; the target is not."""
    request = await desk.ask()
    first = await desk.approve(request)
    again = await desk.approve(request)

    assert (window(first), "ACTIVE", 1) == (
        window(again),
        again.entitlements[0].status,
        len(desk.target.grants),
    )


async def test_c11_a_new_request_extends_access(desk: Desk) -> None:
    """The newer activation takes the older one's place; the target is asked for one thing."""
    first = await desk.ask(minutes=10)
    await desk.approve(first)
    desk.sim.clock.advance(300)
    second = await desk.ask(minutes=20)
    await desk.approve(second)
    page = await granted(desk.cases.active(ALICE, limit=10, cursor=None))

    assert (["ACTIVE", "ENDED"], [1_500, 600]) == (
        [one.status for one in page.data],
        [one.end_time - START for one in page.data],
    )


async def test_jit_an_activation_alone_extends_itself(desk: Desk) -> None:
    """Activating again is how somebody stays longer."""
    await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone(minutes=5)))
    desk.sim.clock.advance(60)
    await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone(minutes=5)))
    listed = await granted(desk.cases.roles(ALICE, PROJECT))
    until = [one.valid_until for one in listed.entitlements if one.name == ALONE]

    assert [START + 360] == until


@pytest.mark.parametrize(("seconds", "is_in_time"), [(1_799, True), (1_800, False)])
async def test_c12_a_second_reviewer_comes_before_the_end_or_not_at_all(
    desk: Desk, seconds: int, *, is_in_time: bool
) -> None:
    """Access that is over is not granted once more, whether or not that is written down yet."""
    request = await desk.ask(BOB, CAROL, minutes=30)
    await desk.approve(request, BOB)
    desk.sim.clock.advance(seconds)
    call = desk.cases.approve(CAROL, token_of(request))
    if is_in_time:
        await granted(call)
    else:
        assert "request_completed" == (await refused(call)).code

    assert 1 + is_in_time == len(desk.target.grants)
