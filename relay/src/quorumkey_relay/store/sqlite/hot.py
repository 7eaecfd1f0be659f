"""What the SQLite store holds in memory: the directory, and the requests that are still open."""

from __future__ import annotations

from collections import Counter, OrderedDict
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.sqlite.hot_jit import AccessMemory
from quorumkey_relay.store.sqlite.hot_protection import (
    OpenTransactions,
    ProtectionDirectory,
    WaitingCalls,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from quorumkey_relay.domain.transactions import Transaction
    from quorumkey_relay.identity.principals import (
        ApiKey,
        BoundAppAttestKey,
        Device,
        Integrator,
        Pairing,
    )
    from quorumkey_relay.store.records import Stored, Webhook

# Answers that come just after the end are judged without reading the request again.
RECENT_REQUESTS: Final = 2_048


def _no_older_code(code_digest: bytes) -> Pairing | None:
    """Know no code but those in memory."""
    del code_digest
    return None


class MemoryDirectory(ProtectionDirectory):
    """Integrators, API keys, devices, App Attest keys, remembered pairings and protections.

    A device costs about 1 kB here; a relay with 100,000 devices holds about 100 MB.
    """

    def __init__(self, older_code: Callable[[bytes], Pairing | None] = _no_older_code) -> None:
        """Start empty; ``older_code`` tells an expired code from one that never was."""
        super().__init__()
        self._older_code = older_code
        self.integrators: dict[str, Integrator] = {}
        self.api_keys: dict[bytes, ApiKey] = {}
        self.devices: dict[str, Device] = {}
        self.codes: dict[bytes, Pairing] = {}
        self.device_numbers: dict[str, int] = {}
        self.app_attest_keys: dict[bytes, BoundAppAttestKey] = {}
        self._webhooks: dict[str, Webhook] = {}
        self._webhooks_of: dict[str, dict[str, Webhook]] = {}

    def integrator(self, integrator_id: str) -> Integrator | None:
        """Return an integrator by id."""
        return self.integrators.get(integrator_id)

    def api_key(self, digest: bytes) -> ApiKey | None:
        """Return an API key by the SHA-256 of its text."""
        return self.api_keys.get(digest)

    def keys_of(self, integrator_id: str) -> list[ApiKey]:
        """Return an integrator's API keys, oldest first."""
        keys = [key for key in self.api_keys.values() if key.integrator_id == integrator_id]
        return sorted(keys, key=lambda key: (key.created_at, key.key_id))

    def device(self, fingerprint: str) -> Device | None:
        """Return a device by fingerprint."""
        return self.devices.get(fingerprint)

    def pairing_by_code(self, code_digest: bytes) -> Pairing | None:
        """Return the pairing of a code, expired and used ones too."""
        return self.codes.get(code_digest) or self._older_code(code_digest)

    def app_attest_key(self, key_id: bytes) -> BoundAppAttestKey | None:
        """Return an App Attest key by its id."""
        return self.app_attest_keys.get(key_id)

    def webhook(self, webhook_id: str) -> Webhook | None:
        """Return a webhook by id."""
        return self._webhooks.get(webhook_id)

    def webhooks(self, integrator_id: str) -> list[Webhook]:
        """Return an integrator's webhooks, oldest first."""
        return list(self._webhooks_of.get(integrator_id, {}).values())

    def put_webhook(self, webhook: Webhook) -> None:
        """Take a new or changed webhook."""
        self._webhooks[webhook.webhook_id] = webhook
        self._webhooks_of.setdefault(webhook.integrator_id, {})[webhook.webhook_id] = webhook

    def take_webhook(self, webhook: Webhook) -> None:
        """Take what another process may change of a webhook: whether it is disabled."""
        known = self._webhooks.get(webhook.webhook_id)
        if known is not None:
            status, reason = webhook.status, webhook.disabled_reason
            since = known.failing_since if status == "disabled" else None
            changed = replace(known, status=status, disabled_reason=reason, failing_since=since)
            self.put_webhook(changed)

    def drop_webhook(self, webhook_id: str) -> None:
        """Forget a webhook."""
        webhook = self._webhooks.pop(webhook_id, None)
        if webhook is not None:
            del self._webhooks_of[webhook.integrator_id][webhook_id]

    def bind(self, key: BoundAppAttestKey) -> BoundAppAttestKey:
        """Take a new App Attest key; answers it with the counter that is known already."""
        known = self.app_attest_keys.get(key.key_id)
        if known is not None:
            key = replace(key, counter=known.counter)
        self.app_attest_keys[key.key_id] = key
        return key

    def count(self, key_id: bytes, counter: int) -> None:
        """Take an App Attest key's new counter."""
        known = self.app_attest_keys[key_id]
        self.app_attest_keys[key_id] = replace(known, counter=counter)

    def number(self, fingerprint: str) -> int:
        """Return the device's row number, a new one for a new device."""
        number = self.device_numbers.get(fingerprint)
        if number is None:
            number = len(self.device_numbers) + 1
            self.device_numbers[fingerprint] = number
        return number

    def take_device(self, device: Device) -> None:
        """Take what another process may change of a device: that it is revoked."""
        known = self.devices.get(device.fingerprint)
        if known is not None:
            self.devices[device.fingerprint] = replace(known, revoked_at=device.revoked_at)

    def put_device(self, device: Device) -> None:
        """Take a new or changed device; ties already known stay, and so does a revocation."""
        known = self.devices.get(device.fingerprint)
        if known is not None:
            revoked_at = device.revoked_at if known.revoked_at is None else known.revoked_at
            device = replace(device, pairings=known.pairings, revoked_at=revoked_at)
        self.devices[device.fingerprint] = device

    def put_pairing(self, pairing: Pairing) -> None:
        """Take a new, spent or ended pairing and tie or untie its device."""
        self.codes[pairing.code_digest] = pairing
        device = self.devices.get(pairing.device) if pairing.device is not None else None
        if device is None:
            return
        ties = dict(device.pairings)
        tie = ties.get(pairing.integrator_id)
        if pairing.ended_at is None:
            if tie is not None:
                self.untie(tie, device.fingerprint)
            ties[pairing.integrator_id] = pairing
            self.tie(pairing, device.fingerprint)
        elif tie is not None and tie.pairing_id == pairing.pairing_id:
            del ties[pairing.integrator_id]
            self.untie(tie, device.fingerprint)
        self.devices[device.fingerprint] = replace(device, pairings=MappingProxyType(ties))

    def forget_codes(self, before: int) -> None:
        """Forget codes that expired before ``before``."""
        for digest in [d for d, p in self.codes.items() if p.expires_at < before]:
            del self.codes[digest]


@dataclass(slots=True)
class Slot:
    """A request in memory and its row number."""

    number: int
    stored: Stored


class OpenRequests:
    """Pending requests by id and by device, the last few that finished, and what is about them."""

    def __init__(self) -> None:
        """Start empty."""
        self.next_number = 1
        self.transactions = OpenTransactions()
        self.calls = WaitingCalls()
        self.access = AccessMemory()
        self._pending: dict[str, Slot] = {}
        self._recent: OrderedDict[str, Slot] = OrderedDict()
        self._by_device: dict[str, dict[str, Slot]] = {}
        self._counts: Counter[tuple[str, str, str]] = Counter()

    def __iter__(self) -> Iterator[Stored]:
        """Iterate over pending requests, oldest first."""
        return (slot.stored for slot in list(self._pending.values()))

    def __len__(self) -> int:
        """Return how many requests are pending."""
        return len(self._pending)

    def get(self, request_id: str) -> Slot | None:
        """Return a pending or recently finished request."""
        return self._pending.get(request_id) or self._recent.get(request_id)

    def number(self, request_id: str) -> int | None:
        """Return the row number of a pending or recently finished request."""
        slot = self._pending.get(request_id) or self._recent.get(request_id)
        return None if slot is None else slot.number

    def pending(self, request_id: str) -> Stored | None:
        """Return a pending request."""
        slot = self._pending.get(request_id)
        return None if slot is None else slot.stored

    def for_device(self, device: str) -> list[Stored]:
        """Return pending requests that name ``device``, oldest first."""
        return [slot.stored for slot in self._by_device.get(device, {}).values()]

    def count(self, device: str, integrator_id: str, profile: str) -> int:
        """Return how many pending requests name ``device``, of one integrator and profile."""
        return self._counts[device, integrator_id, profile]

    def add(self, stored: Stored) -> Slot:
        """Take a request that is new or was read at start."""
        slot = Slot(self.next_number, stored)
        self.next_number += 1
        self.insert(slot)
        return slot

    def insert(self, slot: Slot) -> None:
        """Take a pending request that has a row number."""
        terms = slot.stored.terms
        self._pending[terms.request_id] = slot
        for device in terms.seats:
            self._by_device.setdefault(device, {})[terms.request_id] = slot
            self._counts[device, terms.integrator_id, terms.profile] += 1

    def open_transaction(self, transaction: Transaction) -> None:
        """Take an open transaction; its request was taken before, if it is pending."""
        self.transactions.insert(transaction)
        if transaction.request_id in self._pending:
            self.calls.add(transaction)

    def remember(self, slot: Slot) -> None:
        """Keep a finished request for a while."""
        self._recent[slot.stored.terms.request_id] = slot
        while len(self._recent) > RECENT_REQUESTS:
            self._recent.popitem(last=False)

    def forget(self, request_ids: Collection[str]) -> None:
        """Forget finished requests: they were deleted."""
        self.transactions.forget(request_ids)
        for request_id in request_ids:
            self._recent.pop(request_id, None)

    def advanced(self, slot: Slot) -> None:
        """Move a request that has just ended out of the pending ones."""
        if slot.stored.state.status is Status.PENDING:
            return
        terms = slot.stored.terms
        request_id = terms.request_id
        if self._pending.pop(request_id, None) is None:
            return
        self.calls.remove(request_id)
        for device in terms.seats:
            key = (device, terms.integrator_id, terms.profile)
            self._counts[key] -= 1
            if not self._counts[key]:
                del self._counts[key]
            named = self._by_device.get(device)
            if named is not None:
                named.pop(request_id, None)
                if not named:
                    del self._by_device[device]
        self.remember(slot)
