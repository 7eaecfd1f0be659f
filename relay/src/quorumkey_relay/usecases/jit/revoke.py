"""Somebody takes access back before its time is over."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.jit.activation import changed
from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.writes import PutActivation
from quorumkey_relay.usecases.jit.grant import MAX_CONFLICT_RETRIES

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.jit.grant import Granter
    from quorumkey_relay.usecases.jit.ports import Person


@dataclass(frozen=True, slots=True, kw_only=True)
class RevokeActivation:
    """The person who has a role, or one of those who were asked for it, takes it back."""

    store: Store
    clock: Clock
    granter: Granter

    async def __call__(self, person: Person, activation_id: str) -> Activation | Refusal:
        """Return the activation once the target was asked; it is asked again until it confirms.

        One that is over, or is being taken back already, stays as it is.
        """
        for _ in range(MAX_CONFLICT_RETRIES):
            activation = await self.store.activation(activation_id)
            if activation is None or not await self._is_party(person.email, activation):
                return FORBIDDEN
            if activation.state not in {"granting", "active"}:
                await self.store.settled()
                return activation
            if self.clock.now() < activation.end:
                after = changed(
                    activation,
                    "revoking",
                    end_reason="revoked",
                    revoked_by=person.email,
                    attempts=0,
                    next_at=0,
                )
                try:
                    await self.store.commit((PutActivation(activation, after),))
                except Conflict:
                    continue
            return await self.granter.bring_on(activation_id)
        raise StoreUnavailable(activation_id)

    async def _is_party(self, email: str, activation: Activation) -> bool:
        if activation.access_request is None:
            return email == activation.beneficiary
        request = await self.store.access_request(activation.access_request)
        return request is not None and request.is_party(email)
