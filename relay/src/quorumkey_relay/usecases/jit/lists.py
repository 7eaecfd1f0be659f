"""A person's requests, those that wait for them, and the roles they have or had."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.usecases.read import BAD_CURSOR
from quorumkey_relay.usecases.views import Page

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.ports import JitRules, Person
    from quorumkey_relay.usecases.jit.shown import AccessViews
    from quorumkey_relay.usecases.jit.views import AccessRequestView, ActivationView


@dataclass(frozen=True, slots=True, kw_only=True)
class ListAccess:
    """Lists, newest first; a cursor is what the page before has ended with."""

    store: Store
    clock: Clock
    rules: JitRules
    views: AccessViews

    async def requests(
        self, person: Person, *, as_reviewer: bool, limit: int, cursor: str | None
    ) -> Page[AccessRequestView] | Refusal:
        """Return a page of requests that a person has made, or may decide."""
        if cursor is not None:
            last = await self.store.access_request(cursor)
            if last is None or not last.is_party(person.email):
                return BAD_CURSOR
        found = await self.store.access_requests(
            integrator_id=self.rules.integrator_id,
            beneficiary=None if as_reviewer else person.email,
            reviewer=person.email if as_reviewer else None,
            before=cursor,
            limit=limit + 1,
        )
        now = self.clock.now()
        page = [await self.views.request(one, person.email, now) for one in found[:limit]]
        return Page(page, found[limit - 1].id if len(found) > limit else None)

    async def active(
        self, person: Person, *, limit: int, cursor: str | None
    ) -> Page[ActivationView] | Refusal:
        """Return a page of the roles that a person has, is about to have, or had."""
        if cursor is not None:
            last = await self.store.activation(cursor)
            if last is None or last.beneficiary != person.email:
                return BAD_CURSOR
        found = await self.store.activations(
            integrator_id=self.rules.integrator_id,
            beneficiary=person.email,
            before=cursor,
            limit=limit + 1,
        )
        await self.store.settled()
        now = self.clock.now()
        page = [self.views.activation(one, now) for one in found[:limit]]
        return Page(page, found[limit - 1].activation_id if len(found) > limit else None)
