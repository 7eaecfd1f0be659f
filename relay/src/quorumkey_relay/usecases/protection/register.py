"""A service says which methods it has: ``PUT /v1/protection/catalogue``."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
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
    from collections.abc import Iterable

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
    turns: defaultdict[str, asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), init=False
    )

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
        faults = await self._look_at_conditions(integrator.id, methods)
        for _ in range(MAX_CONFLICT_RETRIES):
            before = self.store.directory.protection(integrator.id)
            after = register(
                before or Protection(integrator_id=integrator.id), body.service, methods, faults.get
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

    async def _look_at_conditions(
        self, integrator_id: str, methods: Iterable[Method]
    ) -> dict[str, str | None]:
        """Return why conditions cannot be used, as far as the first of which there is a reason.

        Each takes milliseconds and a catalogue can have thousands, so everybody else has a turn
        after each, and an integrator has one catalogue looked at a time.
        """
        async with self.turns[integrator_id]:
            known = self.store.directory.protection(integrator_id)
            taken = () if known is None else known.methods.values()
            faults: dict[str, str | None] = {"": None}
            faults |= {method.default_condition: None for method in taken}
            for method in methods:
                text = method.default_condition
                if text in faults:
                    continue
                faults[text] = why_unusable(text)
                if faults[text] is not None:
                    break
                await asyncio.sleep(0)
        return faults

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
