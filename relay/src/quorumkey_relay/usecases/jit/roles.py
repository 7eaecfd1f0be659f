"""What a person may activate, and who may approve it for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.jit.eligible import SOURCE_UNAVAILABLE
from quorumkey_relay.usecases.jit.ports import SourceUnavailable
from quorumkey_relay.usecases.jit.rules import default_minutes, entitlement_of, max_minutes
from quorumkey_relay.usecases.jit.views import (
    EntitlementsView,
    EntitlementView,
    PeersView,
    PersonView,
    PolicyView,
    ProjectsView,
)

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.jit.entitlement import EntitlementId, Listing
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.audit import Trail
    from quorumkey_relay.usecases.jit.eligible import Eligible
    from quorumkey_relay.usecases.jit.ports import EligibilitySource, JitRules, Person


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRoles:
    """Everything that a person can find out: of themselves, never of others.

    A project that does not exist looks like one in which the person may activate nothing.
    """

    store: Store
    clock: Clock
    source: EligibilitySource
    eligible: Eligible
    rules: JitRules

    def policy(self, person: Person) -> PolicyView:
        """Return the rules that a page has to know (C29)."""
        rules = self.rules
        return PolicyView(
            justification_hint=rules.justification_hint,
            signed_in_user=PersonView(person.email),
            application_version=rules.version,
            default_activation_timeout=default_minutes(rules),
            max_activation_timeout=max_minutes(rules),
            approval=rules.approval,
            max_roles=rules.max_roles,
            min_reviewers=max(rules.min_reviewers, rules.required),
            max_reviewers=rules.max_reviewers,
            required=rules.required,
        )

    async def projects(self, person: Person) -> ProjectsView | Refusal:
        """Return the projects in which a person may activate something."""
        try:
            return ProjectsView(list(await self.source.projects(person.email)))
        except SourceUnavailable:
            return SOURCE_UNAVAILABLE

    async def roles(self, person: Person, project: str) -> EntitlementsView | Refusal:
        """Return what a person may activate in a project, and what of it is active (C30)."""
        try:
            listing = await self.source.listing(person.email, project)
        except SourceUnavailable:
            return SOURCE_UNAVAILABLE
        await self.store.settled()
        until = self._active_until(person.email, listing, self.clock.now())
        return EntitlementsView(
            entitlements=[
                EntitlementView(
                    id=str(one.id),
                    name=one.id.role,
                    resource_condition=one.id.condition or UNSET,
                    activation_type=one.activation_type,
                    status="ACTIVE" if one.id in until else "INACTIVE",
                    valid_until=until.get(one.id, UNSET),
                )
                for one in listing.entitlements
            ],
            warnings=list(listing.warnings),
        )

    def _active_until(self, person: str, listing: Listing, now: int) -> dict[EntitlementId, int]:
        """Return until when each role is active: by its policy, or as far as the relay knows."""
        ends = [(one.id, one.end) for one in listing.active if one.start <= now < one.end]
        ends += [
            (one.entitlement, one.end)
            for one in self.store.open_activations()
            if one.beneficiary == person and one.is_active_at(now)
        ]
        until: dict[EntitlementId, int] = {}
        for entitlement, end in ends:
            until[entitlement] = max(end, until.get(entitlement, end))
        return until

    async def peers(
        self, person: Person, project: str, entitlement_id: str, trail: Trail
    ) -> PeersView | Refusal:
        """Return who may approve a role for a person; only whoever may ask for it can (C13)."""
        entitlement = entitlement_of(entitlement_id, project)
        if isinstance(entitlement, Refusal):
            return entitlement
        trail.about(role=entitlement.role)
        refused = await self.eligible.with_peers((person.email,), entitlement)
        if refused is not None:
            return refused
        try:
            holders = await self.source.holders(entitlement)
        except SourceUnavailable:
            return SOURCE_UNAVAILABLE
        return PeersView([PersonView(one) for one in sorted(holders - {person.email})])
