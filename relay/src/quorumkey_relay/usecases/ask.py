"""An integrator asks for an approval (PROTOCOL §5)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import UNSET, UnsetType

from quorumkey.protocol import b64encode
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.draft import draft, given
from quorumkey_relay.usecases.opening import NONCE_BYTES, opening, sealed
from quorumkey_relay.usecases.render import encode, request_of
from quorumkey_relay.usecases.rules import check_devices, pending_limit

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.commands import AskBody
    from quorumkey_relay.usecases.idempotency import Idempotency, Idempotent
    from quorumkey_relay.usecases.ports import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class AskApproval:
    """Checks a request against every rule, signs its document and notifies its devices."""

    store: Store
    clock: Clock
    mint: Mint
    keys: RelayKeys
    policy: Policy
    idempotent: Idempotent
    plan: DeliveryPlan

    async def __call__(
        self, *, integrator: Integrator, body: AskBody, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Return the request object as JSON, or the rule that is broken.

        Raises ``ProtocolError`` for malformed members and ``StoreUnavailable``.
        """
        now = self.clock.now()

        def create() -> tuple[bytes, Commit] | Refusal:
            return self._create(integrator, body, now)

        return await self.idempotent(
            idempotency, integrator_id=integrator.id, now=now, create=create
        )

    def _create(
        self, integrator: Integrator, body: AskBody, now: int
    ) -> tuple[bytes, Commit] | Refusal:
        key = self.keys.current(now)
        nonce = self._nonce(body.nonce)
        document = draft(
            body,
            integrator=integrator,
            relay=key.public_key.fingerprint,
            request_id=self.mint.uuid7(),
            nonce=nonce,
            now=now,
        )
        persons = check_devices(document, self.store.directory)
        if isinstance(persons, Refusal):
            return persons
        busy = pending_limit(
            document, self.store, now=now, limit=self.policy.max_pending_per_device
        )
        if busy is not None:
            return busy
        stored = sealed(document, persons=persons, key=key, match_code=given(body.match_code, None))
        writes = opening(stored, plan=self.plan, now=now)
        return encode(request_of(stored, now)), writes

    def _nonce(self, given: str | UnsetType) -> str:
        return b64encode(self.mint.random(NONCE_BYTES)) if given is UNSET else str(given)
