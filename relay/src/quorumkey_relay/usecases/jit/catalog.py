"""All use cases of just-in-time access, put together, and logged as they are called (C39)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.jit.activate import SelfActivate
from quorumkey_relay.usecases.jit.audit import Trail
from quorumkey_relay.usecases.jit.eligible import Eligible
from quorumkey_relay.usecases.jit.endings import Endings
from quorumkey_relay.usecases.jit.find import FindRequest
from quorumkey_relay.usecases.jit.links import Links
from quorumkey_relay.usecases.jit.lists import ListAccess
from quorumkey_relay.usecases.jit.policies import RolePolicies
from quorumkey_relay.usecases.jit.request import RequestAccess
from quorumkey_relay.usecases.jit.review import ReviewRequest
from quorumkey_relay.usecases.jit.roles import ReadRoles
from quorumkey_relay.usecases.jit.shown import AccessViews
from quorumkey_relay.usecases.jit.signed import OpenSignedRequest
from quorumkey_relay.usecases.jit.votes import RoleVotes

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.identity.activation_tokens import ActivationTokens
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.commands import AccessRequestBody, SelfActivateBody
    from quorumkey_relay.usecases.jit.grant import Granter
    from quorumkey_relay.usecases.jit.ports import (
        EligibilitySource,
        Executors,
        JitRules,
        Letters,
        Mailer,
        Person,
    )
    from quorumkey_relay.usecases.jit.revoke import RevokeActivation
    from quorumkey_relay.usecases.jit.views import (
        AccessRequestView,
        ActivationView,
        EntitlementsView,
        PeersView,
        PolicyView,
        ProjectsView,
    )
    from quorumkey_relay.usecases.views import Page


@dataclass(frozen=True, slots=True, kw_only=True)
class JitCases:
    """What the HTTP layer calls. Each is for a person who has proved who they are."""

    clock: Clock
    listing: ReadRoles
    activating: SelfActivate
    asking: RequestAccess
    reviewing: ReviewRequest
    lists: ListAccess
    revoking: RevokeActivation
    views: AccessViews
    tokens: ActivationTokens
    policies: RolePolicies

    def jwks(self) -> bytes:
        """Return the public keys of the tokens in links, as a JWK Set."""
        return self.tokens.jwks

    def policy(self, person: Person) -> PolicyView:
        """Return who is signed in, and the rules that a page has to know (C29)."""
        return self.listing.policy(person)

    async def projects(self, person: Person) -> ProjectsView | Refusal:
        """Return where a person may activate something (C30)."""
        trail = Trail("api.listProjects", person)
        return await trail.follow(self.listing.projects(person))

    async def roles(self, person: Person, project: str) -> EntitlementsView | Refusal:
        """Return what a person may activate in a project (C30)."""
        trail = Trail("api.listEligibleRoles", person, project=project)
        return await trail.follow(self.listing.roles(person, project))

    async def peers(self, person: Person, project: str, entitlement_id: str) -> PeersView | Refusal:
        """Return who may approve a role for a person (C13, C31)."""
        trail = Trail("api.listPeers", person, project=project)
        return await trail.follow(self.listing.peers(person, project, entitlement_id, trail))

    async def self_activate(
        self, person: Person, project: str, body: SelfActivateBody
    ) -> AccessRequestView | Refusal:
        """Activate roles alone (C32)."""
        trail = Trail("api.activateRole", person, project=project)
        return await trail.follow(self.activating(person, project, body, trail))

    async def request(
        self, person: Person, project: str, body: AccessRequestBody
    ) -> AccessRequestView | Refusal:
        """Ask peers for a role (C32)."""
        trail = Trail("api.requestRole", person, project=project)
        return await trail.follow(self.asking(person, project, body, trail))

    async def read_request(self, person: Person, token: str) -> AccessRequestView | Refusal:
        """Return the request that a token leads to (C33)."""
        trail = Trail("api.getActivationRequest", person)
        return await trail.follow(self.reviewing.read(person, token, trail))

    async def approve(self, person: Person, token: str) -> AccessRequestView | Refusal:
        """Approve the request that a token leads to, by a click (C33)."""
        trail = Trail("api.activateRole", person)
        return await trail.follow(self.reviewing.approve(person, token, trail))

    async def deny(self, person: Person, token: str) -> AccessRequestView | Refusal:
        """Deny the request that a token leads to, by a click."""
        trail = Trail("api.denyRequest", person)
        return await trail.follow(self.reviewing.deny(person, token, trail))

    async def withdraw(self, person: Person, token: str) -> AccessRequestView | Refusal:
        """Take back the request that a token leads to."""
        trail = Trail("api.withdrawRequest", person)
        return await trail.follow(self.reviewing.withdraw(person, token, trail))

    async def reviews(
        self, person: Person, *, limit: int, cursor: str | None
    ) -> Page[AccessRequestView] | Refusal:
        """Return the requests that a person may decide, newest first."""
        return await self.lists.requests(person, as_reviewer=True, limit=limit, cursor=cursor)

    async def requests(
        self, person: Person, *, limit: int, cursor: str | None
    ) -> Page[AccessRequestView] | Refusal:
        """Return the requests that a person has made, newest first."""
        return await self.lists.requests(person, as_reviewer=False, limit=limit, cursor=cursor)

    async def active(
        self, person: Person, *, limit: int, cursor: str | None
    ) -> Page[ActivationView] | Refusal:
        """Return the roles that a person has, or had, newest first."""
        return await self.lists.active(person, limit=limit, cursor=cursor)

    async def revoke(self, person: Person, activation_id: str) -> ActivationView | Refusal:
        """End an activation early: one's own, or one that one has approved or could have."""
        trail = Trail("api.revokeActivation", person)
        return await trail.follow(self._revoke(person, activation_id, trail))

    async def _revoke(
        self, person: Person, activation_id: str, trail: Trail
    ) -> ActivationView | Refusal:
        activation = await self.revoking(person, activation_id)
        if isinstance(activation, Refusal):
            return activation
        trail.about_activation(activation)
        return self.views.activation(activation, self.clock.now())


def jit_cases(  # noqa: PLR0913 - what the use cases stand on
    *,
    store: Store,
    clock: Clock,
    mint: Mint,
    keys: RelayKeys,
    plan: DeliveryPlan,
    max_pending_per_device: int,
    rules: JitRules,
    source: EligibilitySource,
    executors: Executors,
    granter: Granter,
    revoking: RevokeActivation,
    votes: RoleVotes,
    tokens: ActivationTokens,
    letters: Letters | None,
    mailer: Mailer | None,
    takes_policies: bool,
) -> JitCases:
    """Put the use cases together; ``votes`` are those that `AnswerRequest` was given."""
    links = Links(tokens=tokens, public_url=rules.public_url)
    views = AccessViews(store=store, links=links, executors=executors)
    open_signed = OpenSignedRequest(
        store=store,
        mint=mint,
        keys=keys,
        plan=plan,
        max_pending_per_device=max_pending_per_device,
    )
    return JitCases(
        clock=clock,
        listing=ReadRoles(
            store=store, clock=clock, source=source, eligible=votes.eligible, rules=rules
        ),
        activating=SelfActivate(
            store=store,
            clock=clock,
            mint=mint,
            rules=rules,
            eligible=votes.eligible,
            executors=executors,
            granter=granter,
            views=views,
        ),
        asking=RequestAccess(
            store=store,
            clock=clock,
            mint=mint,
            rules=rules,
            eligible=votes.eligible,
            executors=executors,
            open_signed=open_signed,
            links=links,
            views=views,
            letters=letters,
            mailer=mailer,
        ),
        reviewing=ReviewRequest(
            store=store,
            clock=clock,
            mint=mint,
            rules=rules,
            find=FindRequest(store=store, tokens=tokens, rules=rules, open_signed=open_signed),
            eligible=votes.eligible,
            executors=executors,
            granter=granter,
            endings=votes.endings,
            views=views,
        ),
        lists=ListAccess(store=store, clock=clock, rules=rules, views=views),
        revoking=revoking,
        views=views,
        tokens=tokens,
        policies=RolePolicies(store=store, clock=clock, rules=rules, are_used=takes_policies),
    )


def role_votes(  # noqa: PLR0913 - what signed votes are judged by
    *,
    store: Store,
    mint: Mint,
    plan: DeliveryPlan,
    rules: JitRules,
    source: EligibilitySource,
    letters: Letters | None,
) -> RoleVotes:
    """Return who judges signed votes on requests for roles."""
    return RoleVotes(
        store=store,
        mint=mint,
        rules=rules,
        eligible=Eligible(source),
        endings=Endings(store=store, mint=mint, plan=plan, letters=letters),
    )
