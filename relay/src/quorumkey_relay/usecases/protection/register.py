"""A service says which methods it has: ``PUT /v1/protection/catalogue``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_relay.conditions import why_unusable
from quorumkey_relay.domain.protection import Method, Protection
from quorumkey_relay.domain.protection_rules import register
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutProtection
from quorumkey_relay.usecases.draft import given
from quorumkey_relay.usecases.protection.audit import audit
from quorumkey_relay.usecases.protection.snapshot import snapshot_of

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import AppendEvent
    from quorumkey_relay.usecases.protection.commands import CatalogueBody
    from quorumkey_relay.usecases.protection.views import SnapshotView

MAX_CONFLICT_RETRIES: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterCatalogue:
    """Takes in all methods of one service; the same ones again change nothing."""

    store: Store
    clock: Clock
    mint: Mint

    async def __call__(
        self, *, integrator: Integrator, body: CatalogueBody
    ) -> SnapshotView | Refusal:
        """Return the integrator's snapshot once the catalogue is durable, or what is wrong."""
        methods = [
            Method(
                name=method.name,
                kind=method.kind,
                permission=method.permission,
                default_condition=given(method.default_condition, ""),
                resolver=method.resolver,
                service=body.service,
            )
            for method in body.methods
        ]
        for _ in range(MAX_CONFLICT_RETRIES):
            before = self.store.directory.protection(integrator.id)
            after = register(
                before or Protection(integrator_id=integrator.id),
                body.service,
                methods,
                why_unusable,
            )
            if isinstance(after, Refusal):
                return after
            if after == before or (before is None and not after.revision):
                await self.store.settled()
                return snapshot_of(before)
            try:
                await self.store.commit((PutProtection(before, after), self._told(after, body)))
            except Conflict:
                continue
            return snapshot_of(after)
        raise StoreUnavailable(integrator.id)

    def _told(self, after: Protection, body: CatalogueBody) -> AppendEvent:
        return audit(
            "protection.catalogue_registered",
            integrator_id=after.integrator_id,
            subject=after.integrator_id,
            now=self.clock.now(),
            mint=self.mint,
            service=body.service,
            methods=len(body.methods),
            revision=after.revision,
        )
