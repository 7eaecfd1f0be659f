"""The life of an approval request: pure functions from state and command to events.

Rules (PROTOCOL §5 Tally):

* A request is open while ``now < expires_at``; from then on it is ``timeout``, whether or not
  anybody has written that down.
* Any one approval satisfies a group; ``required`` satisfied groups approve the request.
* ``reject_policy`` says what a denial does: ``any`` ends the request, ``quorum_impossible``
  takes the voter out and ends it only when too few groups can still be won.
* Each voter decides once. What is terminal stays.
* Only devices in good standing carry an approval: one that is lost takes its approval along.

Where the forms of approval differ, a rule reads the request's `Form`: a denial by the requester may
take the request back, and an approval may be taken back by a denial while nobody has acted on it.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from quorumkey.protocol import format_time, limits, quorum
from quorumkey_relay.domain.model import (
    Ballot,
    Counted,
    DeviceLost,
    Event,
    Resolved,
    State,
    Status,
    Terms,
    WrongCode,
)
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from quorumkey.protocol import Decision, Verified

TRANSITIONS: Mapping[Status, frozenset[Status]] = MappingProxyType(
    {
        Status.PENDING: frozenset(
            {Status.APPROVED, Status.REJECTED, Status.TIMEOUT, Status.CANCELLED}
        ),
        Status.APPROVED: frozenset(),
        Status.REJECTED: frozenset(),
        Status.TIMEOUT: frozenset(),
        Status.CANCELLED: frozenset(),
    }
)


class Standing(Struct, frozen=True, gc=False, kw_only=True):
    """What the relay knows of the deciding device at this moment.

    ``paired``: paired with the request's integrator and not revoked. ``assured``: its level
    admits the request's floor. ``counter_fresh``: a passkey's counter moved on (true for native
    keys). ``code_right``: the decision carries the request's match code. ``may_vote``: its person
    is among those who may vote at all.
    """

    paired: bool
    assured: bool
    counter_fresh: bool
    code_right: bool
    may_vote: bool = True


class Outcome(Struct, frozen=True, gc=False):
    """What a command leads to: events to apply, and what to answer.

    ``refusal`` may come with events: a wrong match code is refused and counted. ``repeated`` is
    the ballot that was recorded earlier for the same decision. ``withdraws`` says how a denial
    ends an approval, if nobody has acted on that yet and `admit_withdrawal` has no objection.
    """

    events: tuple[Event, ...] = ()
    refusal: Refusal | None = None
    repeated: Ballot | None = None
    withdraws: Literal["cancelled", "rejected"] | None = None


def status_at(terms: Terms, state: State, now: int) -> Status:
    """Return the status that a read at ``now`` must report."""
    if state.status is Status.PENDING and now >= terms.expires_at:
        return Status.TIMEOUT
    return state.status


def completed_at(terms: Terms, state: State, now: int) -> int | None:
    """Return when the request ended, as a read at ``now`` must report it."""
    if state.status is Status.PENDING and now >= terms.expires_at:
        return terms.expires_at
    return state.completed_at


def answer(  # noqa: PLR0911 - one return a numbered step
    terms: Terms, state: State, decision: Verified[Decision], standing: Standing, now: int
) -> Outcome:
    """Judge a verified decision; steps (5) to (10) of PROTOCOL §5."""
    said = decision.statement
    device = said.device
    now = _not_before(terms, now)
    # (5) good standing
    if not standing.paired:
        return Outcome(refusal=REVOKED)
    # (6) decided before
    ballot = state.ballots.get(terms.voter(device))
    if ballot is not None:
        if ballot.choice == said.decision:
            return Outcome(repeated=ballot)
        return Outcome(refusal=_already_decided(ballot))
    # (7) finished
    status = status_at(terms, state, now)
    if status is not Status.PENDING:
        if status is Status.APPROVED and said.decision == "deny" and terms.form.withdrawable:
            return Outcome(withdraws="cancelled" if _cancels(terms, device) else "rejected")
        return Outcome(refusal=request_completed(status))
    # (8) clock
    if abs(said.decided_at - now) > limits.CLOCK_SKEW_SECONDS:
        return Outcome(refusal=_clock_skew(now))
    # (9) counter, requester, assurance, match code
    refused = _admission(terms, state, said, standing, now)
    if refused is not None:
        return refused
    # (10) counted
    return Outcome(events=_count(terms, state, device, said, now))


def admit_withdrawal(
    terms: Terms, state: State, decision: Verified[Decision], standing: Standing, now: int
) -> Refusal | None:
    """Judge a denial of what is approved already; steps (8) and (9) of PROTOCOL §5."""
    if abs(decision.statement.decided_at - now) > limits.CLOCK_SKEW_SECONDS:
        return _clock_skew(now)
    refused = _admission(terms, state, decision.statement, standing, now)
    return None if refused is None else refused.refusal


def _cancels(terms: Terms, device: str) -> bool:
    """Say whether a denial by this device takes the request back: it is the requester's own."""
    return terms.form.requester_denial == "cancels" and not terms.seats[device].may_approve


def _not_before(terms: Terms, now: int) -> int:
    """Return ``now``, or when the request was made where the clock was set back since.

    A request ends no earlier than it was made: verifiers refuse any other receipt (§8 step 5).
    """
    return max(now, terms.created_at)


def _admission(  # noqa: PLR0911 - one return a check of step (9)
    terms: Terms, state: State, said: Decision, standing: Standing, now: int
) -> Outcome | None:
    device = said.device
    if not standing.counter_fresh:
        return Outcome(refusal=STALE_COUNTER)
    if not standing.may_vote:
        return Outcome(refusal=NOT_ADMINISTRATOR)
    if said.decision == "approve" and not terms.seats[device].may_approve:
        return Outcome(refusal=REQUESTER)
    if not standing.assured:
        return Outcome(refusal=_insufficient(terms, device))
    tries = state.wrong_codes.get(device, 0)
    if said.decision == "approve" and device in state.out and tries < limits.MATCH_CODE_ATTEMPTS:
        # It was unpaired since the request was made, and paired again: it stays out (§5 Tally).
        return Outcome(refusal=REVOKED)
    if terms.match_code is None:
        return Outcome(refusal=CODE_UNASKED) if said.code is not None else None
    if said.decision == "deny":
        return None
    if tries >= limits.MATCH_CODE_ATTEMPTS:
        return Outcome(refusal=_wrong_code(0))
    if standing.code_right:
        return None
    return Outcome(
        events=_with_resolution(terms, state, WrongCode(device), now),
        refusal=_wrong_code(limits.MATCH_CODE_ATTEMPTS - tries - 1),
    )


def _count(terms: Terms, state: State, device: str, said: Decision, now: int) -> tuple[Event, ...]:
    counted = Counted(device, said.decision)
    if said.decision == "deny" and _cancels(terms, device):
        return (counted, Resolved(Status.CANCELLED, now))
    if said.decision == "deny" and terms.reject_policy == "any":
        return (counted, Resolved(Status.REJECTED, now))
    return _with_resolution(terms, state, counted, now)


def _with_resolution(terms: Terms, state: State, event: Event, now: int) -> tuple[Event, ...]:
    after = apply(terms, state, event)
    if len(after.satisfied) >= terms.required:
        return (event, Resolved(Status.APPROVED, now))
    if is_impossible(terms, after):
        return (event, Resolved(Status.REJECTED, now))
    return (event,)


def is_impossible(terms: Terms, state: State) -> bool:
    """Say whether too few groups can still be won, where the policy asks for that."""
    if terms.reject_policy != "quorum_impossible":
        return False
    groups: list[list[str]] = [[] for _ in terms.groups]
    barred = set(state.out)
    for seat in terms.seats.values():
        groups[seat.group].append(seat.fingerprint)
        if not seat.may_approve:
            barred.add(seat.fingerprint)
    return quorum.is_impossible(
        required=terms.required, groups=groups, satisfied=state.satisfied, out=barred
    )


def lose_device(terms: Terms, state: State, device: str, now: int) -> tuple[Event, ...]:
    """Return what follows when ``device`` was revoked or unpaired; nothing once finished."""
    if status_at(terms, state, now) is not Status.PENDING or device not in terms.seats:
        return ()
    return _with_resolution(terms, state, DeviceLost(device), _not_before(terms, now))


def lose_devices(terms: Terms, state: State, devices: Iterable[str], now: int) -> tuple[Event, ...]:
    """Return what follows when several devices were revoked or unpaired, one after the other."""
    events: list[Event] = []
    for device in devices:
        for event in lose_device(terms, state, device, now):
            events.append(event)
            state = apply(terms, state, event)
    return tuple(events)


def cancel(terms: Terms, state: State, now: int) -> Outcome:
    """Cancel for the integrator; a cancelled request answers again, any other end refuses."""
    status = status_at(terms, state, now)
    if status is Status.PENDING:
        return Outcome(events=(Resolved(Status.CANCELLED, _not_before(terms, now)),))
    if status is Status.CANCELLED:
        return Outcome()
    return Outcome(refusal=request_completed(status))


def expire(terms: Terms, state: State, now: int) -> tuple[Event, ...]:
    """Write down a timeout that has come; it is dated at ``expires_at`` (PROTOCOL §8)."""
    if state.status is Status.PENDING and now >= terms.expires_at:
        return (Resolved(Status.TIMEOUT, terms.expires_at),)
    return ()


def apply(terms: Terms, state: State, event: Event) -> State:
    """Fold one event into the state; the only way a state changes."""
    version = state.version + 1
    match event:
        case Counted(device=device, choice=choice):
            voter = terms.voter(device)
            ballots = {**state.ballots, voter: Ballot(choice, device)}
            if choice == "deny":
                out = state.out | terms.devices_of(voter)
                return replace(state, version=version, ballots=ballots, out=out)
            group = terms.seats[device].group
            satisfied = state.satisfied
            if group not in satisfied:
                satisfied = (*satisfied, group)
            return replace(state, version=version, ballots=ballots, satisfied=satisfied)
        case WrongCode(device=device):
            tries = state.wrong_codes.get(device, 0) + 1
            out = state.out | {device} if tries >= limits.MATCH_CODE_ATTEMPTS else state.out
            codes = {**state.wrong_codes, device: tries}
            return replace(state, version=version, wrong_codes=codes, out=out)
        case DeviceLost(device=device):
            return _without(terms, state, device, version)
        case Resolved(status=status, at=at):
            if status not in TRANSITIONS[state.status]:
                message = f"a {state.status} request cannot become {status}"
                raise ValueError(message)
            return replace(state, version=version, status=status, completed_at=at)


def _without(terms: Terms, state: State, device: str, version: int) -> State:
    ballots = {
        voter: ballot
        for voter, ballot in state.ballots.items()
        if ballot.device != device or ballot.choice == "deny"
    }
    groups: list[list[str]] = [[] for _ in terms.groups]
    for seat in terms.seats.values():
        groups[seat.group].append(seat.fingerprint)
    satisfied = quorum.satisfied_groups(
        groups, [ballot.device for ballot in ballots.values() if ballot.choice == "approve"]
    )
    return replace(
        state, version=version, ballots=ballots, satisfied=satisfied, out=state.out | {device}
    )


REVOKED = Refusal(
    "device_revoked", "This device is revoked or no longer paired; pair it again with a new code."
)
STALE_COUNTER = Refusal(
    "invalid_signature", "The passkey's signature counter did not move on; it may be a copy."
)
NOT_ADMINISTRATOR = Refusal(
    "forbidden", "Only administrators decide about calls of protected methods."
)
REQUESTER = Refusal(
    "requester_cannot_approve", "Who asks for an action may deny it but not approve it."
)
CODE_UNASKED = Refusal(
    "invalid_request", "code: this request has no match code, so a decision carries none."
)


def request_completed(status: Status) -> Refusal:
    """Return the refusal of a command that comes after the end."""
    return Refusal(
        "request_completed", f"This request is finished: {status}.", {"status": str(status)}
    )


def _already_decided(ballot: Ballot) -> Refusal:
    return Refusal(
        "already_decided",
        f"This approver has already decided: {ballot.choice}. A decision cannot be changed.",
        {"decision": ballot.choice},
    )


def _clock_skew(now: int) -> Refusal:
    return Refusal(
        "clock_skew",
        "The device's clock is more than 5 minutes off; set it and sign again.",
        {"time": format_time(now)},
    )


def _insufficient(terms: Terms, device: str) -> Refusal:
    return Refusal(
        "insufficient_assurance",
        f"This request needs devices of assurance {terms.min_assurance} or better.",
        {"fingerprints": [device]},
    )


def _wrong_code(left: int) -> Refusal:
    message = (
        f"The match code is missing or wrong; tries left on this device: {left}."
        if left
        else "The match code was wrong three times; this device can no longer approve the request."
    )
    return Refusal("wrong_code", message, {"attempts_left": left})
