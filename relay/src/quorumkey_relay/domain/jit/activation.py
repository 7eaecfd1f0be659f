"""One activation of a role: from the moment when it may be granted until it has ended.

::

    granting ─► active ─► ended
        │          └────► revoking ─► ended
        ├─► revoking
        └─► failed

``granting`` is tried again until the target says yes or no. ``revoking`` is tried again until the
target says that the role is taken back, however long that takes. An activation by a person alone
begins here; one that peers approved begins when an `AccessRequest` is approved.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from msgspec import Struct
from msgspec.structs import replace

from quorumkey_relay.domain.jit.entitlement import EntitlementId

if TYPE_CHECKING:
    from collections.abc import Mapping

ActivationState = Literal["granting", "active", "revoking", "ended", "failed"]
#: Its time was over, somebody revoked it, a newer activation of the role took its place, or the
#: target never said whether it had been granted.
EndReason = Literal["expired", "revoked", "replaced", "unconfirmed"]

NEXT: Final[Mapping[ActivationState, frozenset[ActivationState]]] = MappingProxyType(
    {
        "granting": frozenset({"active", "revoking", "failed", "ended"}),
        "active": frozenset({"active", "revoking", "ended"}),
        "revoking": frozenset({"ended"}),
        "ended": frozenset[ActivationState](),
        "failed": frozenset[ActivationState](),
    }
)


class Activation(Struct, frozen=True, kw_only=True):
    """A role that one person has, is about to have, or had for a while.

    ``start`` and ``end`` bound the time it lasts, ``end`` excluded. ``approvers`` are the peers
    who approved, in the order in which they did; empty where the person activated it alone.
    ``access_request`` is the id of what they approved, ``request_id`` that of the signed request,
    ``claim_id`` of the claim on it. ``executor`` names who grants it. ``attempts`` counts what was
    tried since the state was entered, and ``next_at`` is when to try again; ``fault`` says what
    went wrong last. ``version`` grows by one with every change. Times in seconds since the epoch.
    """

    activation_id: str
    integrator_id: str
    beneficiary: str
    entitlement: EntitlementId
    justification: str
    approvers: tuple[str, ...]
    executor: str
    start: int
    end: int
    created_at: int
    access_request: str | None = None
    request_id: str | None = None
    claim_id: str | None = None
    state: ActivationState = "granting"
    attempts: int = 0
    next_at: int = 0
    fault: str | None = None
    end_reason: EndReason | None = None
    revoked_by: str | None = None
    ended_at: int | None = None
    version: int = 0

    @property
    def is_open(self) -> bool:
        """Say whether something can still happen to it."""
        return bool(NEXT[self.state])

    @property
    def target(self) -> tuple[str, str, str, str]:
        """Return what a newer activation takes the place of: executor, project, role, person."""
        named = self.entitlement
        return self.executor, named.project, named.role, self.beneficiary

    def is_active_at(self, now: int) -> bool:
        """Say whether the person has the role at ``now``."""
        return self.state == "active" and self.start <= now < self.end


def changed(
    activation: Activation, state: ActivationState, **members: int | str | None
) -> Activation:
    """Return an activation that moves on to ``state``, with other members.

    Raises ``ValueError`` for a step that is none.
    """
    if state not in NEXT[activation.state] and state != activation.state:
        message = f"an activation that is {activation.state} cannot become {state}"
        raise ValueError(message)
    return replace(activation, state=state, version=activation.version + 1, **members)
