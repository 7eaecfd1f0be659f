"""Whether people are eligible now; who cannot find out refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.jit.ports import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey_relay.domain.jit.entitlement import ActivationType, EntitlementId
    from quorumkey_relay.usecases.jit.ports import EligibilitySource

SOURCE_UNAVAILABLE = Refusal(
    "backend_failed", "Who is eligible cannot be found out at the moment; try again later."
)


@dataclass(frozen=True, slots=True)
class Eligible:
    """Asks the source of eligibility."""

    source: EligibilitySource

    async def refused(
        self, people: Iterable[str], entitlement: EntitlementId, activation_type: ActivationType
    ) -> Refusal | None:
        """Refuse unless each of these people is eligible for one entitlement."""
        try:
            for person in people:
                if not await self.source.is_eligible(person, entitlement, activation_type):
                    return FORBIDDEN
        except SourceUnavailable:
            return SOURCE_UNAVAILABLE
        return None

    async def any_lost(self, people: Iterable[str], entitlement: EntitlementId) -> bool | Refusal:
        """Say whether one of these people cannot approve it any more; refused if unknown."""
        refused = await self.refused(people, entitlement, "MPA")
        if refused is None:
            return False
        return True if refused is FORBIDDEN else refused
