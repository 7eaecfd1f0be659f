"""What a person may ask for: checked when they ask, and once more when somebody approves it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import UnsetType

from quorumkey.protocol import RoleActivation
from quorumkey_relay.conditions.whole_text import matches_whole
from quorumkey_relay.domain.jit.entitlement import EntitlementError, EntitlementId
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.email_address import email_address

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.usecases.jit.ports import JitRules

SECONDS_PER_MINUTE: Final = 60
MIN_DURATION_SECONDS: Final = 60
#: A justification is shorter than this.
JUSTIFICATION_CHARS: Final = 100
_DEFAULT_MINUTES: Final = 60

BENEFICIARY_REVIEWS = Refusal("invalid_request", "peers: The beneficiary cannot be a reviewer.")
DEVICES_DECIDE = Refusal(
    "failed_precondition",
    "Only paired devices approve roles by now, and this request was made before; make it again.",
)
NO_ADDRESS = Refusal("invalid_request", "peers: every peer is named by an e-mail address.")


def max_minutes(rules: JitRules) -> int:
    """Return the longest time that can be asked for, in minutes."""
    return rules.max_duration_seconds // SECONDS_PER_MINUTE


def default_minutes(rules: JitRules) -> int:
    """Return for how many minutes a role is activated where nobody says."""
    return min(_DEFAULT_MINUTES, max_minutes(rules))


def entitlement_of(text: str, project: str) -> EntitlementId | Refusal:
    """Read the id of an entitlement in ``project``."""
    try:
        entitlement = EntitlementId.parse(text)
    except EntitlementError as error:
        return Refusal("invalid_request", f"id: {error}")
    if entitlement.project != project:
        return Refusal("invalid_request", "id: this entitlement is not of the project asked for.")
    return entitlement


def justification_of(text: str, rules: JitRules) -> str | Refusal:
    """Return a justification without the space around it, or what it has to be."""
    justification = text.strip()
    if (
        not 0 < len(justification) < JUSTIFICATION_CHARS
        or not justification.isprintable()
        or not matches_whole(rules.justification_pattern, justification)
    ):
        return Refusal(
            "invalid_request",
            f"Justification does not meet criteria: {rules.justification_hint}",
        )
    return justification


def duration_of(minutes: int | UnsetType, rules: JitRules) -> int | Refusal:
    """Return the time asked for in seconds, or what it has to be."""
    given = default_minutes(rules) if isinstance(minutes, UnsetType) else minutes
    return _duration(given * SECONDS_PER_MINUTE, rules)


def _duration(seconds: int, rules: JitRules) -> int | Refusal:
    if not MIN_DURATION_SECONDS <= seconds <= rules.max_duration_seconds:
        return Refusal(
            "invalid_request",
            f"activationTimeout: between 1 and {max_minutes(rules)} minutes.",
        )
    return seconds


def reviewers_of(
    peers: Iterable[str], beneficiary: str, rules: JitRules
) -> tuple[str, ...] | Refusal:
    """Return each peer once, in order, or what is wrong with them."""
    reviewers: dict[str, None] = {}  # in order, and of any number in no time
    for text in peers:
        address = email_address(text)
        if address is None:
            return NO_ADDRESS
        if address == beneficiary:
            return BENEFICIARY_REVIEWS
        reviewers[address] = None
    return _enough(len(reviewers), rules) or tuple(reviewers)


def _enough(count: int, rules: JitRules) -> Refusal | None:
    least = max(rules.min_reviewers, rules.required)
    if not least <= count <= rules.max_reviewers:
        return Refusal(
            "invalid_request", f"peers: choose between {least} and {rules.max_reviewers} reviewers."
        )
    return None


def still_allowed(request: AccessRequest, rules: JitRules) -> Refusal | None:
    """Say why a request could not be made any more, by the settings as they are now.

    How many must approve was settled when it was made. Where devices decide by now, no click counts
    any more.
    """
    if request.approval == "click" and rules.approval == "device":
        return DEVICES_DECIDE
    justification = justification_of(request.justification, rules)
    if isinstance(justification, Refusal):
        return justification
    duration = _duration(request.duration_seconds, rules)
    if isinstance(duration, Refusal):
        return duration
    return _enough(len(request.reviewers), rules)


def shown_activation(request: AccessRequest) -> RoleActivation:
    """Return a request as its reviewers are shown it.

    Raises ``ProtocolError`` for text that nobody may be shown.
    """
    entitlement = request.entitlement
    return RoleActivation(
        beneficiary=request.beneficiary,
        project=entitlement.project,
        role=entitlement.role,
        justification=request.justification,
        duration_seconds=request.duration_seconds,
        condition=entitlement.condition,
        start=request.start if request.window_from == "request" else None,
    )
