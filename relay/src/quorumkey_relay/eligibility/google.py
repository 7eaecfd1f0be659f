"""Eligibility from Google Cloud: by Policy Analyzer, or by Cloud Asset Inventory.

Policy Analyzer answers who has what, groups inside groups unfolded, but cannot look into resource
conditions: bindings that have one are left out. Asset Inventory hands over the policies, which are
read here; then resource conditions count, but only direct members of groups, and groups that the
service account may not look up have none.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.eligibility.bindings import GROUP, USER, Bindings
from quorumkey_relay.eligibility.condition import read_condition
from quorumkey_relay.eligibility.google_rest import PROJECT
from quorumkey_relay.eligibility.policy import people_in

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey_relay.domain.jit.entitlement import ActivationType, EntitlementId, Listing
    from quorumkey_relay.eligibility.bindings import Binding
    from quorumkey_relay.eligibility.google_rest import Analysis, Analyzed, GoogleRest

_CONDITIONAL: Final = "CONDITIONAL"
_NOT_EVERYWHERE: Final = "Google did not look everywhere, so there may be more."


class PolicyAnalyzer:
    """Answers from the analysis of one person, or of one role."""

    def __init__(self, rest: GoogleRest) -> None:
        """Ask with these calls."""
        self._rest = rest

    async def projects(self, person: str) -> tuple[str, ...]:
        """Return the projects in which a person may activate something, sorted."""
        analysis = await self._rest.analyze(
            identitySelector_identity=f"{USER}{person}", options_expandResources="true"
        )
        found = {
            resource.full_resource_name.removeprefix(PROJECT)
            for one in analysis.analysis_results
            for resources in one.access_control_lists
            for resource in resources.resources
            if resource.full_resource_name.startswith(PROJECT)
        }
        mine = [f"{USER}{person}"]
        return tuple(sorted(one for one in found if _bindings(analysis, one, mine).is_any(mine)))

    async def listing(self, person: str, project: str) -> Listing:
        """Return what a person may activate in a project, and has for a while."""
        analysis, bindings = await self._of(person, project)
        found = bindings.listing([f"{USER}{person}"])
        if analysis.fully_explored:
            return found
        return replace(found, warnings=(*found.warnings, _NOT_EVERYWHERE))

    async def is_eligible(
        self, person: str, entitlement: EntitlementId, activation_type: ActivationType
    ) -> bool:
        """Say whether a binding lets a person activate this, alone or with peers."""
        _, bindings = await self._of(person, entitlement.project)
        return bindings.is_eligible([f"{USER}{person}"], entitlement, activation_type)

    async def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Return who may activate this with peers."""
        analysis = await self._rest.analyze(
            resourceSelector_fullResourceName=f"{PROJECT}{entitlement.project}",
            accessSelector_roles=entitlement.role,
            options_expandGroups="true",
        )
        bindings = _bindings(analysis, entitlement.project)
        return people_in(bindings.holders(entitlement), {})

    async def _of(self, person: str, project: str) -> tuple[Analysis, Bindings]:
        analysis = await self._rest.analyze(
            identitySelector_identity=f"{USER}{person}",
            resourceSelector_fullResourceName=f"{PROJECT}{project}",
        )
        return analysis, _bindings(analysis, project, [f"{USER}{person}"])


class AssetInventory:
    """Answers from the policies that count in a project, read anew for every answer."""

    def __init__(self, rest: GoogleRest) -> None:
        """Ask with these calls."""
        self._rest = rest

    async def projects(self, person: str) -> tuple[str, ...]:
        """Return the projects in which a person may activate something, sorted."""
        policies = await self._rest.policies(await self._rest.projects())
        every = [Bindings(project, found) for project, found in policies.items()]
        mine = await self._principals(person, every)
        return tuple(sorted(one.project for one in every if one.is_any(mine)))

    async def listing(self, person: str, project: str) -> Listing:
        """Return what a person may activate in a project, and has for a while."""
        bindings = await self._bindings(project)
        return bindings.listing(await self._principals(person, [bindings]))

    async def is_eligible(
        self, person: str, entitlement: EntitlementId, activation_type: ActivationType
    ) -> bool:
        """Say whether a binding lets a person activate this, alone or with peers."""
        bindings = await self._bindings(entitlement.project)
        mine = await self._principals(person, [bindings])
        return bindings.is_eligible(mine, entitlement, activation_type)

    async def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Return who may activate this with peers."""
        bindings = await self._bindings(entitlement.project)
        principals = bindings.holders(entitlement)
        groups = [one.removeprefix(GROUP) for one in principals if one.startswith(GROUP)]
        members = await asyncio.gather(*map(self._rest.members, groups))
        return people_in(principals, dict(zip(groups, members, strict=True)))

    async def _bindings(self, project: str) -> Bindings:
        policies = await self._rest.policies([project])
        return Bindings(project, policies.get(project, ()))

    async def _principals(self, person: str, every: Iterable[Bindings]) -> list[str]:
        """Return what a person is called in bindings; nobody is looked up without need."""
        mine = [f"{USER}{person}"]
        if any(bindings.groups for bindings in every):
            mine += [f"{GROUP}{group}" for group in await self._rest.groups_with(person)]
        return mine


def _bindings(
    analysis: Analysis, project: str, principals: Iterable[str] | None = None
) -> Bindings:
    """Return the bindings that count in a project.

    Each is one of ``principals``, or else of all to whom Google says that it belongs.
    """
    return Bindings(
        project,
        (_named(one, principals) for one in analysis.analysis_results if _counts(one, project)),
    )


def _named(one: Analyzed, principals: Iterable[str] | None) -> Binding:
    if principals is None:
        principals = (identity.name for identity in one.identity_list.identities)
    return replace(one.iam_binding, members=tuple(principals))


def _counts(one: Analyzed, project: str) -> bool:
    """Say whether a binding counts in a project; an eligible one only if nothing limits it."""
    values = [
        resources.condition_evaluation.evaluation_value
        for resources in one.access_control_lists
        if any(f"{PROJECT}{project}" == of.full_resource_name for of in resources.resources)
    ]
    condition = one.iam_binding.condition
    if condition is None or not values:
        return False
    try:
        marked = read_condition(condition.expression)
    except ConditionError:
        return True  # it makes nobody eligible, and is told of
    if marked.activation_type is None:
        return True
    return not marked.resource_condition and _CONDITIONAL in values
