"""A person activates roles alone, with a reason (C17, C18, C22)."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutActivation
from quorumkey_relay.usecases.jit.events import activation_event
from quorumkey_relay.usecases.jit.rules import duration_of, entitlement_of, justification_of

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.jit.entitlement import EntitlementId
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Write
    from quorumkey_relay.usecases.jit.audit import Trail
    from quorumkey_relay.usecases.jit.commands import SelfActivateBody
    from quorumkey_relay.usecases.jit.eligible import Eligible
    from quorumkey_relay.usecases.jit.grant import Granter
    from quorumkey_relay.usecases.jit.ports import Executors, JitRules, Person
    from quorumkey_relay.usecases.jit.shown import AccessViews
    from quorumkey_relay.usecases.jit.views import AccessRequestView

NO_EXECUTOR = Refusal("not_configured", "Nothing is set up that grants roles in this project.")
GRANT_FAILED = Refusal(
    "backend_failed",
    "The role could not be granted, and nothing was changed; the operator can see why.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfActivate:
    """Makes the activations of all roles in one commit, then has them granted."""

    store: Store
    clock: Clock
    mint: Mint
    rules: JitRules
    eligible: Eligible
    executors: Executors
    granter: Granter
    views: AccessViews

    async def __call__(
        self, person: Person, project: str, body: SelfActivateBody, trail: Trail
    ) -> AccessRequestView | Refusal:
        """Return what was activated, or the rule that is broken; then nothing was.

        Where a target refuses, that is told of each role, and the call is refused if all failed.
        """
        asked = self._asked(project, body)
        if isinstance(asked, Refusal):
            trail.about(justification=body.justification)
            return asked
        entitlements, justification, seconds = asked
        trail.about(roles=[one.role for one in entitlements], justification=justification)
        refused = await self.eligible.alone(person.email, project, entitlements)
        if refused is not None:
            return refused
        executor = self.executors.for_project(project)
        if executor is None:
            return NO_EXECUTOR
        now = self.clock.now()
        made = [
            Activation(
                activation_id=self.mint.uuid7(),
                integrator_id=self.rules.integrator_id,
                beneficiary=person.email,
                entitlement=one,
                justification=justification,
                approvers=(),
                executor=executor.name,
                start=now,
                end=now + seconds,
                created_at=now,
            )
            for one in entitlements
        ]
        await self._commit(made, now)
        trail.about_activation(made[0])
        granted = await asyncio.gather(*(self.granter.grant_now(one.activation_id) for one in made))
        if all(one.state == "failed" for one in granted):
            return GRANT_FAILED
        return self.views.activated_alone(granted, now)

    def _asked(
        self, project: str, body: SelfActivateBody
    ) -> tuple[tuple[EntitlementId, ...], str, int] | Refusal:
        """Return the roles, the justification and the seconds, or what is wrong with them."""
        entitlements = self._entitlements(body.entitlement_ids, project)
        if isinstance(entitlements, Refusal):
            return entitlements
        justification = justification_of(body.justification, self.rules)
        if isinstance(justification, Refusal):
            return justification
        seconds = duration_of(body.activation_timeout, self.rules)
        if isinstance(seconds, Refusal):
            return seconds
        return entitlements, justification, seconds

    def _entitlements(self, ids: list[str], project: str) -> tuple[EntitlementId, ...] | Refusal:
        entitlements: list[EntitlementId] = []
        for text in dict.fromkeys(ids):
            entitlement = entitlement_of(text, project)
            if isinstance(entitlement, Refusal):
                return entitlement
            entitlements.append(entitlement)
        if not 0 < len(entitlements) <= self.rules.max_roles:
            return Refusal(
                "invalid_request",
                f"entitlementIds: between 1 and {self.rules.max_roles} roles at once.",
            )
        return tuple(entitlements)

    async def _commit(self, made: list[Activation], now: int) -> None:
        writes: list[Write] = []
        for one in made:
            writes += (
                PutActivation(None, one),
                activation_event(
                    "jit.self_approved", one, now=now, mint=self.mint, by=(one.beneficiary,)
                ),
            )
        await self.store.commit(tuple(writes))
