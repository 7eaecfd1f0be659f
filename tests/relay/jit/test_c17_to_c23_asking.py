"""What a person may ask for, and whom (C17 to C23)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from msgspec import UNSET
from msgspec.structs import replace as changed
from tests.relay.jit.desk import (
    ALICE,
    ALONE,
    BOB,
    CAROL,
    EVE,
    JIT,
    MPA,
    PROJECT,
    ROLE,
    Surroundings,
    desk,
    emails,
    person,
)
from tests.relay.simulator import granted, refused, shown

from quorumkey.protocol import limits
from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.jit.activate import NO_EXECUTOR
from quorumkey_relay.usecases.jit.ports import JitRules
from quorumkey_relay.usecases.jit.request import (
    MAX_PENDING_REQUESTS,
    MAX_REQUESTS_AN_HOUR,
    NO_NOTIFICATION,
    TOO_LONG,
    TOO_OFTEN,
)
from quorumkey_relay.usecases.jit.rules import reviewers_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.jit.desk import Desk

    from quorumkey_relay.domain.jit.request import ApprovalMode

pytestmark = pytest.mark.anyio

DAVE = person("dave")
C23_WORDS = (
    "multi-party approval feature is not available because the server-side configuration is"
    " incomplete"
)


# C17: how many roles


async def test_c17_up_to_ten_roles_are_activated_at_once(desk: Desk) -> None:
    """Each is granted, and a role that is named twice is activated once."""
    roles = [f"roles/viewer{number}" for number in range(10)]
    for role in roles:
        desk.policy.put(role, JIT, "alice")
    view = await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone(*roles, roles[0])))

    assert (roles, {"ACTIVE"}) == (
        [one.name for one in view.entitlements],
        {one.status for one in view.entitlements},
    )


@pytest.mark.parametrize("count", [0, 11])
async def test_c17_no_roles_or_too_many_are_refused(desk: Desk, count: int) -> None:
    """Nothing is granted then."""
    roles = [f"roles/viewer{number}" for number in range(count)]
    for role in roles:
        desk.policy.put(role, JIT, "alice")
    body = changed(desk.alone(), entitlement_ids=[f"{PROJECT}:{role}" for role in roles])
    answer = await refused(desk.cases.self_activate(ALICE, PROJECT, body))

    assert ("invalid_request", []) == (answer.code, desk.target.grants)


async def test_c17_one_role_that_is_not_ones_own_stops_them_all(desk: Desk) -> None:
    """Either all are activated or none is."""
    body = desk.alone(ALONE, "roles/owner")
    answer = await refused(desk.cases.self_activate(ALICE, PROJECT, body))

    assert (FORBIDDEN, [], []) == (answer, desk.target.grants, await desk.told())


async def test_c17_a_role_for_peers_is_not_activated_alone(desk: Desk) -> None:
    """Multi-party approval cannot be left out."""
    answer = await refused(desk.cases.self_activate(ALICE, PROJECT, desk.alone(ROLE)))

    assert (FORBIDDEN, []) == (answer, desk.target.grants)


# C18: how long


@pytest.mark.parametrize("minutes", [1, 60, 120])
async def test_c18_the_time_is_what_was_asked_for(desk: Desk, minutes: int) -> None:
    """From one minute to the longest that is allowed."""
    view = await granted(desk.cases.self_activate(ALICE, PROJECT, desk.alone(minutes=minutes)))
    one = view.entitlements[0]

    assert (desk.sim.clock.now(), minutes * 60) == (
        one.start_time,
        one.end_time - one.start_time,  # type: ignore[operator] # both are there
    )


@pytest.mark.parametrize("minutes", [-1, 0, 121, 10**30], ids=["negative", "none", "long", "huge"])
async def test_c18_other_times_are_refused(desk: Desk, minutes: int) -> None:
    """Alone and with peers."""
    alone = await refused(desk.cases.self_activate(ALICE, PROJECT, desk.alone(minutes=minutes)))
    asked = await desk.why_not(desk.body(minutes=minutes))

    assert (
        "invalid_request",
        "activationTimeout: between 1 and 120 minutes.",
        alone,
    ) == (alone.code, alone.message, asked)


async def test_c18_without_a_time_it_is_the_default(desk: Desk) -> None:
    """An hour, or the longest that is allowed where that is shorter (C29)."""
    body = changed(desk.alone(), activation_timeout=UNSET)
    view = shown(await granted(desk.cases.self_activate(ALICE, PROJECT, body)))
    one = view["entitlements"][0]

    assert 3_600 == one["endTime"] - one["startTime"]


# C19: how many reviewers


async def test_c19_reviewers_are_named_once(desk: Desk) -> None:
    """However their address is spelled."""
    body = changed(desk.body(), peers=["bob@example.com", "Bob@Example.com", "carol@example.com"])
    view = await granted(desk.cases.request(ALICE, PROJECT, body))

    assert ["bob@example.com", "carol@example.com"] == emails(view.reviewers)


@pytest.mark.parametrize(("least", "most"), [(2, 3), (1, 1)], ids=["too few", "too many"])
async def test_c19_there_are_enough_and_not_too_many(
    tmp_path: Path, anyio_backend: object, least: int, most: int
) -> None:
    """One more than the most, or one less than the least, is refused."""
    del anyio_backend
    async with desk(tmp_path, min_reviewers=least, max_reviewers=most) as opened:
        reviewers = (BOB,) if least > 1 else (BOB, CAROL)
        answer = await opened.why_not(opened.body(*reviewers))

        assert f"peers: choose between {least} and {most} reviewers." == answer.message


async def test_c19_one_approval_suffices_however_many_were_asked(
    tmp_path: Path, anyio_backend: object
) -> None:
    """The least number of reviewers asks more peers, not more approvals."""
    del anyio_backend
    async with desk(tmp_path, min_reviewers=3) as opened:
        request = await opened.ask(BOB, CAROL, DAVE)
        view = await opened.approve(request)

        assert "ACTIVE" == view.entitlements[0].status


async def test_c19_more_approvals_can_be_required(tmp_path: Path, anyio_backend: object) -> None:
    """Then so many reviewers must be chosen, and all those approvals come."""
    del anyio_backend
    async with desk(tmp_path, required=2) as opened:
        few = await opened.why_not(opened.body(BOB))
        request = await opened.ask(BOB, CAROL)
        first = await opened.approve(request, BOB)
        second = await opened.approve(request, CAROL)

        assert ("invalid_request", "ACTIVATION_PENDING", "ACTIVE", 1) == (
            few.code,
            first.entitlements[0].status,
            second.entitlements[0].status,
            len(opened.target.grants),
        )


@pytest.mark.parametrize("peer", ["", "bob", "Bob <bob@example.com>", "bob@example.com\n"])
async def test_c19_a_reviewer_is_an_e_mail_address(desk: Desk, peer: str) -> None:
    """And nothing else."""
    answer = await desk.why_not(changed(desk.body(), peers=[peer]))

    assert "invalid_request" == answer.code


def test_c19_however_many_are_named_takes_no_time() -> None:
    """A body full of addresses is judged without comparing each with each."""
    rules = JitRules(integrator_id="acme", public_url="https://relay.example")
    compared = 0

    class Address(str):
        """An address that counts how often it is compared."""

        __slots__ = ()
        __hash__ = str.__hash__

        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return str.__eq__(self, other)

        def lower(self) -> Address:
            return self

    named = [Address(f"peer{number}@example.com") for number in range(2_000)]

    assert isinstance(reviewers_of(named, ALICE.email, rules), Refusal)
    assert compared < 10 * len(named)


# C20, C21: who reviews


@pytest.mark.parametrize("spelled", ["alice@example.com", "ALICE@example.com"])
async def test_c20_who_asks_cannot_be_a_reviewer(desk: Desk, spelled: str) -> None:
    """It is refused when the role is asked for, however the address is spelled."""
    answer = await desk.why_not(changed(desk.body(), peers=["bob@example.com", spelled]))

    assert ("peers: The beneficiary cannot be a reviewer.", []) == (
        answer.message,
        desk.post.sent,
    )


async def test_c21_every_reviewer_is_eligible_when_the_role_is_asked_for(desk: Desk) -> None:
    """An address that was typed in, of somebody who is no peer, is refused."""
    answer = await desk.why_not(desk.body(BOB, EVE))

    assert (FORBIDDEN, [], []) == (answer, desk.post.sent, await desk.told())


async def test_c21_who_asks_is_eligible_too(desk: Desk) -> None:
    """A stranger is told the same, whoever they name."""
    answer = await desk.why_not(desk.body(BOB), EVE)

    assert FORBIDDEN == answer


# C22: the justification


@pytest.mark.parametrize(
    "text",
    ["", "   ", "x" * 100, "two\nlines", "hidden\u202etext"],
    ids=["empty", "blank", "100 characters", "two lines", "bidi"],
)
async def test_c22_a_justification_says_something_short(desk: Desk, text: str) -> None:
    """Else the refusal says what is expected, and nothing is granted or asked."""
    alone = await refused(desk.cases.self_activate(ALICE, PROJECT, desk.alone(justification=text)))
    asked = await desk.why_not(desk.body(justification=text))

    assert (
        "Justification does not meet criteria: Bug or case number",
        alone,
        [],
    ) == (alone.message, asked, desk.target.grants)


async def test_c22_the_space_around_it_goes(desk: Desk) -> None:
    """And 99 characters are not too many."""
    view = await desk.ask(justification=f"  {'x' * 99} ")

    assert "x" * 99 == view.justification


async def test_c22_it_matches_the_pattern_as_a_whole(tmp_path: Path, anyio_backend: object) -> None:
    """The pattern and the hint are settings."""
    del anyio_backend
    async with desk(
        tmp_path, justification_pattern="BUG-[0-9]+", justification_hint="a bug"
    ) as opened:
        refusal = await opened.why_not(opened.body(justification="BUG-1 and more"))
        await opened.ask(justification="BUG-1")

        assert "Justification does not meet criteria: a bug" == refusal.message


# C23: reviewers must hear of it


@pytest.mark.parametrize(
    ("approval", "push"),
    [("click", True), ("click", False), ("device", False)],
)
async def test_c23_without_a_way_to_tell_reviewers_nothing_is_asked(
    tmp_path: Path, anyio_backend: object, approval: ApprovalMode, *, push: bool
) -> None:
    """A push leads to a decision on the device, so it does not serve reviewers who click."""
    del anyio_backend
    async with desk(
        tmp_path, Surroundings(has_mail=False), approval=approval, notifies_by_push=push
    ) as opened:
        await opened.equip(BOB)
        answer = await opened.why_not(opened.body())
        alone = await granted(opened.cases.self_activate(ALICE, PROJECT, opened.alone()))

        assert (NO_NOTIFICATION, "ACTIVE") == (answer, alone.entitlements[0].status)
        assert ("not_configured", C23_WORDS in str(answer.message)) == (answer.code, True)


async def test_c23_a_push_serves_reviewers_with_devices(
    tmp_path: Path, anyio_backend: object
) -> None:
    """No e-mail is needed then."""
    del anyio_backend
    async with desk(tmp_path, Surroundings(has_mail=False), approval="device") as opened:
        await opened.equip(BOB)
        view = await opened.ask()

        assert "ACTIVATION_PENDING" == view.entitlements[0].status


# Ours: devices, targets, the same again, and how many


async def test_jit_reviewers_without_a_device_are_named(signing: Desk) -> None:
    """Who asks may choose others: their peers are known to them."""
    answer = await signing.why_not(signing.body(BOB, DAVE))

    assert ("failed_precondition", {"reviewers": ["dave@example.com"]}, []) == (
        answer.code,
        answer.details,
        signing.post.sent,
    )


async def test_jit_a_project_that_nothing_serves_is_refused(desk: Desk) -> None:
    """Before anybody is asked; only whoever is eligible there finds out."""
    desk.target.serves = "another-project"
    asked = await desk.why_not(desk.body())
    alone = await refused(desk.cases.self_activate(ALICE, PROJECT, desk.alone()))
    stranger = await desk.why_not(desk.body(), EVE)

    assert (NO_EXECUTOR, NO_EXECUTOR, FORBIDDEN) == (asked, alone, stranger)


async def test_jit_the_same_request_again_is_the_one_that_waits(signing: Desk) -> None:
    """Nobody is mailed again; another reason, time or reviewer makes another request."""
    first = await signing.ask(BOB, CAROL)
    signing.sim.clock.advance(5)
    again = await signing.ask(CAROL, BOB)
    others = [
        await signing.ask(BOB),
        await signing.ask(BOB, CAROL, minutes=31),
        await signing.ask(BOB, CAROL, justification="BUG-2"),
    ]
    ids = {one.request_id for one in (first, again, *others)}

    assert (first.request_id, 4, 4) == (again.request_id, len(ids), len(signing.post.sent))


async def test_jit_a_request_that_has_ended_is_asked_anew(desk: Desk) -> None:
    """What was denied, withdrawn, approved or is over is not the answer to a new request."""
    first = await desk.ask()
    await desk.deny(first)
    second = await desk.ask()
    await desk.withdraw(second)
    third = await desk.ask()
    await desk.approve(third)
    fourth = await desk.ask()

    assert 4 == len({one.entitlements[0].activation_id for one in (first, second, third, fourth)})


async def test_jit_a_person_has_so_many_pending_requests(desk: Desk) -> None:
    """One more is refused until one of them ends."""
    made = [await desk.ask(justification=f"BUG-{number}") for number in range(MAX_PENDING_REQUESTS)]
    refusal = await desk.why_not(desk.body())
    await desk.withdraw(made[0])
    await desk.ask()

    assert ("rate_limited", 1_800) == (refusal.code, refusal.retry_after)


async def test_jit_a_device_is_not_flooded(signing: Desk) -> None:
    """A reviewer whose device waits for as many decisions as it may is left in peace."""
    for number in range(limits.MAX_PENDING_PER_DEVICE):
        who = (ALICE, CAROL, DAVE)[number % 3]
        body = signing.body(BOB, justification=f"BUG-{number}")
        await granted(signing.cases.request(who, PROJECT, body))
    refusal = await signing.why_not(signing.body(BOB))

    assert ("rate_limited", None) == (refusal.code, refusal.details)


async def test_jit_a_link_that_no_browser_takes_is_refused(
    tmp_path: Path, anyio_backend: object
) -> None:
    """Before anybody is mailed one; fewer reviewers are the way out."""
    del anyio_backend
    names = [f"{'x' * 50}{number:02}" for number in range(50)]
    many = [replace(person(name), email=f"{name}@{'y' * 50}.example.com") for name in names]
    async with desk(tmp_path, max_reviewers=50) as opened:
        opened.policy.put(ROLE, MPA, "alice")
        opened.policy.people = [one.email for one in many]
        opened.policy.write()
        refusal = await opened.why_not(opened.body(*many))
        await opened.ask(*many[:20])

        assert (TOO_LONG, 1) == (refusal, len(opened.post.sent))


async def test_jit_a_long_resource_condition_gets_into_the_link(desk: Desk) -> None:
    """As long as one can be that reviewers may be shown."""
    condition = f"resource.name == '{'x' * 2_900}'"
    desk.policy.put(ROLE, f"{MPA} && {condition}", "alice", "bob")
    listed = await granted(desk.cases.roles(ALICE, PROJECT))
    limited = next(one.id for one in listed.entitlements if one.resource_condition)
    body = changed(desk.body(BOB), entitlement_id=limited)
    view = await granted(desk.cases.request(ALICE, PROJECT, body))

    assert "ACTIVE" == (await desk.approve(view)).entitlements[0].status


async def test_jit_nobody_floods_the_reviewers(desk: Desk) -> None:
    """Who asks and withdraws again and again has to wait, until the first is an hour ago."""
    for number in range(MAX_REQUESTS_AN_HOUR):
        await desk.withdraw(await desk.ask(justification=f"BUG-{number}"))
        desk.sim.clock.advance(1)
    refusal = await desk.why_not(desk.body())
    sent = len(desk.post.sent)
    desk.sim.clock.advance(3_600 - MAX_REQUESTS_AN_HOUR - 1)
    still = await desk.why_not(desk.body())
    desk.sim.clock.advance(1)
    await desk.ask()

    assert ("rate_limited", TOO_OFTEN) == (refusal.code, refusal.message)
    assert (3_600 - MAX_REQUESTS_AN_HOUR, 1) == (refusal.retry_after, still.retry_after)
    assert MAX_REQUESTS_AN_HOUR == sent
