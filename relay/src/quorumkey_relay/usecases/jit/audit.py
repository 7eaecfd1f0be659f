"""Who called what of just-in-time access, and what came of it: a line in the log for each call.

Refused and failed calls are logged as well. The reasons that people give are in these lines, as
they are what an audit asks for; tokens are not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeVar

from quorumkey.protocol import format_time
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.usecases.jit.ports import Person

T = TypeVar("T")

AuditCall = Literal[
    "api.listProjects",
    "api.listEligibleRoles",
    "api.listPeers",
    "api.requestRole",
    "api.activateRole",
    "api.getActivationRequest",
    "api.denyRequest",
    "api.withdrawRequest",
    "api.revokeActivation",
]

log = logs.get()


class Trail:
    """What is known of one call so far; a use case adds what it finds out."""

    def __init__(self, call: AuditCall, person: Person, **fields: str | list[str]) -> None:
        """Begin with who calls what."""
        self._call = call
        self._fields: dict[str, str | list[str]] = {"user": person.email, **fields}
        if person.device_id is not None:
            self._fields["device_id"] = person.device_id
        if person.access_levels:
            self._fields["access_levels"] = list(person.access_levels)

    def about(self, **fields: str | list[str]) -> None:
        """Add what the call is about."""
        self._fields.update(fields)

    def about_request(self, request: AccessRequest) -> None:
        """Add the request that the call is about."""
        self.about(
            access_request=request.id,
            beneficiary=request.beneficiary,
            project=request.entitlement.project,
            role=request.entitlement.role,
            justification=request.justification,
            reviewers=list(request.reviewers),
        )
        if request.window_from == "request":
            self.about(start=format_time(request.start), end=format_time(request.end))

    def about_activation(self, activation: Activation) -> None:
        """Add the activation that the call is about."""
        self.about(
            activation_id=activation.activation_id,
            beneficiary=activation.beneficiary,
            project=activation.entitlement.project,
            role=activation.entitlement.role,
            justification=activation.justification,
            start=format_time(activation.start),
            end=format_time(activation.end),
        )

    async def follow(self, answer: Awaitable[T | Refusal]) -> T | Refusal:
        """Return what the call answers, once it is logged; a call that raises is logged too."""
        outcome = "failed"
        try:
            answered = await answer
            outcome = "ok"
            if isinstance(answered, Refusal):
                outcome = "refused"
                self.about(code=answered.code)
        finally:
            tell = log.info if outcome == "ok" else log.warning
            tell(self._call, outcome=outcome, **self._fields)
        return answered
