"""From an approval to a role: exactly one activation, granted however the target fails."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend
from tests.contract.material import RELAY
from tests.relay.domain.play import key
from tests.relay.jit.grant_world import (
    ALICE,
    BOB,
    CAROL,
    MINUTE,
    ROLE,
    START,
    UNSURE,
    Deed,
    Postbox,
    Surroundings,
    Target,
    World,
    world,
)
from tests.relay.simulator import ACME

from quorumkey.jit import verify_activation
from quorumkey.protocol import Execution, RoleActivation, parse_envelope, verify_statement
from quorumkey_relay.usecases.jit.ports import Letter, MailFailed
from quorumkey_relay.usecases.jit.targets import GRANT_ALARM_ATTEMPTS, backoff_seconds

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.request import AccessRequest

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[True, False], ids=["target-ends", "relay-ends"])
def around(request: pytest.FixtureRequest, tmp_path: Path) -> Surroundings:
    """A target that ends grants by itself, or not."""
    return Surroundings(tmp_path, Target(expires_by_itself=bool(request.param)))


@pytest.fixture
async def one(around: Surroundings, anyio_backend: object) -> AsyncGenerator[World]:
    """A relay."""
    del anyio_backend
    async with world(around) as opened:
        yield opened


async def test_an_approval_becomes_a_role(one: World) -> None:
    """What devices approved is granted once, its claim says so, and everybody is told."""
    request = await one.ask(BOB, CAROL)
    await one.decide(request)
    await one.settle()

    role = await one.role(request)
    assert ("active", (BOB,), ROLE, START, START + 30 * MINUTE) == (
        role.state,
        role.approvers,
        role.entitlement,
        role.start,
        role.end,
    )
    assert role.activation_id == (await one.request(request)).activation_id
    assert ["grant"] == one.target.calls
    assert role.activation_id == getattr(one.target.has(), "activation_id", None)
    assert "ok" == await one.result(role)
    assert ["jit.granted"] == await one.told()
    assert [f"approved {request.id} by {BOB} at {START}"] == await one.letters()


async def test_what_the_target_is_shown_proves_the_approval(one: World) -> None:
    """The receipt that goes to the target is checked offline, against exactly this activation."""
    request = await one.approved(BOB, CAROL)
    role = await one.role(request)
    assert one.target.evidence is not None

    proved = verify_activation(
        one.target.evidence,
        activation=RoleActivation(
            beneficiary=ALICE,
            project=ROLE.project,
            role=ROLE.role,
            justification="BUG-12345",
            duration_seconds=30 * MINUTE,
            start=START,
        ),
        relay_public_keys=[RELAY.public_key],
        integrator_id=ACME.id,
        now=START,
        reviewers={BOB: [key(BOB).public_key], CAROL: [key(CAROL).public_key]},
    )

    assert (role.start, role.end) == (proved.start, proved.end)


async def test_the_claim_says_what_became_of_it(one: World) -> None:
    """The relay signs that it has executed the approval, under the one claim on it."""
    role = await one.role(await one.approved())
    claim = await one.store.claim(role.claim_id or "")
    assert claim is not None
    assert claim.execution is not None
    envelope = parse_envelope(json.loads(claim.execution))
    said = verify_statement(envelope, Execution, key=RELAY.public_key).statement

    assert (claim.claim_id, "ok", START) == (
        said.claim_id,
        said.result,
        said.completed_at,
    )
    assert (role.request_id, role.end) == (claim.request_id, claim.result_by)


async def test_a_role_that_somebody_activates_alone(one: World) -> None:
    """It is granted at once, without a receipt, and nobody gets mail."""
    role = await one.activate_alone()

    assert ("active", (), None) == (role.state, role.approvers, one.target.evidence)
    assert (["jit.granted"], []) == (await one.told(), await one.letters())
    assert "ActivationSelfApproved" == (await one.events())[-1]["notification"]


async def test_two_who_follow_one_approval(one: World) -> None:
    """However often an approval is followed at once, one activation comes of it."""
    request = await one.ask()
    await one.decide(request)
    await asyncio.gather(*(one.follower.follow(request.id) for _ in range(8)))
    await one.settle()

    listed = await one.store.activations(
        integrator_id=ACME.id, beneficiary=None, before=None, limit=9
    )
    assert ([await one.role(request)], ["grant"]) == (listed, one.target.calls)


async def test_two_reviewers_at_once(one: World) -> None:
    """Of two devices that approve in one moment, one approves; there is one role and one claim."""
    request = await one.ask(BOB, CAROL)
    votes = await asyncio.gather(
        one.decide(request, BOB), one.decide(request, CAROL), return_exceptions=True
    )
    await one.settle()

    assert 1 == sum(vote is None for vote in votes)
    assert ("active", ["grant"]) == ((await one.role(request)).state, one.target.calls)


async def test_two_of_two_reviewers(one: World) -> None:
    """Where two are needed, the first approval grants nothing."""
    request = await one.ask(BOB, CAROL, required=2)
    await one.decide(request, BOB)
    await one.settle()
    before = await one.store.activation_of(request.id)
    await one.decide(request, CAROL)
    await one.settle()

    assert (None, (BOB, CAROL)) == (before, (await one.role(request)).approvers)


# Targets that fail


@pytest.mark.parametrize("deed", UNSURE)
async def test_a_target_that_did_not_confirm_is_asked_again(
    around: Surroundings, deed: Deed
) -> None:
    """Whatever it did or did not do, it is asked for the same again, and the role is there once."""
    if deed.startswith("hangs"):
        around.call_seconds = 0.01
    async with world(around) as one:
        around.target.will(deed)
        request = await one.approved()
        waiting = await one.role(request)
        result = await one.result(waiting)
        await one.pass_time(1)
        role = await one.role(request)

        assert ("granting", 1, None) == (waiting.state, waiting.attempts, result)
        assert waiting.fault
        assert ("active", 0, None, "ok") == (
            role.state,
            role.attempts,
            role.fault,
            await one.result(role),
        )
        assert ["grant", "grant"] == around.target.calls
        assert ["jit.granted"] == await one.told()


async def test_how_long_it_is_waited(one: World) -> None:
    """The target is asked again after 1, 2, 4, 8, 16 seconds, then every 30."""
    one.target.will("fails before", times=8)
    request = await one.approved()
    waits: list[int] = []
    for _ in range(8):
        waiting = await one.role(request)
        waits.append(waiting.next_at - one.clock.now())
        await one.pass_time(waits[-1] - 1)
        assert waiting == await one.role(request)
        await one.pass_time(1)

    assert [1, 2, 4, 8, 16, 30, 30, 30] == waits
    assert "active" == (await one.role(request)).state
    assert 30 == backoff_seconds(100_000)


async def test_operators_are_told_of_a_target_that_does_not_confirm(one: World) -> None:
    """An alarm stands after some tries, names nobody, and is taken back when it is over."""
    one.target.will("fails before", times=GRANT_ALARM_ATTEMPTS)
    await one.approved()
    silent = one.alarms.standing()
    for _ in range(2):
        await one.pass_time(4)
    standing = one.alarms.standing()
    await one.pass_time(8)

    assert ([], 1, []) == (silent, len(standing), one.alarms.standing())
    assert not any(secret in standing[0] for secret in (ALICE, BOB, ROLE.role, ROLE.project))


async def test_a_target_that_refuses(one: World) -> None:
    """A first refusal is the last word: the activation failed, and the claim says so."""
    one.target.will("refuses")
    request = await one.approved()
    role = await one.role(request)

    assert ("failed", "The target refuses.", START) == (role.state, role.fault, role.ended_at)
    assert "error" == await one.result(role)
    assert (["grant"], ["jit.grant_failed"], []) == (
        one.target.calls,
        await one.told(),
        await one.letters(),
    )


async def test_a_refusal_after_a_lost_answer(one: World) -> None:
    """What may have been granted before is taken back, and only then it is over."""
    one.target.will("loses its answer", "refuses", "fails before")
    request = await one.approved()
    await one.pass_time(1)
    ending = await one.role(request)
    has = one.target.has()
    await one.pass_time(1)
    role = await one.role(request)

    assert ("revoking", "unconfirmed") == (ending.state, ending.end_reason)
    assert has is not None
    assert ("ended", "unconfirmed", None) == (role.state, role.end_reason, one.target.has())
    assert "indeterminate" == await one.result(role)
    assert ["jit.grant_failed", "jit.ended"] == await one.told()


async def test_a_target_that_is_slow(around: Surroundings) -> None:
    """Who waits is told after a while that it is not granted yet; the call goes on."""
    around.patience_seconds = 0.01
    async with world(around) as one:
        around.target.will("hangs before")
        role = await one.activate_alone()
        around.target.held.set()
        await one.settle()

        assert ("granting", "active") == (role.state, (await one.role(role)).state)
        assert ["grant"] == around.target.calls


async def test_a_target_that_is_not_set_up_any_more(one: World) -> None:
    """An activation waits for its executor to come back, however long its time lasts."""
    one.around.is_target_gone = True
    role = await one.activate_alone()
    one.around.is_target_gone = False
    await one.pass_time(1)

    assert ("granting", "There is no executor named target any more.") == (role.state, role.fault)
    assert "active" == (await one.role(role)).state


async def test_one_call_for_a_target_at_a_time(around: Surroundings) -> None:
    """Calls about one person's role follow each other, so what was asked for last is last."""
    around.patience_seconds = 0.01
    async with world(around) as one:
        around.target.will("hangs before")
        roles = [await one.activate_alone() for _ in range(3)]
        calls = list(around.target.calls)
        around.target.held.set()
        await one.settle()

        assert (["grant"], 1) == (calls, around.target.most_at_once)
        assert ["ended", "ended", "active"] == [(await one.role(role)).state for role in roles]
        assert roles[-1].activation_id == getattr(around.target.has(), "activation_id", "")


async def test_calls_about_different_people(one: World) -> None:
    """A target that does not answer for one person does not hold up another."""
    one.target.will("hangs before")
    slow = asyncio.create_task(one.activate_alone())
    await one.target.asked.wait()
    quick = await one.activate_alone(beneficiary=CAROL)
    one.target.held.set()

    assert ["active", "active"] == [quick.state, (await slow).state]


# Crashes


@pytest.mark.parametrize("deed", ["hangs before", "hangs after"])
async def test_a_crash_while_the_target_is_asked(around: Surroundings, deed: Deed) -> None:
    """After the start it is asked again: the role is there once, with one claim."""
    async with world(around) as one:
        around.target.will(deed)
        request = await one.ask()
        await one.decide(request)
        await one.sweeper.sweep()
        await around.target.asked.wait()
    async with world(around) as one:
        await one.settle()
        role = await one.role(request)

        assert ("active", "ok") == (role.state, await one.result(role))
        assert (["grant", "grant"], ["jit.granted"]) == (around.target.calls, await one.told())


async def test_a_refusal_after_a_crash(around: Surroundings) -> None:
    """Of a call before the crash nobody knows what it did; so a refusal has the role taken back."""
    async with world(around) as one:
        around.target.will("hangs after")
        request = await one.ask()
        await one.decide(request)
        await one.sweeper.sweep()
        await around.target.asked.wait()
    around.target.will("refuses")
    async with world(around) as one:
        await one.settle()
        role = await one.role(request)

        assert ("ended", "unconfirmed", None) == (role.state, role.end_reason, around.target.has())
        assert "indeterminate" == await one.result(role)


async def test_a_crash_before_the_approval_is_followed(around: Surroundings) -> None:
    """An approval that was written down is followed after the start, once."""
    async with world(around) as one:
        request = await one.ask()
        await one.decide(request)
    async with world(around) as one:
        await one.settle()

        assert "active" == (await one.role(request)).state
    async with world(around) as one:
        await one.settle()

        assert ["grant"] == around.target.calls


async def test_a_full_disk_while_the_target_is_asked(one: World) -> None:
    """What the target has done and nobody could write down is asked for again and written then."""
    one.target.will("hangs after")
    request = await one.ask()
    await one.decide(request)
    await one.sweeper.sweep()
    await one.target.asked.wait()
    with SqliteBackend(one.around.folder).unwritable():
        one.target.held.set()
        await one.sweeper.drain()
    waiting = await one.role(request)
    await one.pass_time(1)

    assert ("granting", "active") == (waiting.state, (await one.role(request)).state)
    assert (["grant", "grant"], ["jit.granted"]) == (one.target.calls, await one.told())


async def test_there_is_no_such_activation(one: World) -> None:
    """Whoever has one granted that does not exist made a mistake."""
    with pytest.raises(LookupError):
        await one.granter.grant_now("0190a000-0000-7000-8000-0000000000ff")


async def test_somebody_without_an_address(one: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody can be written to, the role is granted all the same."""

    class Unaddressed(Postbox):
        """Knows no address."""

        def approved(self, request: AccessRequest, activation: Activation, *, now: int) -> Letter:
            """Refuse."""
            raise MailFailed(str((request, activation, now)), is_final=True)

    monkeypatch.setattr(one.granter, "letters", Unaddressed())
    request = await one.approved()

    assert ("active", []) == ((await one.role(request)).state, await one.letters())


async def test_the_event_of_a_grant(one: World) -> None:
    """It names who, what, by whom and how long, and is written with the grant."""
    request = await one.approved()
    event = (await one.events())[-1]

    assert ("ActivationApproved", request.id, [BOB], BOB) == (
        event["notification"],
        event["activation"]["access_request"],
        event["activation"]["approvers"],
        event["attributes"]["approver"],
    )
    assert json.dumps(event).count(ALICE) >= 1
