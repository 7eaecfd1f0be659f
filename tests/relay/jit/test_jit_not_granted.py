"""What else comes of a request for a role: eligibility was lost, it is too late, denied, over."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.contract.material import MINT, device
from tests.relay.domain.play import device as fingerprint
from tests.relay.jit.grant_world import (
    ALICE,
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

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.writes import PutActivation, PutDevice, TakeClaim
from quorumkey_relay.usecases.advance import advance
from quorumkey_relay.usecases.jit.follow import builtin_claim
from quorumkey_relay.usecases.jit.grant import activation_of_request
from quorumkey_relay.usecases.jit.watch import WAITING_SECONDS

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.domain.jit.request import AccessRequest

pytestmark = pytest.mark.anyio


@pytest.fixture
async def one(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[World]:
    """A relay."""
    del anyio_backend
    async with world(Surroundings(tmp_path, Target(expires_by_itself=True))) as opened:
        yield opened


async def nothing_came(one: World, request: AccessRequest) -> bool:
    """Whether nothing was granted, nor claimed."""
    return (
        await one.store.activation_of(request.id) is None
        and await one.store.claim_of(request.request_id or "") is None
        and not one.target.calls
    )


# Eligibility is checked again


@pytest.mark.parametrize("approval", ["device", "click"])
@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        pytest.param(ALICE, "beneficiary_ineligible", id="beneficiary"),
        pytest.param(BOB, "reviewer_ineligible", id="reviewer"),
    ],
)
async def test_eligibility_was_lost(one: World, lost: str, reason: str, approval: str) -> None:
    """Who is not eligible when it is to be granted gets, or gives, nothing; it is told why."""
    request = await one.ask(BOB, CAROL, approval=approval)
    one.around.eligible.discard(lost)
    await one.decide(request)
    await one.settle()
    one.around.eligible.add(lost)
    await one.pass_time(MINUTE)

    assert reason == (await one.request(request)).not_granted
    assert await nothing_came(one, request)
    assert (["jit.not_granted"], []) == (await one.told(), await one.letters())


async def test_every_vote_that_counts_is_checked(one: World) -> None:
    """Where two were needed, the first of them counts only while that reviewer is eligible."""
    request = await one.ask(BOB, CAROL, required=2)
    await one.decide(request, BOB)
    one.around.eligible.discard(BOB)
    await one.decide(request, CAROL)
    await one.settle()

    assert "reviewer_ineligible" == (await one.request(request)).not_granted
    assert await nothing_came(one, request)


async def test_others_may_lose_what_they_have(one: World) -> None:
    """Whoever was asked and has not approved plays no part."""
    one.around.eligible.discard(CAROL)

    assert "active" == (await one.role(await one.approved(BOB, CAROL))).state


async def test_a_device_that_was_revoked(one: World) -> None:
    """An approval by a device that was revoked before it was used is worth nothing."""
    request = await one.ask(BOB, CAROL)
    one.around.is_source_down = True
    await one.decide(request)
    await one.settle()
    await one.store.commit((PutDevice(replace(device(BOB), revoked_at=START)),))
    one.around.is_source_down = False
    await one.pass_time(WAITING_SECONDS)

    assert "reviewer_ineligible" == (await one.request(request)).not_granted
    assert await nothing_came(one, request)


async def test_nobody_can_say_who_is_eligible(one: World) -> None:
    """The approval waits, with an alarm, and is granted once somebody can say it."""
    request = await one.ask(BOB)
    one.around.is_source_down = True
    await one.decide(request)
    await one.settle()
    waiting, alarms = await one.request(request), one.alarms.standing()
    await one.pass_time(10 * MINUTE)
    one.around.is_source_down = False
    await one.pass_time(WAITING_SECONDS)
    role = await one.role(request)

    assert (True, 1, []) == (waiting.is_open, len(alarms), one.alarms.standing())
    assert ("active", START, START + 30 * MINUTE) == (role.state, role.start, role.end)


async def test_nobody_can_say_it_until_the_end(one: World) -> None:
    """An approval that waited for too long gives nothing: its time is over."""
    request = await one.ask(BOB)
    one.around.is_source_down = True
    await one.decide(request)
    await one.settle()
    await one.pass_time(30 * MINUTE)

    assert "window_over" == (await one.request(request)).not_granted
    assert ([], ["jit.not_granted"]) == (one.alarms.standing(), await one.told())


async def test_an_approval_is_used_in_time_or_never(one: World) -> None:
    """An hour after the last moment to decide an approval lapses, however long the role would last.

    Until then, to the second, it becomes one.
    """
    wanted = {"window_from": "approval", "duration_seconds": 3 * HOUR}
    late, last = await one.ask(BOB, **wanted), await one.ask(CAROL, **wanted)
    one.around.is_source_down = True
    await one.decide(late)
    await one.decide(last, by=CAROL)
    await one.settle()
    use_by = (await one.signed(late)).terms.use_by
    await one.pass_time(use_by - START)
    one.around.is_source_down = False
    await one.follower.follow(last.id)
    one.clock.advance(1)
    await one.follower.follow(late.id)

    assert "window_over" == (await one.request(late)).not_granted
    assert use_by + 1 < (await one.role(last)).end


async def test_nothing_grants_roles_there(one: World) -> None:
    """An approval waits for an executor, with an alarm that names nobody."""
    request = await one.ask(BOB)
    one.around.is_target_gone = True
    await one.decide(request)
    await one.settle()
    alarms = one.alarms.standing()
    one.around.is_target_gone = False
    await one.pass_time(WAITING_SECONDS)

    assert 1 == len(alarms)
    assert "active" == (await one.role(request)).state


async def test_a_crash_while_it_waits(tmp_path: Path) -> None:
    """After the start it is looked at again."""
    around = Surroundings(tmp_path, Target(expires_by_itself=True), is_source_down=True)
    async with world(around) as one:
        request = await one.ask(BOB)
        await one.decide(request)
        await one.settle()
    around.is_source_down = False
    async with world(around) as one:
        await one.settle()

        assert "active" == (await one.role(request)).state


# Its end


@pytest.mark.parametrize("approval", ["device", "click"])
async def test_a_request_that_nobody_answers(one: World, approval: str) -> None:
    """It is told once that its time is over, at the second at which it is."""
    request = await one.ask(BOB, approval=approval, duration_seconds=10 * MINUTE)
    await one.pass_time(10 * MINUTE - 1)
    early = await one.told()
    await one.pass_time(1)
    closed = await one.request(request)
    await one.pass_time(HOUR)

    assert ([], ["jit.expired"]) == (early, await one.told())
    assert START + 10 * MINUTE == closed.closed_at
    assert [] == list(one.store.open_access_requests())


async def test_it_is_told_after_a_crash(tmp_path: Path) -> None:
    """A request whose time was over while nobody served is told after the start, once."""
    around = Surroundings(tmp_path, Target(expires_by_itself=True))
    async with world(around) as one:
        await one.ask(BOB)
    around.clock.advance(2 * HOUR)
    for _ in range(2):
        async with world(around) as one:
            await one.settle()

            assert ["jit.expired"] == await one.told()


async def test_a_request_that_outlives_the_relay(tmp_path: Path) -> None:
    """What waits at a start is told at its own end that its time is over."""
    around = Surroundings(tmp_path, Target(expires_by_itself=True))
    async with world(around) as one:
        await one.ask(BOB)
    async with world(around) as one:
        await one.settle()
        await one.pass_time(30 * MINUTE - 1)
        early = await one.told()
        await one.pass_time(1)

        assert ([], ["jit.expired"]) == (early, await one.told())


async def test_a_denial_that_nobody_wrote_down(one: World) -> None:
    """Where the signed request was rejected, the request for a role is closed, and it is told."""
    request = await one.ask(BOB, CAROL)
    await one.decide(request, BOB, "deny")
    await one.settle()
    closed = await one.request(request)

    assert START == closed.closed_at
    assert (["jit.denied"], [f"denied by {BOB} at {START}"]) == (
        await one.told(),
        await one.letters(),
    )
    assert await nothing_came(one, request)


async def test_a_denial_by_a_click(one: World) -> None:
    """A click that denies ends it in the same way."""
    request = await one.ask(BOB, approval="click")
    await one.decide(request, BOB, "deny")

    assert (START, ["jit.denied"]) == ((await one.request(request)).closed_at, await one.told())


async def test_too_few_devices_are_left(one: World) -> None:
    """A request that nobody can approve any more is denied by nobody."""
    request = await one.ask(BOB, reject_policy="quorum_impossible")
    stored = await one.signed(request)
    events = lifecycle.lose_devices(stored.terms, stored.state, [fingerprint(BOB)], START)
    await one.store.commit(advance(stored, events, now=START, mint=MINT)[1])
    await one.settle()

    assert (["jit.denied"], []) == (await one.told(), await one.letters())


async def test_a_signed_request_that_was_cancelled(one: World) -> None:
    """Where the integrator takes the signed request back, the request for a role is withdrawn."""
    request = await one.ask(BOB)
    stored = await one.signed(request)
    events = lifecycle.cancel(stored.terms, stored.state, START).events
    await one.store.commit(advance(stored, events, now=START, mint=MINT)[1])
    await one.settle()
    after = await one.request(request)

    assert (START, START, ["jit.withdrawn"]) == (
        after.withdrawn_at,
        after.closed_at,
        await one.told(),
    )


async def test_there_is_no_such_request(one: World) -> None:
    """Following what does not exist does nothing."""
    assert None is await one.follower.follow("mpa-unknown")


# The claim


async def test_only_an_approved_request_is_claimed(one: World) -> None:
    """The store takes no claim of the relay's on a request that was not approved."""
    request = await one.ask(BOB)
    role = activation_of_request(
        request, approvers=(BOB,), executor="target", start=START, now=START, mint=MINT
    )
    claim = builtin_claim(role, claim_id=MINT.uuid7(), now=START)
    assert claim is not None

    with pytest.raises(Conflict):
        await one.store.commit((TakeClaim(claim), PutActivation(None, role)))

    assert await nothing_came(one, request)
