"""Strategies: any small request, and anything that can happen to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from hypothesis import strategies as st
from tests.relay.domain.play import GOOD, NOW, Play, decision, device, person, terms

from quorumkey_relay.domain import lifecycle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey.protocol import Decision, Verified
    from quorumkey_relay.domain.model import Choice, Distinct, Event, RejectPolicy

CODE = "42"
WRONG = "41"
MAX_GROUPS = 4
MAX_DEVICES_A_GROUP = 3


@dataclass(frozen=True)
class Rules:
    """A request; a group is the names of its devices, divided by spaces."""

    groups: tuple[str, ...]
    required: int
    reject_policy: RejectPolicy
    distinct: Distinct
    requester: str | None
    match_code: str | None

    @property
    def names(self) -> list[str]:
        """Every device."""
        return [name for group in self.groups for name in group.split()]

    def play(self) -> Play:
        """The request, before anything has happened."""
        return Play(
            terms(
                *self.groups,
                required=self.required,
                reject_policy=self.reject_policy,
                distinct=self.distinct,
                requester=self.requester,
                match_code=self.match_code,
            )
        )


@dataclass(frozen=True)
class Move:
    """A device approves, denies or is lost, or the integrator cancels, or time is over."""

    kind: Literal["approve", "deny", "miscode", "lose", "cancel", "expire"]
    name: str

    @property
    def choice(self) -> Choice:
        """What the device decides."""
        return "deny" if self.kind == "deny" else "approve"


@st.composite
def rules(draw: st.DrawFn) -> Rules:
    """Any small request that could have been made."""
    distinct: Distinct = draw(st.sampled_from(["person", "device"]))
    sizes = draw(st.lists(st.integers(1, MAX_DEVICES_A_GROUP), min_size=1, max_size=MAX_GROUPS))
    groups: list[str] = []
    count = 0
    for index, size in enumerate(sizes):
        # With distinct persons, a person stays within a group; else anywhere.
        prefix = f"g{index}" if distinct == "person" else "p"
        names: list[str] = []
        for _ in range(size):
            names.append(f"{prefix}{draw(st.integers(0, 1))}/{count}")
            count += 1
        groups.append(" ".join(names))
    people = sorted({person(name) for group in groups for name in group.split()})
    requester = draw(st.none() | st.sampled_from(people))
    countable = sum(any(person(name) != requester for name in group.split()) for group in groups)
    if countable == 0:
        requester, countable = None, len(groups)
    return Rules(
        groups=tuple(groups),
        required=draw(st.integers(1, countable)),
        reject_policy=draw(st.sampled_from(["any", "quorum_impossible"])),
        distinct=distinct,
        requester=requester,
        match_code=draw(st.sampled_from([None, CODE])),
    )


@st.composite
def histories(
    draw: st.DrawFn, *, kinds: Sequence[str] = ("approve", "deny", "miscode", "lose")
) -> tuple[Rules, list[Move]]:
    """A request and what happens to it, one thing after the other."""
    request = draw(rules())
    move = st.builds(Move, kind=st.sampled_from(kinds), name=st.sampled_from(request.names))
    return request, draw(st.lists(move, max_size=12))


@cache
def signed(name: str, choice: Choice, code: str | None) -> Verified[Decision]:
    """A device's decision, signed once."""
    return decision(name, choice, code=code)


def judged(request: Rules, play: Play, move: Move) -> lifecycle.Outcome:
    """What a decision leads to; nothing is taken in."""
    code = None
    if request.match_code is not None and move.choice == "approve":
        code = WRONG if move.kind == "miscode" else CODE
    standing = lifecycle.Standing(
        paired=True,
        assured=True,
        counter_fresh=True,
        code_right=request.match_code is None or code == CODE,
    )
    said = signed(move.name, move.choice, code)
    return lifecycle.answer(play.terms, play.state, said, standing, NOW)


def follow(request: Rules, play: Play, move: Move) -> tuple[Event, ...]:
    """What a move leads to; nothing is taken in."""
    if move.kind == "lose":
        return lifecycle.lose_device(play.terms, play.state, device(move.name), NOW)
    if move.kind == "cancel":
        return lifecycle.cancel(play.terms, play.state, NOW).events
    if move.kind == "expire":
        return lifecycle.expire(play.terms, play.state, play.terms.expires_at)
    return judged(request, play, move).events


__all__ = ["CODE", "GOOD", "WRONG", "Move", "Rules", "follow", "histories", "judged", "rules"]
