"""Where a device wants to be woken: stored sealed, never shown (PROTOCOL §4.3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from quorumkey.protocol import Push, strict_json
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.store.writes import PutDevice

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope, PushAddress
    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.authenticate import Authenticator


def sealed_address(address: PushAddress, vault: Vault) -> tuple[str, bytes | None]:
    """Return the channel of an address and the address, sealed; nothing to seal for ``none``."""
    if address.channel == "none":
        return "none", None
    return address.channel, vault.seal(strict_json.dumps(address.to_json()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SetPush:
    """Replaces a device's push address; the last accepted one counts."""

    store: Store
    vault: Vault
    authenticate: Authenticator

    async def __call__(self, *, envelope: Envelope) -> Refusal | None:
        """Store the address of a ``push`` envelope; raises ``ProtocolError``."""
        known = self.authenticate(envelope, Push)
        if isinstance(known, Refusal):
            return known
        channel, sealed = sealed_address(known.statement.push, self.vault)
        await self.store.commit(
            (PutDevice(replace(known.device, push_channel=channel, push=sealed)),)
        )
        return None
