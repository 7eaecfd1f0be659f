"""Where a device wants to be woken: stored sealed, never shown (PROTOCOL §4.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quorumkey.protocol import Push, strict_json
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutDelivery, PutDevice

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope, PushAddress
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.plan import DeliveryPlan
    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.authenticate import Authenticator
    from quorumkey_relay.usecases.ports import PushRules


@dataclass(frozen=True, slots=True)
class PushAddresses:
    """Takes the addresses that devices give, as far as this relay can serve them."""

    vault: Vault
    rules: PushRules

    def given(self, device: Device, address: PushAddress, *, now: int) -> Device | Refusal:
        """Return the device with an address that it gave at ``now``; nothing is stored.

        The same address again counts as a new one: the device has just said that it is reached
        there, whatever a provider said of an earlier time.
        """
        problem = self.rules.problem(address)
        if problem is not None:
            return Refusal("invalid_request", problem)
        sealed = None
        if address.channel != "none":
            sealed = self.vault.seal(strict_json.dumps(address.to_json()))
        return replace(
            device, push_channel=address.channel, push=sealed, push_set_at=now, push_faults=0
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPush:
    """Replaces a device's push address; the last accepted one counts."""

    store: Store
    clock: Clock
    addresses: PushAddresses
    plan: DeliveryPlan
    authenticate: Authenticator

    async def __call__(self, *, envelope: Envelope) -> Refusal | None:
        """Store the address of a ``push`` envelope; raises ``ProtocolError``.

        Whatever waits for the device and has not been taken on that channel goes out there.
        """
        known = self.authenticate(envelope, Push)
        if isinstance(known, Refusal):
            return known
        now = self.clock.now()
        device = self.addresses.given(known.device, known.statement.push, now=now)
        if isinstance(device, Refusal):
            return device
        # Before anything is waited for: meanwhile the device might be revoked.
        await self.store.commit((PutDevice(device),))
        waiting = await self.plan.plan_for_device(device, now)
        if waiting:
            await self.store.commit(tuple(PutDelivery(delivery) for delivery in waiting))
        return None
