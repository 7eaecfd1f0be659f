"""Any votes about a protected method's call, against a model that only counts people."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from hypothesis import given
from hypothesis import strategies as st
from tests.properties.requests import signed
from tests.relay.domain.play import GOOD, NOW, Play, device, person, terms

from quorumkey_relay.domain import lifecycle

REQUESTER = "alice"
GROUPS = ("alice/1 alice/2", "bob/1 bob/2", "carol/1", "dora/1")
NAMES = [name for group in GROUPS for name in group.split()]

Kind = Literal["approve", "deny", "lose"]
moves = st.lists(st.tuples(st.sampled_from(NAMES), st.sampled_from(["approve", "deny", "lose"])))


@dataclass
class Count:
    """Who has approved by which device; how it ended, and how the approval was taken back."""

    required: int
    approved: dict[str, str] = field(default_factory=dict[str, str])
    out: set[str] = field(default_factory=set[str])
    status: str = "pending"
    withdrawn: str | None = None

    def vote(self, name: str, kind: Kind) -> None:
        """Take one move in."""
        who = person(name)
        end = "cancelled" if who == REQUESTER else "rejected"
        if kind == "lose":
            if self.status == "pending":
                self.out.add(name)
                self.approved = {one: by for one, by in self.approved.items() if by != name}
        elif who in self.approved:
            pass  # each person acts once
        elif kind == "deny" and self.status == "pending":
            self.status = end
        elif kind == "deny" and self.status == "approved":
            self.withdrawn = self.withdrawn or end
        elif kind == "approve" and self.status == "pending" and name not in self.out:
            if who != REQUESTER:
                self.approved[who] = name
            if len(self.approved) >= self.required:
                self.status = "approved"


@given(required=st.integers(1, 3), history=moves)
def test_votes_are_counted_by_person(required: int, history: list[tuple[str, Kind]]) -> None:
    """The requester never counts; one denial ends it; a device that is lost takes its vote along.

    After the approval the first denial by somebody who has not voted takes it back, nothing else.
    """
    play = Play(terms(*GROUPS, required=required, requester=REQUESTER, profile="protected_method"))
    model = Count(required)
    withdrawn: str | None = None
    for name, kind in history:
        if kind == "lose":
            play.take(lifecycle.lose_device(play.terms, play.state, device(name), NOW))
        else:
            said = signed(name, kind, None)
            outcome = lifecycle.answer(play.terms, play.state, said, GOOD, NOW)
            play.take(outcome.events)
            withdrawn = withdrawn or outcome.withdraws
        model.vote(name, kind)

    assert (model.status, model.withdrawn, set(model.approved)) == (
        play.status,
        withdrawn,
        {who for who, ballot in play.state.ballots.items() if ballot.choice == "approve"},
    )
