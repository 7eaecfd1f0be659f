"""Small requests, played move by move, for tests of the lifecycle.

A device is called ``alice`` or ``alice/2``: what stands before the slash is its person.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from quorumkey.protocol import (
    Decision,
    Kind,
    PrivateKey,
    Verified,
    request_digest,
    sign,
    verify_statement,
)
from quorumkey_relay.domain import lifecycle
from quorumkey_relay.domain.model import Distinct, Event, RejectPolicy, Seat, State, Terms

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey_relay.domain.lifecycle import Outcome
    from quorumkey_relay.domain.model import Choice

NOW = 1_800_000_000
EXPIRES_AT = NOW + 300
DIGEST = request_digest(b"a request")
GOOD = lifecycle.Standing(paired=True, assured=True, counter_fresh=True, code_right=True)


@cache
def key(name: str) -> PrivateKey:
    """The key of a device."""
    del name
    return PrivateKey.generate()


def device(name: str) -> str:
    """The fingerprint of a device."""
    return key(name).public_key.fingerprint


def person(name: str) -> str:
    """Who holds a device."""
    return name.partition("/")[0]


def terms(  # noqa: PLR0913 - what a request can be asked with
    *groups: str,
    required: int = 1,
    reject_policy: RejectPolicy = "any",
    distinct: Distinct = "person",
    requester: str | None = None,
    match_code: str | None = None,
    profile: str = "approval",
) -> Terms:
    """The terms of a request; a group is the names of its devices, divided by spaces."""
    return Terms(
        request_id="0190a000-0000-7000-8000-0000000000aa",
        integrator_id="acme",
        profile=profile,
        required=required,
        reject_policy=reject_policy,
        distinct=distinct,
        min_assurance="none",
        groups=tuple(f"Group {number}" for number in range(len(groups))),
        seats={
            device(name): Seat(device(name), person(name), index, person(name) != requester)
            for index, names in enumerate(groups)
            for name in names.split()
        },
        digest=DIGEST,
        created_at=NOW,
        expires_at=EXPIRES_AT,
        use_by=EXPIRES_AT + 900,
        match_code=match_code,
    )


def decision(
    name: str, choice: Choice, *, at: int = NOW, code: str | None = None
) -> Verified[Decision]:
    """A device's decision, signed and verified."""
    said = Decision(
        request_digest=DIGEST, decision=choice, device=device(name), decided_at=at, code=code
    )
    envelope = sign(Kind.DECISION, said.encode(), key(name))
    return verify_statement(envelope, Decision, key=key(name).public_key)


class Play:
    """A request and what has become of it."""

    def __init__(self, agreed: Terms) -> None:
        self.terms = agreed
        self.state = State()

    def take(self, events: Iterable[Event]) -> None:
        """Fold events into the state."""
        for event in events:
            self.state = lifecycle.apply(self.terms, self.state, event)

    def answer(
        self,
        name: str,
        choice: Choice,
        *,
        standing: lifecycle.Standing = GOOD,
        now: int = NOW,
        code: str | None = None,
    ) -> Outcome:
        """A device decides now; what follows is taken in."""
        said = decision(name, choice, at=now, code=code)
        outcome = lifecycle.answer(self.terms, self.state, said, standing, now)
        self.take(outcome.events)
        return outcome

    def approve(self, *names: str) -> None:
        """Each device approves."""
        for name in names:
            assert self.answer(name, "approve").refusal is None

    def deny(self, *names: str) -> None:
        """Each device denies."""
        for name in names:
            assert self.answer(name, "deny").refusal is None

    def lose(self, name: str, now: int = NOW) -> tuple[Event, ...]:
        """A device loses its standing."""
        events = lifecycle.lose_device(self.terms, self.state, device(name), now)
        self.take(events)
        return events

    @property
    def status(self) -> str:
        """Where the request stands now."""
        return str(lifecycle.status_at(self.terms, self.state, NOW))
