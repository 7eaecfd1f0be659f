"""Ends other than by decision, lost devices, and folding events into states."""

from __future__ import annotations

import pytest
from tests.relay.domain.play import EXPIRES_AT, NOW, Play, device, terms

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import (
    Ballot,
    Counted,
    DeviceLost,
    Resolved,
    State,
    Status,
    WrongCode,
)

ENDS = [Status.APPROVED, Status.REJECTED, Status.TIMEOUT, Status.CANCELLED]


# Transitions


def test_pending_leads_to_every_end() -> None:
    """The table allows each end from pending and none from an end."""
    nothing: frozenset[Status] = frozenset()

    assert {Status.PENDING: frozenset(ENDS), **dict.fromkeys(ENDS, nothing)} == dict(
        lifecycle.TRANSITIONS
    )


@pytest.mark.parametrize("end", ENDS)
def test_pending_ends(end: Status) -> None:
    """A pending request takes each end, with its time."""
    after = lifecycle.apply(terms("alice"), State(), Resolved(end, NOW))

    assert State(version=1, status=end, completed_at=NOW) == after


@pytest.mark.parametrize("before", ENDS)
@pytest.mark.parametrize("after", [*ENDS, Status.PENDING])
def test_an_end_is_the_end(before: Status, after: Status) -> None:
    """A finished request cannot be given another status, not even its own again."""
    with pytest.raises(ValueError, match=f"a {before} request cannot become {after}"):
        lifecycle.apply(terms("alice"), State(status=before), Resolved(after, NOW))


def test_every_event_makes_a_new_version() -> None:
    """The version grows by one with each event."""
    agreed = terms("alice", "bob", required=2, match_code="42")
    state = State()
    versions: list[int] = []
    for event in (
        WrongCode(device("alice")),
        Counted(device("alice"), "approve"),
        DeviceLost(device("alice")),
        Resolved(Status.CANCELLED, NOW),
    ):
        state = lifecycle.apply(agreed, state, event)
        versions.append(state.version)

    assert [1, 2, 3, 4] == versions


# Time


def test_a_request_is_pending_until_it_expires() -> None:
    """A read one second before ``expires_at`` finds it pending."""
    assert Status.PENDING is lifecycle.status_at(terms("alice"), State(), EXPIRES_AT - 1)


def test_a_request_times_out_in_the_second_of_expiry() -> None:
    """A read at ``expires_at`` finds a timeout, dated at that second, unwritten as it is."""
    agreed = terms("alice")

    found = [
        (lifecycle.status_at(agreed, State(), now), lifecycle.completed_at(agreed, State(), now))
        for now in (EXPIRES_AT, EXPIRES_AT + 60)
    ]

    assert [(Status.TIMEOUT, EXPIRES_AT)] * 2 == found


def test_an_end_outlives_the_expiry() -> None:
    """What ended before ``expires_at`` is read as it ended."""
    agreed, state = terms("alice"), State(status=Status.CANCELLED, completed_at=NOW)

    assert (Status.CANCELLED, NOW) == (
        lifecycle.status_at(agreed, state, EXPIRES_AT),
        lifecycle.completed_at(agreed, state, EXPIRES_AT),
    )


def test_a_timeout_is_written_down_once_it_has_come() -> None:
    """Expiring gives the event at ``expires_at`` and not a second earlier."""
    agreed = terms("alice")

    assert () == lifecycle.expire(agreed, State(), EXPIRES_AT - 1)
    assert (Resolved(Status.TIMEOUT, EXPIRES_AT),) == lifecycle.expire(
        agreed, State(), EXPIRES_AT + 7
    )


@pytest.mark.parametrize("end", ENDS)
def test_a_finished_request_does_not_expire(end: Status) -> None:
    """Expiring what has ended does nothing."""
    assert () == lifecycle.expire(terms("alice"), State(status=end), EXPIRES_AT + 1)


# Cancelling


def test_a_pending_request_is_cancelled() -> None:
    """The integrator takes a pending request back."""
    outcome = lifecycle.cancel(terms("alice"), State(), NOW)

    assert lifecycle.Outcome(events=(Resolved(Status.CANCELLED, NOW),)) == outcome


def test_cancelling_again_answers_again() -> None:
    """A cancelled request is not refused and not changed."""
    state = State(status=Status.CANCELLED, completed_at=NOW)

    assert lifecycle.Outcome() == lifecycle.cancel(terms("alice"), state, NOW + 1)


@pytest.mark.parametrize("end", [Status.APPROVED, Status.REJECTED, Status.TIMEOUT])
def test_another_end_cannot_be_cancelled(end: Status) -> None:
    """What has ended otherwise refuses, with its status."""
    refusal = lifecycle.cancel(terms("alice"), State(status=end), NOW).refusal

    assert lifecycle.request_completed(end) == refusal


def test_an_unswept_timeout_cannot_be_cancelled() -> None:
    """From ``expires_at`` on, cancelling comes too late."""
    refusal = lifecycle.cancel(terms("alice"), State(), EXPIRES_AT).refusal

    assert lifecycle.request_completed(Status.TIMEOUT) == refusal


# Lost devices


def test_a_lost_devices_approval_goes_with_it() -> None:
    """The group is not satisfied any more, and the device counts as out."""
    play = Play(terms("alice", "bob", required=2))
    play.approve("alice")

    play.lose("alice")

    assert ((), {}, {device("alice")}) == (
        play.state.satisfied,
        dict(play.state.ballots),
        set(play.state.out),
    )


def test_another_approval_keeps_the_group_satisfied() -> None:
    """A group with a second approval stays satisfied, in the order of what is left."""
    play = Play(terms("alice bob", "carol", "dave", required=3))
    play.approve("alice", "carol", "bob")

    play.lose("alice")

    assert (1, 0) == play.state.satisfied


def test_a_lost_devices_denial_stands() -> None:
    """A denial is not voided."""
    play = Play(terms("alice", "bob", reject_policy="quorum_impossible"))
    play.deny("alice")

    play.lose("alice")

    assert {"alice": Ballot("deny", device("alice"))} == dict(play.state.ballots)


def test_a_voided_approval_never_approves() -> None:
    """The request is approved only by devices that are in good standing then."""
    play = Play(terms("alice", "bob", required=2))
    play.approve("alice")
    play.lose("alice")

    play.approve("bob")

    assert "pending" == play.status


def test_another_device_of_the_person_may_approve_instead() -> None:
    """With the approval goes the person's decision; their other device may decide."""
    play = Play(terms("alice alice/2", "bob", required=2))
    play.approve("alice")
    play.lose("alice")

    play.approve("alice/2", "bob")

    assert "approved" == play.status


def test_a_lost_device_can_make_the_quorum_impossible() -> None:
    """With ``quorum_impossible``, losing the last device of a group counts like a denial."""
    play = Play(terms("alice", "bob", required=2, reject_policy="quorum_impossible"))

    events = play.lose("alice")

    assert (DeviceLost(device("alice")), Resolved(Status.REJECTED, NOW)) == events


def test_losing_a_device_nobody_named_does_nothing() -> None:
    """A device that has no seat in the request changes nothing."""
    assert () == Play(terms("alice")).lose("mallory")


@pytest.mark.parametrize("now", [EXPIRES_AT, EXPIRES_AT + 1])
def test_losing_a_device_after_the_expiry_does_nothing(now: int) -> None:
    """A timed-out request is finished, written down or not."""
    assert () == Play(terms("alice")).lose("alice", now)


def test_losing_a_device_after_the_end_does_nothing() -> None:
    """Finished requests stay."""
    play = Play(terms("alice"))
    play.approve("alice")

    assert () == play.lose("alice")


def test_a_device_that_was_lost_cannot_approve_when_it_is_paired_again() -> None:
    """Who lost its standing counts as out of the requests that were open then."""
    play = Play(terms("alice bob"))
    play.lose("alice")

    outcome = play.answer("alice", "approve")

    assert lifecycle.Outcome(refusal=lifecycle.REVOKED) == outcome


def test_a_device_that_was_lost_may_deny_when_it_is_paired_again() -> None:
    """Being out takes the approval away, not the denial."""
    play = Play(terms("alice bob"))
    play.lose("alice")

    play.deny("alice")

    assert "rejected" == play.status


# Clocks


def test_a_clock_that_was_set_back_ends_no_request_before_it_was_made() -> None:
    """Otherwise no verifier would take the receipt."""
    play = Play(terms("alice"))

    play.answer("alice", "approve", now=NOW - 10)

    assert (Status.APPROVED, NOW) == (play.state.status, play.state.completed_at)
