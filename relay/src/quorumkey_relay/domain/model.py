"""What a request is made of: terms that never change, and a small state that does.

Shapes: a *seat* is one device's place in one group; a *voter* is who decides once, a person or
a device as ``distinct`` says (PROTOCOL §5 Tally). Times are whole seconds since the epoch.

What every decision makes is a struct: one costs a tenth of a dataclass, and as none of them can
be part of a cycle, the garbage collector need not look at the many that open requests hold.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from quorumkey_relay.domain.forms import FORMS

if TYPE_CHECKING:
    from quorumkey.protocol import RequestDocument
    from quorumkey_relay.domain.forms import Form

Choice = Literal["approve", "deny"]
RejectPolicy = Literal["any", "quorum_impossible"]
Distinct = Literal["person", "device"]


class Status(StrEnum):
    """Where a request stands; everything but ``pending`` is terminal."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"


class Seat(Struct, frozen=True, gc=False):
    """One device's place in a request."""

    fingerprint: str
    person: str
    group: int
    may_approve: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What was agreed when the request was made; never changes.

    ``groups`` are names in the caller's order; ``seats`` maps a fingerprint to its seat;
    ``match_code`` is what the person must type to approve, or None.
    """

    request_id: str
    integrator_id: str
    profile: str
    required: int
    reject_policy: RejectPolicy
    distinct: Distinct
    min_assurance: str
    groups: tuple[str, ...]
    seats: Mapping[str, Seat]
    digest: str
    created_at: int
    expires_at: int
    use_by: int
    match_code: str | None = field(default=None, repr=False)

    @property
    def form(self) -> Form:
        """Return the policy of the request's profile."""
        return FORMS[self.profile]

    def voter(self, fingerprint: str) -> str:
        """Return who decides when this device does: its person, or the device itself."""
        return self.seats[fingerprint].person if self.distinct == "person" else fingerprint

    def devices_of(self, voter: str) -> frozenset[str]:
        """Return the devices that speak for ``voter`` in this request."""
        if self.distinct == "device":
            return frozenset((voter,))
        return frozenset(seat.fingerprint for seat in self.seats.values() if seat.person == voter)


class Ballot(Struct, frozen=True, gc=False):
    """What a voter decided, and which device said so."""

    choice: Choice
    device: str


EMPTY: Mapping[str, Ballot] = MappingProxyType({})
NO_CODES: Mapping[str, int] = MappingProxyType({})


class State(Struct, frozen=True, gc=False, kw_only=True):
    """What has happened so far.

    ``ballots`` in the order they were counted; ``satisfied`` are indices into ``Terms.groups``
    in order of satisfaction; ``out`` are devices that can no longer approve; ``wrong_codes``
    counts a device's wrong match codes. ``version`` grows by one with every change.
    """

    version: int = 0
    status: Status = Status.PENDING
    completed_at: int | None = None
    ballots: Mapping[str, Ballot] = EMPTY
    satisfied: tuple[int, ...] = ()
    out: frozenset[str] = frozenset()
    wrong_codes: Mapping[str, int] = NO_CODES


# What can happen to a request. Each event is a fact; ``lifecycle.apply`` folds it into a state.


class Counted(Struct, frozen=True, gc=False):
    """A decision was counted."""

    device: str
    choice: Choice


class WrongCode(Struct, frozen=True, gc=False):
    """A device sent an approval without the right match code."""

    device: str


class DeviceLost(Struct, frozen=True, gc=False):
    """A device was revoked or unpaired: its approval no longer counts, its denial stands."""

    device: str


class Resolved(Struct, frozen=True, gc=False):
    """The request reached a terminal status at ``at``."""

    status: Status
    at: int


Event = Counted | WrongCode | DeviceLost | Resolved


def terms_of(
    document: RequestDocument, *, digest: str, persons: Mapping[str, str], match_code: str | None
) -> Terms:
    """Read the terms out of a request document.

    ``persons`` maps each named fingerprint to the approver id of its pairing; a device of the
    requester may deny but not approve.
    """
    policy = document.policy
    requester = document.requester.id if document.requester is not None else None
    seats = {
        approver.fingerprint: Seat(
            approver.fingerprint,
            persons[approver.fingerprint],
            index,
            persons[approver.fingerprint] != requester,
        )
        for index, group in enumerate(policy.groups)
        for approver in group.approvers
    }
    return Terms(
        request_id=document.request_id,
        integrator_id=document.integrator.id,
        profile=document.profile,
        required=policy.required,
        reject_policy=policy.reject_policy,
        distinct=policy.distinct,
        min_assurance=policy.min_assurance,
        groups=tuple(group.name for group in policy.groups),
        seats=seats,
        digest=digest,
        created_at=document.created_at,
        expires_at=document.expires_at,
        use_by=document.use_by,
        match_code=match_code,
    )
