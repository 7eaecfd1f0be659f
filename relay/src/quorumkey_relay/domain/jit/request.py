"""Asking peers for a role: who asked, who may approve, and what they said so far.

With ``approval`` ``device`` the votes are those of the signed request whose id is ``request_id``;
with ``click`` they are kept here. How a request stands is computed, never stored twice.
"""

from __future__ import annotations

from typing import Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.domain.model import Choice, RejectPolicy, Status
from quorumkey_relay.domain.refusal import Refusal

ApprovalMode = Literal["click", "device"]
#: Whether the time that was asked for begins with the request, or with the last approval.
WindowFrom = Literal["request", "approval"]
#: Why an approved request was not granted: somebody lost what made them eligible, or it was late.
NotGranted = Literal["beneficiary_ineligible", "reviewer_ineligible", "window_over"]

ID_PREFIX: Final = "mpa-"
ID_RANDOM_BYTES: Final = 12


class Vote(Struct, frozen=True):
    """What one reviewer said, and when."""

    reviewer: str
    choice: Choice
    at: int


class AccessRequest(Struct, frozen=True, kw_only=True):
    """A person asks peers for a role; ``id`` is the ``jti`` of the token that leads to it.

    The time asked for is ``duration_seconds`` from ``start`` (or from the approval). Its token
    counts before ``expires_at``. ``request_id`` is that of the signed request, where devices
    decide. ``activation_id`` is what came of it. ``closed_at`` is when its end
    without an approval was told: denied, withdrawn or expired. Times in seconds since the epoch.
    """

    id: str
    integrator_id: str
    beneficiary: str
    entitlement: EntitlementId
    reviewers: tuple[str, ...]
    required: int
    reject_policy: RejectPolicy
    justification: str
    window_from: WindowFrom
    start: int
    duration_seconds: int
    created_at: int
    expires_at: int
    approval: ApprovalMode
    request_id: str | None = None
    votes: tuple[Vote, ...] = ()
    withdrawn_at: int | None = None
    closed_at: int | None = None
    not_granted: NotGranted | None = None
    activation_id: str | None = None
    version: int = 0

    @property
    def end(self) -> int:
        """Return the end of the time asked for, if it begins with the request."""
        return self.start + self.duration_seconds

    @property
    def decide_by(self) -> int:
        """Return when it can no longer be decided: an approval after its end would give nothing."""
        return min(self.expires_at, self.end) if self.window_from == "request" else self.expires_at

    @property
    def is_open(self) -> bool:
        """Say whether something can still come of it, as far as that is written down."""
        return (
            self.withdrawn_at is None
            and self.closed_at is None
            and self.not_granted is None
            and self.activation_id is None
        )

    @property
    def approvers(self) -> tuple[str, ...]:
        """Return who approved by a click, in order."""
        return tuple(vote.reviewer for vote in self.votes if vote.choice == "approve")

    def is_party(self, person: str) -> bool:
        """Say whether a person may see it: who asked, and who was asked."""
        return person == self.beneficiary or person in self.reviewers


def status_at(request: AccessRequest, signed: Status | None, now: int) -> Status:
    """Return how a request stands at ``now``; ``signed`` is the status of its signed request.

    What was told to be over stays so, also where the clock is set back.
    """
    is_closed = request.closed_at is not None
    if request.withdrawn_at is not None:
        return Status.CANCELLED
    if signed is not None:
        return Status.TIMEOUT if is_closed and signed is Status.PENDING else signed
    approved = len(request.approvers)
    if approved >= request.required:
        return Status.APPROVED
    denied = len(request.votes) - approved
    possible = len(request.reviewers) - denied
    if denied and (request.reject_policy == "any" or possible < request.required):
        return Status.REJECTED
    return Status.TIMEOUT if is_closed or now >= request.decide_by else Status.PENDING


def vote(request: AccessRequest, reviewer: str, choice: Choice, now: int) -> AccessRequest:
    """Return a request with one more vote; who may vote, and when, is judged before."""
    return replace(
        request,
        votes=(*request.votes, Vote(reviewer, choice, now)),
        version=request.version + 1,
    )


#: The one answer to whoever may not see, or do, something: it tells nothing about what is there.
FORBIDDEN: Final = Refusal(
    "forbidden", "You are not allowed to do this, or what you ask for does not exist."
)
