"""Where the forms of approval differ: who may vote, and what a denial does."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from tests.relay.domain.play import GOOD, NOW, Play, decision, terms

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.forms import FORMS
from quorumkey_relay.domain.model import Status

ELSEWHERE = ["approval", "jit_access"]
OUTSIDER = replace(GOOD, may_vote=False)


def play(profile: str = "protected_method", *, required: int = 1) -> Play:
    """A request that alice made, for herself and two others to decide."""
    return Play(
        terms("alice", "bob", "carol", required=required, requester="alice", profile=profile)
    )


def test_every_profile_has_a_form() -> None:
    """A request's rules are those of its profile."""
    assert {name: FORMS[name] for name in FORMS} == {
        name: play(name).terms.form for name in ("approval", "protected_method", "jit_access")
    }


@pytest.mark.parametrize(
    ("profile", "status"),
    [("protected_method", "cancelled"), ("approval", "rejected"), ("jit_access", "rejected")],
)
def test_what_the_requesters_denial_does(profile: str, status: str) -> None:
    """It takes a call of a protected method back; elsewhere it is a denial like any (B5)."""
    request = play(profile)
    request.deny("alice")

    assert status == request.status


def test_another_ones_denial_rejects() -> None:
    """A denial by another administrator is the end (B8)."""
    request = play(required=2)
    request.approve("bob")
    request.deny("carol")

    assert "rejected" == request.status


@pytest.mark.parametrize("choice", ["approve", "deny"])
def test_who_is_no_administrator_decides_nothing(choice: str) -> None:
    """The role is looked at when the vote comes (B7)."""
    request = play()
    outcome = request.answer(
        "bob",
        choice,  # type: ignore[arg-type] # a decision's value
        standing=OUTSIDER,
    )

    assert (lifecycle.NOT_ADMINISTRATOR, "pending") == (outcome.refusal, request.status)


def test_what_was_decided_is_answered_again_without_the_role() -> None:
    """The answer of an earlier vote may have been lost."""
    request = play(required=2)
    request.approve("bob")
    outcome = request.answer("bob", "approve", standing=OUTSIDER)

    assert (None, "approve") == (outcome.refusal, outcome.repeated and outcome.repeated.choice)


@pytest.mark.parametrize(("name", "how"), [("alice", "cancelled"), ("carol", "rejected")])
def test_an_approval_may_be_taken_back(name: str, how: str) -> None:
    """By its requester, or by an administrator who has not voted; the status stays (B5, B8)."""
    request = play()
    request.approve("bob")
    outcome = request.answer(name, "deny")

    assert (how, (), None, "approved") == (
        outcome.withdraws,
        outcome.events,
        outcome.refusal,
        request.status,
    )


def test_who_approved_cannot_take_it_back() -> None:
    """Each person acts once (B6)."""
    request = play()
    request.approve("bob")
    outcome = request.answer("bob", "deny")

    assert ("already_decided", None) == (
        outcome.refusal and outcome.refusal.code,
        outcome.withdraws,
    )


@pytest.mark.parametrize("profile", ELSEWHERE)
def test_elsewhere_an_approval_is_the_end(profile: str) -> None:
    """A denial comes too late."""
    request = play(profile)
    request.approve("bob")
    outcome = request.answer("carol", "deny")

    assert (lifecycle.request_completed(Status.APPROVED), None) == (
        outcome.refusal,
        outcome.withdraws,
    )


def test_an_approval_after_the_approval_comes_too_late() -> None:
    """Only a denial changes anything then."""
    request = play()
    request.approve("bob")
    outcome = request.answer("carol", "approve")

    assert lifecycle.request_completed(Status.APPROVED) == outcome.refusal


@pytest.mark.parametrize("end", [Status.REJECTED, Status.CANCELLED, Status.TIMEOUT])
def test_only_an_approval_can_be_taken_back(end: Status) -> None:
    """What ended otherwise has ended."""
    request = play()
    request.state = replace(request.state, status=end, completed_at=NOW)
    outcome = request.answer("carol", "deny")

    assert (lifecycle.request_completed(end), None) == (outcome.refusal, outcome.withdraws)


@pytest.mark.parametrize(
    ("standing", "at", "code"),
    [
        (GOOD, NOW, None),
        (OUTSIDER, NOW, "forbidden"),
        (replace(GOOD, counter_fresh=False), NOW, "invalid_signature"),
        (GOOD, NOW - 301, "clock_skew"),
        (GOOD, NOW + 301, "clock_skew"),
    ],
    ids=["good", "outsider", "counter", "slow clock", "fast clock"],
)
def test_taking_back_is_judged_as_any_decision(
    standing: lifecycle.Standing, at: int, code: str | None
) -> None:
    """By clock, counter and role."""
    request = play()
    request.approve("bob")
    said = decision("carol", "deny", at=at)
    refused = lifecycle.admit_withdrawal(request.terms, request.state, said, standing, NOW)

    assert code == (None if refused is None else refused.code)
