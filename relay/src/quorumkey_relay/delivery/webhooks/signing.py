"""The headers that sign an event for an endpoint, as Standard Webhooks has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import webhook as standard

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.records import Webhook, WebhookDelivery

MAX_OPEN_SECRETS: Final = 1_024


class Signer:
    """Signs deliveries; keeps the secrets that were opened last, so that few are opened twice."""

    def __init__(self, vault: Vault) -> None:
        """Open secrets with the key of ``vault``."""
        self._vault = vault
        self._opened: OrderedDict[bytes, str] = OrderedDict()

    def headers(self, webhook: Webhook, delivery: WebhookDelivery, now: int) -> Mapping[str, str]:
        """Return the headers of an attempt at ``now``.

        While the earlier secret of a rotated one overlaps, both sign: the newer one stands first.
        Raises ``VaultError`` for a secret that was sealed with another key.
        """
        sealed = [webhook.secret]
        if webhook.old_secret is not None and now < webhook.old_secret_until:
            sealed.append(webhook.old_secret)
        return {
            "content-type": "application/json",
            "webhook-id": delivery.event_id,
            "webhook-timestamp": str(now),
            "webhook-signature": " ".join(
                standard.sign(self._open(secret), delivery.event_id, now, delivery.body)
                for secret in sealed
            ),
        }

    def _open(self, sealed: bytes) -> str:
        secret = self._opened.get(sealed)
        if secret is None:
            secret = self._opened[sealed] = self._vault.open(sealed).decode("ascii")
            if len(self._opened) > MAX_OPEN_SECRETS:
                self._opened.popitem(last=False)
        else:
            self._opened.move_to_end(sealed)
        return secret
