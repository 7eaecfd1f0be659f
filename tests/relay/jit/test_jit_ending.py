"""Access ends in time: by the target itself, or by the relay that asks until it is taken back."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.grant_world import (
    ALICE,
    BOB,
    CAROL,
    DAVE,
    HOUR,
    MINUTE,
    START,
    UNSURE,
    Deed,
    Surroundings,
    Target,
    World,
    world,
)

from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.usecases.jit.ports import Person
from quorumkey_relay.usecases.jit.watch import ALARM_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.anyio

END = START + 30 * MINUTE
NO_LIMIT = 500


@pytest.fixture
def around(tmp_path: Path) -> Surroundings:
    """A target that cannot end a grant by itself."""
    return Surroundings(tmp_path, Target(expires_by_itself=False))


@pytest.fixture
def expiring(tmp_path: Path) -> Surroundings:
    """A target that ends grants by itself."""
    return Surroundings(tmp_path, Target(expires_by_itself=True))


@pytest.fixture
async def one(around: Surroundings, anyio_backend: object) -> AsyncGenerator[World]:
    """A relay that has to end access."""
    del anyio_backend
    async with world(around) as opened:
        yield opened


# The end


async def test_the_relay_takes_a_role_back(one: World) -> None:
    """A second before the end nothing happens; at the end the target is asked, once."""
    request = await one.approved()
    await one.pass_time(30 * MINUTE - 1)
    before = await one.role(request), list(one.target.calls)
    await one.pass_time(1)
    role = await one.role(request)
    await one.pass_time(HOUR)

    assert ("active", ["grant"]) == (before[0].state, before[1])
    assert ("ended", "expired", END, None) == (
        role.state,
        role.end_reason,
        role.ended_at,
        one.target.has(),
    )
    assert (["grant", "revoke"], ["jit.granted", "jit.ended"]) == (
        one.target.calls,
        await one.told(),
    )
    assert "ok" == await one.result(role)


async def test_a_target_that_ends_a_grant_by_itself(expiring: Surroundings) -> None:
    """At the end it is written down that the access is over, and nobody is asked."""
    async with world(expiring) as one:
        request = await one.approved()
        await one.pass_time(30 * MINUTE)
        role = await one.role(request)

        assert ("ended", "expired", ["grant"]) == (role.state, role.end_reason, one.target.calls)
        assert ["jit.granted", "jit.ended"] == await one.told()


@pytest.mark.parametrize("deed", ["refuses", *UNSURE])
async def test_a_target_that_does_not_take_it_back(around: Surroundings, deed: Deed) -> None:
    """It is asked for ever, at most 30 seconds apart, while an alarm stands; then it is over."""
    if deed.startswith("hangs"):
        around.call_seconds = 0.01
    async with world(around) as one:
        request = await one.approved()
        around.target.will(deed, times=7)
        await one.pass_time(30 * MINUTE)
        alarms = one.alarms.standing()
        for _ in range(6):
            role = await one.role(request)
            assert 0 < role.next_at - one.clock.now() <= 30
            await one.pass_time(30)
        standing = one.alarms.standing()
        await one.pass_time(30)
        role = await one.role(request)

        assert (1, 1, []) == (len(alarms), len(standing), one.alarms.standing())
        assert ("ended", "expired", None) == (role.state, role.end_reason, around.target.has())
        assert ["grant", *["revoke"] * 8] == around.target.calls
        assert ["jit.granted", "jit.ended"] == await one.told()


async def test_a_target_that_is_silent_at_the_end(one: World) -> None:
    """Five seconds after the end an alarm stands, while the target still has not answered."""
    request = await one.approved()
    one.target.will("hangs before")
    one.clock.advance(30 * MINUTE)
    await one.sweeper.sweep()
    one.target.asked.clear()
    await one.target.asked.wait()
    one.clock.advance(int(ALARM_SECONDS) - 1)
    await one.sweeper.sweep()
    early = one.alarms.standing()
    one.clock.advance(1)
    await one.sweeper.sweep()
    late = one.alarms.standing()
    one.target.held.set()
    await one.settle()

    assert ([], 1, []) == (early, len(late), one.alarms.standing())
    assert "ended" == (await one.role(request)).state


async def test_one_silent_target_holds_nobody_up(one: World) -> None:
    """While one person's role cannot be taken back, another's is, at its own end."""
    await one.activate_alone()
    other = await one.activate_alone(beneficiary=CAROL)
    one.target.will("hangs before")
    one.clock.advance(30 * MINUTE)
    await one.sweeper.sweep()
    ended = asyncio.Event()
    one.store.subscribe(lambda _: ended.set())
    while (await one.role(other)).state != "ended":
        await ended.wait()
        ended.clear()
    one.target.held.set()


async def test_many_ends_in_one_moment(one: World) -> None:
    """All of them are tried first within the sweep that follows, a bounded number at once."""
    for number in range(40):
        await one.activate_alone(beneficiary=f"person-{number}@example.com")
    await one.pass_time(30 * MINUTE)

    assert (40, {}) == (one.target.calls.count("revoke"), one.target.roles)
    assert one.target.most_at_once <= 16


async def test_the_end_came_while_nobody_served(around: Surroundings) -> None:
    """A relay that starts after the end takes the role back at once."""
    async with world(around) as one:
        request = await one.approved()
    around.clock.advance(HOUR)
    async with world(around) as one:
        await one.settle()

        assert ("ended", None) == ((await one.role(request)).state, around.target.has())


async def test_access_that_outlives_the_relay(around: Surroundings) -> None:
    """A relay that starts before the end takes the role back at the end."""
    async with world(around) as one:
        request = await one.approved()
    async with world(around) as one:
        await one.pass_time(30 * MINUTE - 1)
        before = await one.role(request)
        await one.pass_time(1)

        assert ("active", "ended") == (before.state, (await one.role(request)).state)
        assert None is around.target.has()


async def test_a_target_that_is_silent_when_the_time_is_over(around: Surroundings) -> None:
    """What was asked for is not waited for longer than it would last; then it is taken back."""
    async with world(around) as one:
        around.target.will("hangs after")
        role = await one.activate_alone(start=START - 30 * MINUTE + 1, end=START + 1)
        one.clock.advance(1)
        await one.settle()

        assert ("granting", None) == (role.state, around.target.has())
        assert "unconfirmed" == (await one.role(role)).end_reason


@pytest.mark.parametrize("deed", ["hangs before", "hangs after"])
async def test_a_crash_while_it_is_taken_back(around: Surroundings, deed: Deed) -> None:
    """After the start the target is asked again, and it is told once that the access is over."""
    async with world(around) as one:
        request = await one.approved()
        around.target.will(deed)
        around.target.asked.clear()
        around.clock.advance(30 * MINUTE)
        await one.sweeper.sweep()
        await around.target.asked.wait()
    async with world(around) as one:
        await one.settle()

        assert ("ended", None) == ((await one.role(request)).state, around.target.has())
        assert ["jit.granted", "jit.ended"] == await one.told()


async def test_an_alarm_stands_again_after_a_crash(around: Surroundings) -> None:
    """A role that could not be taken back before the start is alarming after it, too."""
    async with world(around) as one:
        await one.approved()
        around.target.will("fails before", "fails before")
        await one.pass_time(30 * MINUTE)
    around.clock.advance(30)
    async with world(around) as one:
        await one.settle()

        assert 1 == len(one.alarms.standing())


@pytest.mark.parametrize(
    ("ends_by_itself", "states"),
    [
        pytest.param(True, ("failed", None), id="target-ends"),
        pytest.param(False, ("ended", "unconfirmed"), id="relay-ends"),
    ],
)
async def test_the_end_of_what_was_never_confirmed(
    tmp_path: Path, *, ends_by_itself: bool, states: tuple[str, str | None]
) -> None:
    """It is taken back where that does not happen by itself; the claim stays indeterminate."""
    around = Surroundings(tmp_path, Target(expires_by_itself=ends_by_itself))
    async with world(around) as one:
        around.target.will("loses its answer")
        around.target.will("fails before", times=NO_LIMIT)
        request = await one.approved()
        await one.pass_time(30 * MINUTE - 1)
        around.target.deeds.clear()
        one.clock.advance(1)
        await one.settle()
        role = await one.role(request)

        assert states == (role.state, role.end_reason)
        assert "indeterminate" == await one.result(role)
        assert ends_by_itself == ("revoke" not in around.target.calls)
        told = ["jit.grant_failed"] if ends_by_itself else ["jit.grant_failed", "jit.ended"]
        assert told == await one.told()


async def test_the_end_of_what_was_never_asked_for(one: World) -> None:
    """An activation whose time was over before the target was asked has just failed."""
    role = await one.activate_alone(start=START - HOUR, end=START)

    assert ("failed", []) == (role.state, one.target.calls)


# The clock


async def test_the_clock_is_set_back_after_the_end(one: World) -> None:
    """Access that is over stays over."""
    role = await one.activate_alone()
    await one.settle()
    await one.pass_time(30 * MINUTE)
    one.clock.advance(-HOUR)
    await one.settle()

    assert ("ended", None) == ((await one.role(role)).state, one.target.has())


async def test_the_clock_is_set_back_while_access_lasts(one: World) -> None:
    """Access ends when the clock says so; before its begin nobody counts as having it."""
    role = await one.activate_alone()
    await one.settle()
    one.clock.advance(-HOUR)
    await one.settle()
    early = await one.role(role)
    await one.pass_time(HOUR + 30 * MINUTE)

    assert ("active", False) == (early.state, early.is_active_at(one.clock.now() - 2 * HOUR))
    assert "ended" == (await one.role(role)).state


async def test_the_clock_is_set_back_while_it_is_tried_again(one: World) -> None:
    """A role that is to be taken back is, and does not wait for the clock to catch up."""
    role = await one.activate_alone()
    one.target.will("fails before")
    await one.pass_time(30 * MINUTE)
    one.clock.advance(-HOUR)
    await one.settle()

    assert ("ended", None) == ((await one.role(role)).state, one.target.has())


async def test_the_edges_of_the_window(one: World) -> None:
    """The first second counts as access, the last one does not."""
    role = await one.activate_alone()

    assert [False, True, True, False] == [
        role.is_active_at(now) for now in (START - 1, START, END - 1, END)
    ]


# Taken back early


@pytest.mark.parametrize("ends_by_itself", [True, False], ids=["target-ends", "relay-ends"])
@pytest.mark.parametrize("by", [ALICE, BOB, CAROL], ids=["beneficiary", "approver", "reviewer"])
async def test_a_party_takes_access_back(tmp_path: Path, *, by: str, ends_by_itself: bool) -> None:
    """Who has it, who approved and who was asked may; the target is asked, and it is told."""
    around = Surroundings(tmp_path, Target(expires_by_itself=ends_by_itself))
    async with world(around) as one:
        request = await one.approved(BOB, CAROL)
        await one.pass_time(MINUTE)
        role = await one.take_back(await one.role(request), by)

        assert isinstance(role, Activation)
        assert ("ended", "revoked", by, START + MINUTE, None) == (
            role.state,
            role.end_reason,
            role.revoked_by,
            role.ended_at,
            around.target.has(),
        )
        assert ("jit.revoked", [by]) == (
            (await one.events())[-1]["type"],
            (await one.events())[-1]["by"],
        )
        assert (role, "ok") == (await one.take_back(role, by), await one.result(role))


async def test_nobody_else_takes_access_back(one: World) -> None:
    """A stranger, and whoever names what does not exist, is told the one same thing."""
    request = await one.approved(BOB)
    role = await one.role(request)
    alone = await one.activate_alone(beneficiary=CAROL)
    unknown = await one.revoke(Person(email=ALICE), "0190a000-0000-7000-8000-0000000000ff")

    assert [FORBIDDEN] * 4 == [
        unknown,
        await one.take_back(role, DAVE),
        await one.take_back(role, CAROL),
        await one.take_back(alone, BOB),
    ]
    assert "active" == (await one.role(request)).state


async def test_taking_back_what_the_target_keeps(one: World) -> None:
    """Who revokes is told that it is under way; the target is asked until it confirms."""
    role = await one.activate_alone()
    one.target.will("fails before", "fails before")
    told = await one.take_back(role)
    again = await one.take_back(role)
    await one.pass_time(1)
    await one.pass_time(2)

    assert isinstance(told, Activation)
    assert ("revoking", told) == (told.state, again)
    assert ("ended", "revoked") == (
        (await one.role(role)).state,
        (await one.role(role)).end_reason,
    )


async def test_taking_back_while_it_is_granted(one: World) -> None:
    """What is revoked while the target is asked is taken back after it, never granted."""
    one.target.will("hangs after")
    request = await one.ask()
    await one.decide(request)
    await one.sweeper.sweep()
    await one.target.asked.wait()
    durable = asyncio.Event()
    one.store.subscribe(lambda _: durable.set())
    revoking = asyncio.create_task(one.take_back(await one.role(request)))
    await durable.wait()
    one.target.held.set()
    role = await revoking
    await one.settle()

    assert isinstance(role, Activation)
    assert ("ended", "revoked", None) == (role.state, role.end_reason, one.target.has())
    assert (["grant", "revoke"], ["jit.revoked"]) == (one.target.calls, await one.told())
    assert "indeterminate" == await one.result(role)


async def test_taking_back_what_is_over(one: World) -> None:
    """At the end there is nothing to revoke: it ends by itself."""
    role = await one.activate_alone()
    one.clock.advance(30 * MINUTE)
    told = await one.take_back(role)

    assert isinstance(told, Activation)
    assert ("ended", "expired", None) == (told.state, told.end_reason, told.revoked_by)


async def test_a_grant_that_ends_by_itself_while_it_is_taken_back(
    expiring: Surroundings,
) -> None:
    """A target that cannot be asked has ended it in any case when its time is over."""
    async with world(expiring) as one:
        role = await one.activate_alone()
        expiring.target.will("fails before", times=NO_LIMIT)
        await one.take_back(role)
        await one.pass_time(30 * MINUTE)
        over = await one.role(role)

        assert ("ended", "revoked", []) == (over.state, over.end_reason, one.alarms.standing())


# A newer activation of the same role


@pytest.mark.parametrize("ends_by_itself", [True, False], ids=["target-ends", "relay-ends"])
async def test_a_newer_activation_takes_the_place(tmp_path: Path, *, ends_by_itself: bool) -> None:
    """Asked for again while it lasts, access goes on; the older activation is not revoked."""
    around = Surroundings(tmp_path, Target(expires_by_itself=ends_by_itself))
    async with world(around) as one:
        first = await one.activate_alone()
        await one.pass_time(20 * MINUTE)
        second = await one.activate_alone()
        await one.pass_time(15 * MINUTE)
        older, has = await one.role(first), around.target.has()
        await one.pass_time(15 * MINUTE)

        assert ("ended", "replaced", START + 20 * MINUTE) == (
            older.state,
            older.end_reason,
            older.ended_at,
        )
        assert second.activation_id == getattr(has, "activation_id", None)
        assert ("ended", "expired") == (
            (await one.role(second)).state,
            (await one.role(second)).end_reason,
        )
        revokes = 0 if ends_by_itself else 1
        assert ["grant", "grant", *["revoke"] * revokes] == around.target.calls


async def test_the_older_one_ends_while_the_newer_is_granted(one: World) -> None:
    """It is not taken back under the newer one, which may have been granted already."""
    first = await one.activate_alone()
    await one.pass_time(29 * MINUTE)
    one.target.will("loses its answer")
    one.target.will("fails before", times=6)
    second = await one.activate_alone()
    await one.pass_time(MINUTE)
    waiting = [(await one.role(role)).state for role in (first, second)]
    one.target.deeds.clear()
    await one.pass_time(30)

    assert ["active", "granting"] == waiting
    assert [("ended", "replaced"), ("active", None)] == [
        ((await one.role(role)).state, (await one.role(role)).end_reason)
        for role in (first, second)
    ]
    assert "revoke" not in one.target.calls


async def test_the_newer_one_fails(one: World) -> None:
    """Then the older one's end is its own again."""
    first = await one.activate_alone()
    await one.pass_time(29 * MINUTE)
    one.target.will("refuses")
    second = await one.activate_alone()
    early = (await one.role(first)).state
    await one.pass_time(MINUTE)

    assert ("active", "failed") == (early, (await one.role(second)).state)
    assert ("ended", None) == ((await one.role(first)).state, one.target.has())


@pytest.mark.parametrize("ends_by_itself", [True, False], ids=["target-ends", "relay-ends"])
async def test_the_newer_one_is_taken_back(tmp_path: Path, *, ends_by_itself: bool) -> None:
    """The older one, which lost the role with it, has it again until its own end."""
    around = Surroundings(tmp_path, Target(expires_by_itself=ends_by_itself))
    async with world(around) as one:
        first = await one.activate_alone()
        around.target.will("loses its answer", "refuses")
        second = await one.activate_alone()
        await one.pass_time(1)
        has = around.target.has()
        await one.pass_time(30 * MINUTE)

        assert ("ended", "unconfirmed") == (
            (await one.role(second)).state,
            (await one.role(second)).end_reason,
        )
        assert first.activation_id == getattr(has, "activation_id", None)
        assert ("ended", "expired") == (
            (await one.role(first)).state,
            (await one.role(first)).end_reason,
        )


async def test_the_older_one_could_not_be_taken_back(one: World) -> None:
    """A newer grant takes its place, and the alarm ends: the access is meant to be there."""
    first = await one.activate_alone()
    one.target.will("fails before")
    await one.pass_time(30 * MINUTE)
    alarms = len(one.alarms.standing())
    await one.activate_alone()
    await one.pass_time(5)

    assert (1, []) == (alarms, one.alarms.standing())
    assert ("ended", "replaced") == (
        (await one.role(first)).state,
        (await one.role(first)).end_reason,
    )
    assert None is not one.target.has()


async def test_both_are_taken_back(one: World) -> None:
    """Of two that are open on one target the newer is taken back first, then the older."""
    first = await one.activate_alone()
    one.target.will("fails before")
    second = await one.activate_alone()
    await one.take_back(first)
    kept = one.target.has()
    await one.take_back(second)
    await one.pass_time(2)

    assert kept is not None
    assert ["ended", "ended"] == [(await one.role(role)).state for role in (first, second)]
    assert None is one.target.has()


async def test_an_approval_that_was_replaced_before_it_was_granted(one: World) -> None:
    """Its claim is settled too: nobody knows what became of it."""
    one.target.will("fails before")
    request = await one.approved()
    await one.activate_alone()
    role = await one.role(request)

    assert ("ended", "replaced", "indeterminate") == (
        role.state,
        role.end_reason,
        await one.result(role),
    )
