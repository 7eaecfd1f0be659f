"""How decisions become an end: groups, persons, reject policies, match codes."""

from __future__ import annotations

import pytest
from msgspec import structs
from tests.relay.domain.play import GOOD, NOW, Play, device, terms

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import (
    Ballot,
    Counted,
    Distinct,
    RejectPolicy,
    Resolved,
    State,
    Status,
    WrongCode,
)

MISCODED = structs.replace(GOOD, code_right=False)
POLICIES: list[RejectPolicy] = ["any", "quorum_impossible"]
DISTINCTS: list[Distinct] = ["person", "device"]


@pytest.mark.parametrize("reject_policy", POLICIES)
@pytest.mark.parametrize("distinct", DISTINCTS)
def test_required_groups_approve(reject_policy: RejectPolicy, distinct: Distinct) -> None:
    """The request is approved by the approval that satisfies the last group it needs."""
    play = Play(
        terms("alice", "bob", "carol", required=2, reject_policy=reject_policy, distinct=distinct)
    )
    play.approve("alice")
    before = play.status

    outcome = play.answer("carol", "approve")

    assert "pending" == before
    assert (
        Counted(device("carol"), "approve"),
        Resolved(Status.APPROVED, NOW),
    ) == outcome.events


def test_two_approvals_in_one_group_satisfy_it_once() -> None:
    """A second approval in a group adds nothing."""
    play = Play(terms("alice bob", "carol", required=2))

    play.approve("alice", "bob")

    assert ((0,), "pending") == (play.state.satisfied, play.status)


def test_groups_are_satisfied_in_the_order_of_approvals() -> None:
    """The state remembers which group was satisfied first."""
    play = Play(terms("alice", "bob", "carol", required=3))

    play.approve("carol", "alice")

    assert (2, 0) == play.state.satisfied


def test_any_rejects_at_the_first_denial() -> None:
    """With ``any``, one denial is the end, whatever was approved before."""
    play = Play(terms("alice", "bob", "carol", required=2))
    play.approve("alice")

    outcome = play.answer("bob", "deny")

    assert (Counted(device("bob"), "deny"), Resolved(Status.REJECTED, NOW)) == outcome.events


def test_a_denial_that_leaves_a_quorum_is_only_counted() -> None:
    """With ``quorum_impossible``, a request that can still be won goes on."""
    play = Play(terms("alice", "bob", "carol", required=2, reject_policy="quorum_impossible"))

    play.deny("alice")

    assert ("pending", {device("alice")}) == (play.status, set(play.state.out))


def test_the_denial_that_makes_the_quorum_impossible_rejects() -> None:
    """With ``quorum_impossible``, the end comes when too few groups can be won."""
    play = Play(terms("alice", "bob", "carol", required=2, reject_policy="quorum_impossible"))

    play.deny("alice", "bob")

    assert "rejected" == play.status


def test_a_group_with_somebody_left_is_not_lost() -> None:
    """A group is lost only when nobody in it can approve any more."""
    play = Play(terms("alice bob", reject_policy="quorum_impossible"))

    play.deny("alice")
    before = play.status
    play.deny("bob")

    assert ("pending", "rejected") == (before, play.status)


def test_a_satisfied_group_cannot_be_lost() -> None:
    """A denial in a group that is satisfied takes nothing away."""
    play = Play(terms("alice bob", "carol", required=2, reject_policy="quorum_impossible"))

    play.approve("alice")
    play.deny("bob")

    assert ("pending", (0,)) == (play.status, play.state.satisfied)


def test_a_person_decides_for_all_their_devices() -> None:
    """With ``distinct: person``, what one device decided is the decision of the others."""
    play = Play(terms("alice alice/2 bob", reject_policy="quorum_impossible"))
    play.deny("alice")

    same, other = play.answer("alice/2", "deny"), play.answer("alice/2", "approve")

    assert Ballot("deny", device("alice")) == same.repeated
    assert "already_decided" == (other.refusal and other.refusal.code)


def test_a_persons_denial_takes_all_their_devices_out() -> None:
    """With ``distinct: person``, a group of one person's devices is lost with one denial."""
    play = Play(terms("alice alice/2", reject_policy="quorum_impossible"))

    play.deny("alice")

    assert "rejected" == play.status


def test_each_device_decides_for_itself_where_devices_count() -> None:
    """With ``distinct: device``, a person's second device has a decision of its own."""
    play = Play(terms("alice alice/2", distinct="device", reject_policy="quorum_impossible"))

    play.deny("alice")
    play.approve("alice/2")

    assert "approved" == play.status


def test_one_person_may_stand_in_two_groups_where_devices_count() -> None:
    """With ``distinct: device``, two devices of a person satisfy two groups."""
    play = Play(terms("alice", "alice/2", required=2, distinct="device"))

    play.approve("alice", "alice/2")

    assert "approved" == play.status


def test_the_requesters_devices_cannot_win_a_group() -> None:
    """With ``quorum_impossible``, a group left with the requester alone is lost."""
    play = Play(terms("alice bob", reject_policy="quorum_impossible", requester="alice"))

    play.deny("bob")

    assert "rejected" == play.status


def test_any_never_looks_for_impossibility() -> None:
    """With ``any``, only a denial rejects: a group that nobody can win is waited for."""
    play = Play(terms("alice", "bob", required=2))

    play.lose("alice")

    assert "pending" == play.status


# Match codes


def test_the_right_code_approves() -> None:
    """An approval with the match code counts."""
    play = Play(terms("alice", match_code="42"))

    play.answer("alice", "approve", code="42")

    assert "approved" == play.status


def test_a_wrong_code_is_refused_and_counted() -> None:
    """A wrong code is refused with the tries that are left, and remembered."""
    play = Play(terms("alice", match_code="42"))

    outcome = play.answer("alice", "approve", standing=MISCODED, code="41")

    assert outcome.refusal is not None
    assert ("wrong_code", {"attempts_left": 2}) == (outcome.refusal.code, outcome.refusal.details)
    assert {device("alice"): 1} == play.state.wrong_codes


def test_the_third_wrong_code_puts_the_device_out() -> None:
    """After three wrong codes the device is out, and the right code does not help."""
    play = Play(terms("alice bob", match_code="42"))
    left: list[object] = []
    for _ in range(3):
        refusal = play.answer("alice", "approve", standing=MISCODED, code="41").refusal
        left.append(refusal and refusal.details)

    late = play.answer("alice", "approve", code="42")

    assert [{"attempts_left": 2}, {"attempts_left": 1}, {"attempts_left": 0}] == left
    assert late.refusal is not None
    assert ("wrong_code", ()) == (late.refusal.code, late.events)
    assert {device("alice")} == play.state.out


def test_the_third_wrong_code_can_make_the_quorum_impossible() -> None:
    """A device that is out of tries counts as out: its group may be lost with it."""
    play = Play(terms("alice", match_code="42", reject_policy="quorum_impossible"))
    outcomes = [
        play.answer("alice", "approve", standing=MISCODED, code="41").events for _ in range(3)
    ]

    wrong = WrongCode(device("alice"))
    assert [(wrong,), (wrong,), (wrong, Resolved(Status.REJECTED, NOW))] == outcomes


def test_one_devices_wrong_codes_are_its_own() -> None:
    """Tries are counted for each device, also of one person."""
    play = Play(terms("alice alice/2", match_code="42"))
    for _ in range(3):
        play.answer("alice", "approve", standing=MISCODED, code="41")

    play.answer("alice/2", "approve", code="42")

    assert "approved" == play.status


def test_a_device_out_of_tries_may_still_deny() -> None:
    """A denial needs no code."""
    play = Play(terms("alice bob", match_code="42"))
    for _ in range(3):
        play.answer("alice", "approve", standing=MISCODED, code="41")

    play.answer("alice", "deny", standing=MISCODED)

    assert "rejected" == play.status


@pytest.mark.parametrize("choice", ["approve", "deny"])
def test_a_code_that_nobody_asked_for_is_refused(choice: str) -> None:
    """Where the request has no match code, a decision carries none."""
    play = Play(terms("alice"))

    outcome = play.answer("alice", "approve" if choice == "approve" else "deny", code="42")

    assert outcome.refusal is not None
    assert ("invalid_request", State()) == (outcome.refusal.code, play.state)


def test_a_finished_request_stays_as_it_is() -> None:
    """No decision moves a request that has ended."""
    play = Play(terms("alice bob", "carol"))
    play.approve("alice")
    ended = play.state

    refusals = [play.answer(name, "deny").refusal for name in ("bob", "carol")]

    assert [lifecycle.request_completed(Status.APPROVED)] * 2 == refusals
    assert ended is play.state
