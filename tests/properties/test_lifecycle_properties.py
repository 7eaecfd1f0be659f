"""What holds of every request, whatever happens to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from tests.properties.requests import Move, Rules, follow, histories, judged
from tests.relay.domain.play import NOW, Play, device, person

from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import Counted, Resolved, Status

if TYPE_CHECKING:
    from quorumkey_relay.domain.model import Event

EVERYTHING = ("approve", "deny", "miscode", "lose", "cancel", "expire")


@given(histories(kinds=("approve", "deny", "miscode")))
def test_a_quorum_is_monotone(history: tuple[Rules, list[Move]]) -> None:
    """No decision takes a satisfied group away, and their order stays."""
    request, moves = history
    play = request.play()
    for move in moves:
        before = play.state.satisfied
        play.take(follow(request, play, move))

        assert before == play.state.satisfied[: len(before)]


@given(histories(kinds=EVERYTHING))
def test_terminal_states_stay(history: tuple[Rules, list[Move]]) -> None:
    """Once a request has ended, nothing leads to any event."""
    request, moves = history
    play = request.play()
    for move in moves:
        ended = play.state.status is not Status.PENDING
        events = follow(request, play, move)

        assert not (ended and events)
        play.take(events)


@given(histories(kinds=EVERYTHING))
def test_every_sequence_of_events_applies(history: tuple[Rules, list[Move]]) -> None:
    """What a decision leads to can be folded in, each event a version, the end last and once."""
    request, moves = history
    play = request.play()
    happened: list[Event] = []
    for move in moves:
        events = follow(request, play, move)
        play.take(events)
        happened += events

    ends = [number for number, event in enumerate(happened) if isinstance(event, Resolved)]
    assert len(happened) == play.state.version
    assert ends in ([], [len(happened) - 1])
    assert bool(ends) == (play.state.status is not Status.PENDING)


@given(histories(kinds=EVERYTHING))
def test_each_voter_is_counted_once(history: tuple[Rules, list[Move]]) -> None:
    """Between two losses of its devices, a voter has one ballot at most."""
    request, moves = history
    play = request.play()
    for move in moves:
        voters = set(play.state.ballots)
        for event in follow(request, play, move):
            if isinstance(event, Counted):
                assert play.terms.voter(event.device) not in voters
            play.take((event,))


@given(histories(kinds=EVERYTHING))
def test_satisfied_groups_are_those_with_an_approval(history: tuple[Rules, list[Move]]) -> None:
    """At every moment: a group is satisfied when a ballot of one of its devices approves it."""
    request, moves = history
    play = request.play()
    for move in moves:
        play.take(follow(request, play, move))

        approved = {
            play.terms.seats[ballot.device].group
            for ballot in play.state.ballots.values()
            if ballot.choice == "approve"
        }
        assert approved == set(play.state.satisfied)
        assert len(approved) == len(play.state.satisfied)


@given(histories(kinds=("approve", "deny", "miscode", "lose")))
def test_the_status_is_what_the_rules_say(history: tuple[Rules, list[Move]]) -> None:
    """Approved with enough groups, rejected as the policy says, else pending: told otherwise."""
    request, moves = history
    play = request.play()
    tally = Tally(request)
    for move in moves:
        tally.hear(play, move)
        play.take(follow(request, play, move))

        assert tally.status() == play.state.status


class Tally:
    """The rules of section 5 counted in another way: from who can still say what."""

    def __init__(self, request: Rules) -> None:
        self.request = request
        self.approved: set[str] = set()
        self.denied: set[str] = set()
        self.lost: set[str] = set()
        self.wrong: dict[str, int] = {}
        self.end: Status | None = None

    def voter(self, name: str) -> str:
        """Who decides with this device."""
        return person(name) if self.request.distinct == "person" else name

    def silenced(self, name: str) -> bool:
        """Whether a device cannot approve any more."""
        return (
            name in self.lost
            or self.wrong.get(name, 0) >= 3
            or self.voter(name) in {self.voter(one) for one in self.denied}
            or person(name) == self.request.requester
        )

    def hear(self, play: Play, move: Move) -> None:
        """Take in a move that the lifecycle accepts."""
        del play
        name, voter = move.name, self.voter(move.name)
        decided = {self.voter(one) for one in self.approved | self.denied}
        if self.end is not None:
            return
        if move.kind == "lose":
            self.lost.add(name)
            self.approved.discard(name)
        elif voter in decided:
            return
        elif move.kind == "deny":
            self.denied.add(name)
        elif self.silenced(name):
            return
        elif move.kind == "miscode" and self.request.match_code is not None:
            self.wrong[name] = self.wrong.get(name, 0) + 1
        else:
            self.approved.add(name)
        self.end = self.reached()

    def reached(self) -> Status | None:
        """The end that the moves so far lead to."""
        groups = [group.split() for group in self.request.groups]
        satisfied = [group for group in groups if self.approved & set(group)]
        if len(satisfied) >= self.request.required:
            return Status.APPROVED
        if self.request.reject_policy == "any":
            return Status.REJECTED if self.denied else None
        winnable = [
            group
            for group in groups
            if group in satisfied or not all(self.silenced(name) for name in group)
        ]
        return Status.REJECTED if len(winnable) < self.request.required else None

    def status(self) -> Status:
        """The status that the moves so far lead to."""
        return self.end or Status.PENDING


@given(histories(kinds=EVERYTHING))
def test_a_refusal_says_the_same_again(history: tuple[Rules, list[Move]]) -> None:
    """Judging is a pure function: asked twice, it answers alike and changes nothing."""
    request, moves = history
    play = request.play()
    for move in moves:
        if move.kind in {"approve", "deny", "miscode"}:
            before = play.state

            assert judged(request, play, move) == judged(request, play, move)
            assert before is play.state
        play.take(follow(request, play, move))


@given(histories(kinds=("approve", "deny", "miscode", "lose")))
def test_nobody_lost_carries_an_approval(history: tuple[Rules, list[Move]]) -> None:
    """An approved request rests on devices that were not lost before."""
    request, moves = history
    play = request.play()
    lost: set[str] = set()
    for move in moves:
        if move.kind == "lose" and play.state.status is Status.PENDING:
            lost.add(device(move.name))
        play.take(follow(request, play, move))

    carrying = {one.device for one in play.state.ballots.values() if one.choice == "approve"}
    assert not carrying & lost
    assert lifecycle.status_at(play.terms, play.state, NOW) is play.state.status
