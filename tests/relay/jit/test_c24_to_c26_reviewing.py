"""Who may see, approve, deny and take back a request, judged anew each time (C24 to C26)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import (
    ALICE,
    BOB,
    CAROL,
    EVE,
    PROJECT,
    ROLE,
    desk,
    emails,
    final,
    person,
    token_of,
)
from tests.relay.simulator import granted, refused

from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.usecases.jit.activate import GRANT_FAILED
from quorumkey_relay.usecases.jit.eligible import SOURCE_UNAVAILABLE
from quorumkey_relay.usecases.jit.ports import GrantFailed
from quorumkey_relay.usecases.jit.review import REQUESTER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.relay.jit.desk import Desk

    from quorumkey_relay.usecases.jit.ports import Person

pytestmark = pytest.mark.anyio

DAVE = person("dave")


# C24: each step alone refuses, and the earlier one first


async def test_c24_a_token_that_is_none_comes_first(desk: Desk) -> None:
    """Even for the beneficiary: nothing is told of a request without a valid token."""
    await desk.ask()

    assert FORBIDDEN == await refused(desk.cases.approve(ALICE, "no-token"))


async def test_c24_the_beneficiary_cannot_approve(desk: Desk) -> None:
    """Whatever else is wrong with the request by then."""
    request = await desk.ask()
    desk.policy.drop(ALICE)

    assert REQUESTER == await refused(desk.cases.approve(ALICE, token_of(request)))


@pytest.mark.parametrize("who", [CAROL, EVE], ids=["a peer", "a stranger"])
async def test_c24_only_reviewers_of_the_request_approve(desk: Desk, who: Person) -> None:
    """A peer who was not asked is told what a stranger is told."""
    request = await desk.ask(BOB)

    assert FORBIDDEN == await refused(desk.cases.approve(who, token_of(request)))


async def test_c24_justification_before_limits_before_eligibility(desk: Desk) -> None:
    """Rules that became stricter meanwhile count when somebody approves."""
    request = await desk.ask(BOB, CAROL, minutes=30)
    token = token_of(request)
    desk.policy.drop(ALICE)
    reviewing = desk.cases.reviewing
    told: list[str] = []
    for rules in (
        replace(desk.rules, justification_pattern="OTHER", max_duration_seconds=60),
        replace(desk.rules, max_duration_seconds=60, max_reviewers=1),
        replace(desk.rules, max_reviewers=1),
        desk.rules,
    ):
        cases = replace(desk.cases, reviewing=replace(reviewing, rules=rules))
        told.append((await refused(cases.approve(BOB, token))).message)

    assert [
        "Justification does not meet criteria: Bug or case number",
        "activationTimeout: between 1 and 1 minutes.",
        "peers: choose between 1 and 1 reviewers.",
        FORBIDDEN.message,
    ] == told


@pytest.mark.parametrize("who", [ALICE, BOB], ids=["beneficiary", "reviewer"])
async def test_c24_eligibility_is_judged_again_by_a_click(desk: Desk, who: Person) -> None:
    """Who lost the role between request and approval stops it; with it again, it goes on."""
    request = await desk.ask(BOB)
    desk.policy.drop(who)
    refusal = await refused(desk.cases.approve(BOB, token_of(request)))
    waiting = await desk.status(request)
    desk.policy.put(ROLE, "has({}.multiPartyApprovalConstraint)", "alice", "bob")
    view = await desk.approve(request)

    assert (FORBIDDEN, "ACTIVATION_PENDING", "ACTIVE", 1) == (
        refusal,
        waiting,
        view.entitlements[0].status,
        len(desk.target.grants),
    )


@pytest.mark.parametrize("who", [ALICE, BOB], ids=["beneficiary", "reviewer"])
async def test_c24_eligibility_is_judged_again_by_a_device(signing: Desk, who: Person) -> None:
    """A signed vote of, or for, somebody who lost the role is not counted."""
    request = await signing.ask(BOB)
    signing.policy.drop(who)
    refusal = await refused(signing.vote(request))

    assert (FORBIDDEN, "ACTIVATION_PENDING", []) == (
        refusal,
        await signing.status(request),
        signing.target.grants,
    )


async def test_c24_a_denial_needs_no_eligibility(signing: Desk) -> None:
    """Who lost the role may still say no, by a device as by a click."""
    request = await signing.ask(BOB)
    signing.policy.drop(BOB)
    await signing.vote(request, BOB, "deny")

    assert "DENIED" == await signing.status(request)


async def test_c24_rules_count_for_signed_votes_too(signing: Desk) -> None:
    """A justification that would not be taken any more is not approved on a device either."""
    request = await signing.ask(BOB)
    use = signing.sim.use
    votes = use.decide.role_votes
    assert votes is not None
    stricter = replace(votes, rules=replace(signing.rules, justification_pattern="OTHER"))
    signing.sim.use = replace(use, decide=replace(use.decide, role_votes=stricter))
    refusal = await refused(signing.vote(request))

    assert "Justification does not meet criteria: Bug or case number" == refusal.message


@pytest.mark.parametrize("fixture", ["desk", "signing"])
async def test_c24_where_nobody_knows_who_is_eligible_nothing_is_approved(
    fixture: str, desk: Desk, signing: Desk
) -> None:
    """The refusal says so, and the request waits."""
    opened = desk if fixture == "desk" else signing
    request = await opened.ask(BOB)
    opened.policy.path.write_text("{")
    if fixture == "desk":
        refusal = await refused(opened.cases.approve(BOB, token_of(request)))
    else:
        refusal = await refused(opened.vote(request))

    assert (SOURCE_UNAVAILABLE, "ACTIVATION_PENDING") == (refusal, await opened.status(request))


async def test_c24_who_approved_first_is_judged_with_the_last(
    tmp_path: Path, anyio_backend: object
) -> None:
    """With two approvals needed, both are of people who are eligible when the role is granted."""
    del anyio_backend
    async with desk(tmp_path, required=2) as opened:
        request = await opened.ask(BOB, CAROL)
        await opened.approve(request, BOB)
        opened.policy.drop(BOB)
        view = await opened.approve(request, CAROL)

        assert ("NOT_GRANTED", [], ["requested", "not_granted"]) == (
            view.entitlements[0].status,
            opened.target.grants,
            await opened.told(),
        )


async def test_c24_signed_votes_are_judged_with_the_last_too(
    tmp_path: Path, anyio_backend: object
) -> None:
    """The approval stands as it was signed, and nothing comes of it."""
    del anyio_backend
    async with desk(tmp_path, required=2, approval="device") as opened:
        await opened.equip(BOB, CAROL)
        request = await opened.ask(BOB, CAROL)
        await opened.vote(request, BOB)
        opened.policy.drop(BOB)
        await opened.vote(request, CAROL)

        assert ("NOT_GRANTED", []) == (await opened.status(request), opened.target.grants)


# C25: possession of a token gives nothing


@pytest.mark.parametrize("call", ["read_request", "approve", "deny", "withdraw"])
async def test_c25_a_token_gives_a_stranger_nothing(desk: Desk, call: str) -> None:
    """They are told what they would be told without a token."""
    request = await desk.ask(BOB)

    assert FORBIDDEN == await refused(getattr(desk.cases, call)(EVE, token_of(request)))


@pytest.mark.parametrize("call", ["approve", "deny", "withdraw"])
async def test_c25_a_token_decides_nothing_after_its_time(desk: Desk, call: str) -> None:
    """Not even for those who are named in it."""
    request = await desk.ask(BOB)
    who = ALICE if call == "withdraw" else BOB
    desk.sim.clock.advance(3_600)

    assert FORBIDDEN == await refused(getattr(desk.cases, call)(who, token_of(request)))


async def test_c26_the_parties_read_what_came_of_it_after_the_time_of_the_token(
    desk: Desk,
) -> None:
    """Their links show the status as it is, to them alone, and as the lists do."""
    missed = await desk.ask(BOB, minutes=60)
    asked = await desk.ask(BOB, justification="BUG-2", minutes=120)
    await desk.approve(asked)
    desk.sim.clock.advance(3_600)
    shown = [await desk.read(one, who) for one in (missed, asked) for who in (ALICE, BOB)]
    refusal = await refused(desk.cases.read_request(EVE, token_of(asked)))

    assert (["EXPIRED", "EXPIRED", "ACTIVE", "ACTIVE"], FORBIDDEN) == (
        [one.entitlements[0].status for one in shown],
        refusal,
    )


async def test_c25_parties_see_the_request(desk: Desk) -> None:
    """Who asked and who was asked, each as what they are."""
    request = await desk.ask(BOB)
    mine = await desk.read(request, ALICE)
    theirs = await desk.read(request, BOB)

    assert ((True, False), (False, True)) == (
        (mine.is_beneficiary, mine.is_reviewer),
        (theirs.is_beneficiary, theirs.is_reviewer),
    )


async def test_c25_a_token_leads_to_what_it_says_or_nowhere(desk: Desk) -> None:
    """Signed by this relay, but for a request that it does not know, or knows otherwise."""
    request = await desk.ask(BOB)
    claims = desk.tokens.read(token_of(request), now=desk.sim.clock.now())
    unknown = desk.tokens.mint(replace(claims, id="mpa-AAAAAAAAAAAAAAAA"))
    altered = desk.tokens.mint(replace(claims, justification="BUG-2"))

    assert [FORBIDDEN, FORBIDDEN] == [
        await refused(desk.cases.approve(BOB, one)) for one in (unknown, altered)
    ]


# C26: what came of it is kept


async def test_c26_a_reviewer_may_deny(desk: Desk) -> None:
    """That ends it: nobody can approve it any more, and who asked is told by e-mail."""
    request = await desk.ask(BOB, CAROL)
    view = await desk.deny(request, BOB)
    late = await refused(desk.cases.approve(CAROL, token_of(request)))
    mail = await desk.sim.store.due_mail(now=desk.sim.clock.now(), limit=10)

    assert ("DENIED", "request_completed", ["requested", "denied"], 1) == (
        view.entitlements[0].status,
        late.code,
        await desk.told(),
        len(mail),
    )


async def test_c26_a_device_may_deny(signing: Desk) -> None:
    """The signed denial is told in the same way."""
    request = await signing.ask(BOB, CAROL)
    await signing.vote(request, BOB, "deny")
    mail = await signing.sim.store.due_mail(now=signing.sim.clock.now(), limit=10)

    assert ("DENIED", ["requested", "denied"], 1) == (
        await signing.status(request),
        await signing.told(),
        len(mail),
    )


async def test_c26_denials_may_wait_for_the_others(tmp_path: Path, anyio_backend: object) -> None:
    """With the policy that a quorum must be impossible, one of two may say no."""
    del anyio_backend
    async with desk(tmp_path, reject_policy="quorum_impossible") as opened:
        request = await opened.ask(BOB, CAROL, DAVE)
        first = await opened.deny(request, BOB)
        view = await opened.approve(request, CAROL)

        assert ("ACTIVATION_PENDING", "ACTIVE", ["carol@example.com"]) == (
            first.entitlements[0].status,
            view.entitlements[0].status,
            emails(view.approvals or ()),
        )


async def test_c26_a_decision_is_not_changed(desk: Desk) -> None:
    """The same again is answered again, the opposite is refused."""
    request = await desk.ask(BOB, CAROL)
    await desk.deny(request, BOB)
    again = await desk.deny(request, BOB)
    other = await refused(desk.cases.approve(BOB, token_of(request)))

    assert ("DENIED", "already_decided") == (again.entitlements[0].status, other.code)


async def test_c26_an_approval_is_not_changed(desk: Desk) -> None:
    """Whoever wants the access to end revokes it."""
    request = await desk.ask(BOB)
    await desk.approve(request)

    assert "already_decided" == (await refused(desk.cases.deny(BOB, token_of(request)))).code


@pytest.mark.parametrize("fixture", ["desk", "signing"])
async def test_c26_who_asked_may_take_it_back(fixture: str, desk: Desk, signing: Desk) -> None:
    """Until it is decided; the devices are told that the request is cancelled."""
    opened = desk if fixture == "desk" else signing
    request = await opened.ask(BOB)
    view = await opened.withdraw(request)
    again = await opened.withdraw(request)
    if fixture == "desk":
        late = await refused(opened.cases.approve(BOB, token_of(request)))
    else:
        late = await refused(opened.vote(request))

    assert (["WITHDRAWN", "WITHDRAWN"], "request_completed", ["requested", "withdrawn"]) == (
        [view.entitlements[0].status, again.entitlements[0].status],
        late.code,
        await opened.told(),
    )


@pytest.mark.parametrize("call", ["deny", "withdraw"])
async def test_c26_each_ends_what_is_theirs_to_end(desk: Desk, call: str) -> None:
    """Who asked does not deny, and a reviewer does not withdraw."""
    request = await desk.ask(BOB)
    who = ALICE if call == "deny" else BOB

    assert FORBIDDEN == await refused(getattr(desk.cases, call)(who, token_of(request)))


async def test_c26_what_is_granted_is_not_taken_back_but_revoked(desk: Desk) -> None:
    """The refusal says that it is approved."""
    request = await desk.ask(BOB)
    approved = await desk.approve(request)
    late = await refused(desk.cases.withdraw(ALICE, token_of(request)))
    ended = await granted(desk.cases.revoke(ALICE, approved.entitlements[0].activation_id))

    assert ({"status": "approved"}, "REVOKED", "REVOKED") == (
        late.details,
        ended.status,
        await desk.status(request),
    )


async def test_c26_waiting_is_not_shown_after_the_end(desk: Desk) -> None:
    """Nobody approved in time, and the list says so."""
    await desk.ask(BOB)
    desk.sim.clock.advance(1_800)
    await desk.done()
    page = await granted(desk.cases.reviews(BOB, limit=10, cursor=None))

    assert (["EXPIRED"], ["requested", "expired"]) == (
        [one.entitlements[0].status for one in page.data],
        await desk.told(),
    )


# By device, a click decides nothing


@pytest.mark.parametrize("call", ["approve", "deny"])
async def test_jit_a_click_decides_nothing_that_devices_decide(signing: Desk, call: str) -> None:
    """Whoever took over an e-mail account cannot decide anything with it."""
    request = await signing.ask(BOB)
    answer = await refused(getattr(signing.cases, call)(BOB, token_of(request)))

    assert ("failed_precondition", {"request_id": request.request_id}, "ACTIVATION_PENDING") == (
        answer.code,
        answer.details,
        await signing.status(request),
    )


async def test_jit_a_relay_that_turned_roles_off_counts_no_approvals(signing: Desk) -> None:
    """Of requests from before; a denial still ends one."""
    request = await signing.ask(BOB)
    use = signing.sim.use
    signing.sim.use = replace(use, decide=replace(use.decide, role_votes=None))
    refusal = await refused(signing.vote(request))
    denied = await granted(signing.vote(request, BOB, "deny"))

    assert (FORBIDDEN, "rejected") == (refusal, denied.status)


async def test_jit_a_target_that_refuses_is_told(desk: Desk) -> None:
    """The approval counted; that nothing was granted is the answer, and the state."""
    request = await desk.ask(BOB)
    desk.target.faults.append(final())
    refusal = await refused(desk.cases.approve(BOB, token_of(request)))

    assert (GRANT_FAILED, "FAILED") == (refusal, await desk.status(request))


async def test_jit_a_target_that_is_busy_is_asked_again(desk: Desk) -> None:
    """Meanwhile the request says that it is being granted."""
    request = await desk.ask(BOB)
    desk.target.faults.append(GrantFailed("It is busy.", is_final=False))
    view = await desk.approve(request)
    desk.sim.clock.advance(1)
    await desk.done()

    assert ("GRANTING", "ACTIVE") == (view.entitlements[0].status, await desk.status(request))


async def test_jit_roles_that_all_fail_are_no_success(desk: Desk) -> None:
    """Of several, each says how it stands; if none was granted, the call is refused."""
    desk.policy.put("roles/viewer", "has({}.jitAccessConstraint)", "alice")
    body = desk.alone("roles/browser", "roles/viewer")
    desk.target.faults.append(final())
    some = await granted(desk.cases.self_activate(ALICE, PROJECT, body))
    desk.target.faults += [final(), final()]
    none = await refused(desk.cases.self_activate(ALICE, PROJECT, body))

    assert ({"FAILED", "ACTIVE"}, GRANT_FAILED) == (
        {one.status for one in some.entitlements},
        none,
    )
