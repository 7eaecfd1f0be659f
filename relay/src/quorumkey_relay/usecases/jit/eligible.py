"""Whether people are eligible now; who cannot find out refuses."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.jit.entitlement import Entitlement
from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.jit.ports import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey_relay.domain.jit.entitlement import EntitlementId
    from quorumkey_relay.usecases.jit.ports import EligibilitySource

SOURCE_UNAVAILABLE = Refusal(
    "backend_failed", "Who is eligible cannot be found out at the moment; try again later."
)


@dataclass(frozen=True, slots=True)
class Eligible:
    """Asks the source of eligibility, as seldom as will do: it may be a service far away."""

    source: EligibilitySource

    async def alone(
        self, person: str, project: str, entitlements: Iterable[EntitlementId]
    ) -> Refusal | None:
        """Refuse unless a person may activate each of these in a project alone."""
        try:
            listing = await self.source.listing(person, project)
        except SourceUnavailable:
            return SOURCE_UNAVAILABLE
        wanted = (Entitlement(one, "JIT") for one in entitlements)
        return None if set(listing.entitlements).issuperset(wanted) else FORBIDDEN

    async def with_peers(self, people: Iterable[str], entitlement: EntitlementId) -> Refusal | None:
        """Refuse unless each of these people may activate this with peers, or approve it."""
        try:
            for person in people:
                if not await self.source.is_eligible(person, entitlement, "MPA"):
                    return FORBIDDEN
        except SourceUnavailable:
            return SOURCE_UNAVAILABLE
        return None

    async def as_peers(
        self, reviewers: Iterable[str], entitlement: EntitlementId
    ) -> Refusal | None:
        """Refuse unless all of these are among those whom somebody can choose as reviewers."""
        try:
            holders = await self.source.holders(entitlement)
        except SourceUnavailable:
            return SOURCE_UNAVAILABLE
        return None if holders.issuperset(reviewers) else FORBIDDEN

    async def any_lost(self, people: Iterable[str], entitlement: EntitlementId) -> bool | Refusal:
        """Say whether one of these people cannot approve it any more; refused if unknown."""
        refused = await self.with_peers(people, entitlement)
        if refused is None:
            return False
        return True if refused is FORBIDDEN else refused
