"""Who governs protected methods: a person by the session of a device, or an API key.

The two are told apart everywhere: only people resolve calls (B7), only keys can be exempt (B26).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.lifecycle import REVOKED
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.domain.transactions import Caller
from quorumkey_relay.usecases.ports import rate_limited

if TYPE_CHECKING:
    from quorumkey_relay.identity.principals import ApiKey, Integrator, Pairing, Scope
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.ports import Limiter

#: Names the integrator where a device is paired with several.
INTEGRATOR_HEADER = "x-quorumkey-integrator"

WHICH_INTEGRATOR = Refusal(
    "invalid_request",
    "This device is paired with several integrators; name one by id in the header"
    f" {INTEGRATOR_HEADER}.",
)
OTHER_INTEGRATOR = Refusal(
    "forbidden", f"{INTEGRATOR_HEADER}: the caller does not belong to this integrator."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actor:
    """Who calls, for which integrator: a person by ``device``, or an API key of ``scope``."""

    integrator: Integrator
    caller: Caller
    device: str | None = None
    scope: Scope | None = None

    @property
    def is_person(self) -> bool:
        """Whether a person calls, by a device of theirs."""
        return self.device is not None


def key_actor(key: ApiKey, integrator: Integrator, named: str | None) -> Actor | Refusal:
    """Return who calls by an API key; ``named`` is the integrator that the call names, if any."""
    if named not in (None, integrator.id):
        return OTHER_INTEGRATOR
    caller = Caller("api_key", key.key_id, key.name)
    return Actor(integrator=integrator, caller=caller, scope=key.scope)


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonOf:
    """Finds the approver behind a device's session."""

    store: Store
    device_limit: Limiter

    def __call__(self, device: str, named: str | None) -> Actor | Refusal:
        """Return who calls by ``device``, charged to it; ``named`` as for `key_actor`."""
        wait = self.device_limit.charge(device)
        if wait is not None:
            return rate_limited(wait)
        known = self.store.directory.device(device)
        if known is None or not known.usable:
            return REVOKED
        tie = self._tie(dict(known.pairings), named)
        if isinstance(tie, Refusal):
            return tie
        integrator = self.store.directory.integrator(tie.integrator_id)
        if integrator is None:
            message = f"integrator {tie.integrator_id} has a pairing but is not stored"
            raise LookupError(message)
        caller = Caller("person", tie.approver_id, tie.approver_name)
        return Actor(integrator=integrator, caller=caller, device=device)

    def _tie(self, pairings: dict[str, Pairing], named: str | None) -> Pairing | Refusal:
        if named is not None:
            return pairings.get(named, OTHER_INTEGRATOR)
        if len(pairings) > 1:
            return WHICH_INTEGRATOR
        return next(iter(pairings.values()))
