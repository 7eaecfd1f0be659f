"""What the relay says of itself to anybody (PROTOCOL §2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import msgspec
from msgspec import UNSET

from quorumkey.protocol import format_time, pictogram, speakable
from quorumkey_relay.usecases.views import InfoView, WebAuthnSettingsView

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.usecases.ports import Policy


@dataclass(frozen=True, slots=True, kw_only=True)
class DescribeRelay:
    """The relay's key, its successions, what passkeys are for, and how browsers subscribe.

    ``web_push_key`` is the VAPID public key, None where no browser is notified.
    """

    clock: Clock
    keys: RelayKeys
    policy: Policy
    web_push_key: str | None = None

    async def __call__(self) -> InfoView:
        """Return ``GET /v1/info``."""
        now = self.clock.now()
        key = self.keys.current(now).public_key
        passkeys = self.policy.passkeys
        webauthn = WebAuthnSettingsView(
            rp_id=passkeys.rp_id if passkeys else urlsplit(self.policy.app_url).hostname or "",
            origins=sorted(passkeys.origins) if passkeys else [self.policy.app_url],
        )
        return InfoView(
            relay=key.fingerprint,
            relay_public_key=key.base64,
            pictogram=list(pictogram(key.fingerprint)),
            pictogram_speakable=speakable(key.fingerprint),
            version=self.policy.version,
            attestation=self.policy.attestation,
            webauthn=webauthn,
            successions=[msgspec.Raw(envelope) for envelope in self.keys.successions],
            time=format_time(now),
            web_push_key=self.web_push_key or UNSET,
            unsafe_test_root=True if self.policy.unsafe_test_root else UNSET,
        )
