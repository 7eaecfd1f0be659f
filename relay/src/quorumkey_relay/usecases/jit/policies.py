"""Policies that are put through the API: whoever holds an API key of scope admin says who may."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey.protocol import format_time, strict_json
from quorumkey_relay.domain.jit.policy import MAX_POLICIES, MAX_POLICY_BYTES, StoredPolicy
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.eligibility.policy import PolicyError, check_project, read_policy
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.writes import PutPolicy
from quorumkey_relay.usecases.jit.views import RolePolicyView
from quorumkey_relay.usecases.read import BAD_CURSOR
from quorumkey_relay.usecases.views import Page

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.ports import JitRules

NOT_BY_API = Refusal(
    "failed_precondition", "This relay does not take its policies through the API."
)
TOO_MANY = Refusal("failed_precondition", f"There are at most {MAX_POLICIES} policies.")

log = logs.get()


@dataclass(frozen=True, slots=True, kw_only=True)
class RolePolicies:
    """Puts, reads and removes them; every change counts from the next check of eligibility on.

    Only the integrator whose devices approve roles has any. ``are_used`` says whether eligibility
    is judged by them at all.
    """

    store: Store
    clock: Clock
    rules: JitRules
    are_used: bool

    async def put(
        self, integrator: Integrator, project: str, document: bytes
    ) -> RolePolicyView | Refusal:
        """Take a project's policy as JSON; the same again changes nothing."""
        refused = self._refused(integrator.id)
        if refused is not None:
            return refused
        try:
            check_project(project)
            await asyncio.to_thread(_check, document)  # a large one takes a while
        except PolicyError as error:
            return Refusal("invalid_request", str(error))
        while True:
            policies = self.store.policies(integrator.id)
            before = policies.get(project)
            if before is not None and before.document == document:
                await self.store.settled()
                return _view(before)
            if before is None and len(policies) >= MAX_POLICIES:
                return TOO_MANY
            after = StoredPolicy(
                integrator_id=integrator.id,
                project=project,
                revision=1 if before is None else before.revision + 1,
                document=document,
                changed_at=self.clock.now(),
            )
            try:
                await self.store.commit((PutPolicy(before, after),))
            except Conflict:
                continue
            log.info(
                "jit_policy_put",
                integrator_id=integrator.id,
                project=project,
                count=after.revision,
            )
            return _view(after)

    async def remove(self, integrator: Integrator, project: str) -> Refusal | None:
        """Remove a policy: nobody is eligible in the project any more."""
        refused = self._refused(integrator.id)
        while refused is None:
            before = self.store.policies(integrator.id).get(project)
            if before is None:
                return NOT_FOUND
            try:
                await self.store.commit((PutPolicy(before, None),))
            except Conflict:
                continue
            log.info("jit_policy_removed", integrator_id=integrator.id, project=project)
            break
        return refused

    async def read(self, integrator: Integrator, project: str) -> bytes | Refusal:
        """Return a policy as it was put."""
        refused = self._refused(integrator.id)
        if refused is not None:
            return refused
        found = self.store.policies(integrator.id).get(project)
        await self.store.settled()
        return NOT_FOUND if found is None else found.document

    async def list(
        self, integrator: Integrator, *, limit: int, cursor: str | None
    ) -> Page[RolePolicyView] | Refusal:
        """Return a page of what policies there are, by project."""
        refused = self._refused(integrator.id)
        if refused is not None:
            return refused
        policies = self.store.policies(integrator.id)
        await self.store.settled()
        if cursor is not None and cursor not in policies:
            return BAD_CURSOR
        projects = sorted(one for one in policies if cursor is None or one > cursor)
        page = [_view(policies[one]) for one in projects[:limit]]
        return Page(page, page[-1].project if len(projects) > limit else None)

    def _refused(self, integrator_id: str) -> Refusal | None:
        if integrator_id != self.rules.integrator_id:
            return NOT_FOUND
        return None if self.are_used else NOT_BY_API


def _check(document: bytes) -> None:
    """Refuse what is no policy, or says something twice; raises PolicyError or ProtocolError."""
    read_policy(document)
    strict_json.loads(document, max_bytes=MAX_POLICY_BYTES)


def _view(policy: StoredPolicy) -> RolePolicyView:
    return RolePolicyView(
        project=policy.project,
        revision=policy.revision,
        size_bytes=len(policy.document),
        changed_at=format_time(policy.changed_at),
    )
