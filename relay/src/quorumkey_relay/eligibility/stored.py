"""Eligibility from the policies that an API key of scope admin has put into the relay."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Protocol
from weakref import WeakValueDictionary

from quorumkey_relay.eligibility.bindings import Bindings
from quorumkey_relay.eligibility.policy import Policies, PolicyError, groups_of, read_policy
from quorumkey_relay.usecases.jit.ports import SourceUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.domain.jit.entitlement import ActivationType, EntitlementId, Listing
    from quorumkey_relay.domain.jit.policy import StoredPolicy


class PolicyStore(Protocol):
    """What the source needs of the store."""

    def policies(self, integrator_id: str) -> Mapping[str, StoredPolicy]:
        """Return the policies that were handed to the relay, by project; the newest state."""
        ...


class StoredPolicySource:
    """Each policy is read once for every edition of it."""

    def __init__(self, store: PolicyStore, integrator_id: str) -> None:
        """Answer from one integrator's policies."""
        self._store = store
        self._integrator_id = integrator_id
        self._read: dict[str, tuple[StoredPolicy, Policies]] = {}
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def projects(self, person: str) -> tuple[str, ...]:
        """Return the projects in which a person may activate something, sorted."""
        found: list[str] = []
        for project in tuple(self._store.policies(self._integrator_id)):  # it may change meanwhile
            found += (await self._policies(project)).projects(person)
        return tuple(sorted(found))

    async def listing(self, person: str, project: str) -> Listing:
        """Return what a person may activate in a project, and has for a while."""
        return (await self._policies(project)).listing(person, project)

    async def is_eligible(
        self, person: str, entitlement: EntitlementId, activation_type: ActivationType
    ) -> bool:
        """Say whether a binding lets a person activate this, alone or with peers."""
        policies = await self._policies(entitlement.project)
        return policies.is_eligible(person, entitlement, activation_type)

    async def holders(self, entitlement: EntitlementId) -> frozenset[str]:
        """Return who may activate this with peers."""
        return (await self._policies(entitlement.project)).holders(entitlement)

    async def _policies(self, project: str) -> Policies:
        """Return the newest edition; raises `SourceUnavailable` where it cannot be read.

        A large policy takes a while, so it is read beside everything else that the relay does, and
        by one thread however many ask for it.
        """
        while True:
            stored = self._store.policies(self._integrator_id).get(project)
            if stored is None:
                self._read.pop(project, None)
                return _NO_POLICIES
            known = self._read.get(project)
            if known is not None and known[0] is stored:
                return known[1]
            turn = self._turns.setdefault(project, asyncio.Lock())
            async with turn:
                if self._read.get(project) is known:  # nobody else has read it meanwhile
                    await self._read_anew(stored)

    async def _read_anew(self, stored: StoredPolicy) -> None:
        try:
            policies = await asyncio.to_thread(_policies_of, stored)
        except PolicyError as error:
            raise SourceUnavailable(f"The policy of {stored.project!a}: {error}") from None
        self._read[stored.project] = stored, policies


def _policies_of(stored: StoredPolicy) -> Policies:
    policy = read_policy(stored.document)
    bindings = Bindings(stored.project, policy.bindings)
    return Policies({stored.project: bindings}, groups_of(policy.groups))


_NO_POLICIES: Final = Policies({}, {})
