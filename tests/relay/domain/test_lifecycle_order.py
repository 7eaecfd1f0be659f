"""The order in which a decision is judged: steps (5) to (10) of the protocol's section 5."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from msgspec import structs
from tests.relay.domain.play import EXPIRES_AT, GOOD, NOW, Play, decision, device, terms

from quorumkey.protocol import Decision, Verified, format_time
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import Ballot, State, Status

CODE = "42"

# What can be wrong with a decision, in the order in which the protocol looks for it.
FAULTS = {
    "unpaired": "device_revoked",
    "decided": "already_decided",
    "finished": "request_completed",
    "skewed": "clock_skew",
    "stale": "invalid_signature",
    "requester": "requester_cannot_approve",
    "unassured": "insufficient_assurance",
    "miscoded": "wrong_code",
}


def judged(*faults: str) -> lifecycle.Outcome:
    """What becomes of an approval with these faults."""
    agreed = terms(
        "alice bob",
        requester="alice" if "requester" in faults else None,
        match_code=CODE,
        reject_policy="quorum_impossible",
    )
    state = State(
        status=Status.CANCELLED if "finished" in faults else Status.PENDING,
        ballots={"alice": Ballot("deny", device("alice"))} if "decided" in faults else {},
    )
    standing = lifecycle.Standing(
        paired="unpaired" not in faults,
        assured="unassured" not in faults,
        counter_fresh="stale" not in faults,
        code_right="miscoded" not in faults,
    )
    said = decision("alice", "approve", at=NOW - 301 if "skewed" in faults else NOW, code=CODE)
    return lifecycle.answer(agreed, state, said, standing, NOW)


@pytest.mark.parametrize(("fault", "code"), FAULTS.items())
def test_each_fault_has_its_code(fault: str, code: str) -> None:
    """A decision with one fault is refused with that fault's code."""
    refusal = judged(fault).refusal

    assert refusal is not None
    assert code == refusal.code


@pytest.mark.parametrize(("first", "second"), [*itertools.combinations(FAULTS, 2)])
def test_the_first_fault_answers(first: str, second: str) -> None:
    """Of two faults the one that the protocol looks for first is answered."""
    assert judged(first).refusal == judged(first, second).refusal


def test_a_decision_without_fault_is_counted() -> None:
    """Nothing wrong: the decision counts, and here it ends the request."""
    agreed = terms("alice", match_code=CODE)

    outcome = lifecycle.answer(agreed, State(), decision("alice", "approve", code=CODE), GOOD, NOW)

    assert None is outcome.refusal
    assert ["Counted", "Resolved"] == [type(event).__name__ for event in outcome.events]


def test_the_same_decision_again_gets_the_recorded_ballot() -> None:
    """Who decides the same once more is answered with what was recorded, and nothing happens."""
    play = Play(terms("alice", "bob", required=2))
    play.approve("alice")

    outcome = play.answer("alice", "approve")

    assert lifecycle.Outcome(repeated=Ballot("approve", device("alice"))) == outcome


def test_the_same_decision_again_is_recorded_after_the_end_too() -> None:
    """Having decided is looked at before the request's end and the device's clock."""
    play = Play(terms("alice"))
    play.approve("alice")

    outcome = play.answer("alice", "approve", now=EXPIRES_AT + 3_600)

    assert Ballot("approve", device("alice")) == outcome.repeated


def test_a_changed_mind_is_refused_with_what_was_decided() -> None:
    """A decision cannot be changed, and the refusal names the one that stands."""
    play = Play(terms("alice", "bob", required=2))
    play.approve("alice")

    refusal = play.answer("alice", "deny").refusal

    assert refusal is not None
    assert ("already_decided", {"decision": "approve"}) == (refusal.code, refusal.details)


@pytest.mark.parametrize("status", [Status.APPROVED, Status.REJECTED, Status.CANCELLED])
def test_a_decision_after_the_end_is_told_the_end(status: Status) -> None:
    """A finished request refuses with its status."""
    said = decision("alice", "approve")

    refusal = lifecycle.answer(terms("alice"), State(status=status), said, GOOD, NOW).refusal

    assert refusal is not None
    assert ("request_completed", {"status": status.value}) == (refusal.code, refusal.details)


def test_a_decision_in_the_second_of_expiry_is_late() -> None:
    """From ``expires_at`` on, a request that nobody has swept refuses as timed out."""
    refusal = Play(terms("alice")).answer("alice", "approve", now=EXPIRES_AT).refusal

    assert refusal is not None
    assert {"status": "timeout"} == refusal.details


def test_a_decision_in_the_last_second_counts() -> None:
    """A request is open while now is before ``expires_at``."""
    play = Play(terms("alice"))

    play.answer("alice", "approve", now=EXPIRES_AT - 1)

    assert Status.APPROVED is play.state.status


@pytest.mark.parametrize("off", [-300, 300])
def test_a_clock_may_be_five_minutes_off(off: int) -> None:
    """A decision dated 300 seconds from now counts."""
    agreed = dataclasses.replace(terms("alice"), expires_at=NOW + 900)

    outcome = lifecycle.answer(
        agreed, State(), decision("alice", "approve", at=NOW + off), GOOD, NOW
    )

    assert None is outcome.refusal


@pytest.mark.parametrize("off", [-301, 301])
def test_a_clock_further_off_is_told_the_time(off: int) -> None:
    """A decision dated 301 seconds from now is refused with the relay's time."""
    refusal = lifecycle.answer(
        terms("alice"), State(), decision("alice", "approve", at=NOW + off), GOOD, NOW
    ).refusal

    assert refusal is not None
    assert ("clock_skew", {"time": format_time(NOW)}) == (refusal.code, refusal.details)


def test_an_insufficient_device_is_named() -> None:
    """A device below the floor is refused, by fingerprint."""
    standing = structs.replace(GOOD, assured=False)

    refusal = Play(terms("alice")).answer("alice", "approve", standing=standing).refusal

    assert refusal is not None
    assert {"fingerprints": [device("alice")]} == refusal.details


def test_the_requester_may_deny() -> None:
    """Who asks for an action may stop it."""
    play = Play(terms("alice", "bob", requester="alice"))

    play.deny("alice")

    assert Status.REJECTED is play.state.status


def test_every_device_of_the_requester_is_barred() -> None:
    """Not only one device: whatever the requester holds cannot approve."""
    play = Play(terms("alice alice/2 bob", requester="alice", distinct="device"))

    refusals = [play.answer(name, "approve").refusal for name in ("alice", "alice/2")]

    assert [lifecycle.REQUESTER] * 2 == refusals


def test_only_the_kernel_makes_a_verified_decision() -> None:
    """The lifecycle takes ``Verified[Decision]``, which nothing but verification can construct."""
    said = decision("alice", "approve")

    with pytest.raises(TypeError, match="verify_statement"):
        Verified[Decision](said.statement, said.envelope, None, object())
