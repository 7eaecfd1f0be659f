"""The store's port: reads that never write, and one atomic commit.

A backend owns what it holds in memory. ``commit`` compares the version of every request that it
changes, applies all writes or none, and returns once they are durable. What a read reports is
durable too: ``settled`` waits for commits that are still on their way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from quorumkey_relay.store.access import AccessStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence

    from quorumkey_relay.domain.forms import Executor
    from quorumkey_relay.domain.model import Status
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.transactions import Caller, Claim, Transaction
    from quorumkey_relay.identity.principals import (
        ApiKey,
        Attestation,
        BoundAppAttestKey,
        Device,
        Integrator,
        Pairing,
    )
    from quorumkey_relay.store.records import (
        Delivery,
        EventRecord,
        Evidence,
        IdempotentAnswer,
        Stored,
        Summary,
        Webhook,
        WebhookAttempt,
        WebhookDelivery,
    )
    from quorumkey_relay.store.writes import Change, Commit


class StoreError(Exception):
    """Base of everything a store raises."""


class StoreUnavailable(StoreError):  # noqa: N818 - the name of the answer it leads to
    """The store cannot be reached or written; nothing of the commit happened."""


class Conflict(StoreError):  # noqa: N818 - the name the architecture gives it
    """What a commit rests on changed since it was loaded; load it and decide again."""


class AlreadyServed(StoreError):  # noqa: N818 - says what is wrong
    """Another process serves this data."""


class Directory(Protocol):
    """Integrators, keys, devices and open pairings; held in memory, so reads are plain calls."""

    def integrator(self, integrator_id: str) -> Integrator | None:
        """Return an integrator by id."""
        ...

    def api_key(self, digest: bytes) -> ApiKey | None:
        """Return an API key, revoked ones too, by the SHA-256 of its text."""
        ...

    def keys_of(self, integrator_id: str) -> Sequence[ApiKey]:
        """Return an integrator's API keys, oldest first, revoked ones too."""
        ...

    def device(self, fingerprint: str) -> Device | None:
        """Return a device, revoked ones too."""
        ...

    def pairing_by_code(self, code_digest: bytes) -> Pairing | None:
        """Return a pairing by the digest of its code, expired and used ones too."""
        ...

    def app_attest_key(self, key_id: bytes) -> BoundAppAttestKey | None:
        """Return an App Attest key with the newest counter."""
        ...

    def webhook(self, webhook_id: str) -> Webhook | None:
        """Return a webhook, disabled ones too."""
        ...

    def webhooks(self, integrator_id: str) -> Sequence[Webhook]:
        """Return an integrator's webhooks, oldest first."""
        ...

    def devices_of(self, integrator_id: str, approver_id: str) -> Sequence[Device]:
        """Return the unrevoked devices that are paired for an approver, oldest pairing first."""
        ...

    def protection(self, integrator_id: str) -> Protection | None:
        """Return an integrator's protection; None where nothing was ever said about it."""
        ...

    def protections(self) -> Sequence[Protection]:
        """Return every integrator's protection."""
        ...


class Store(AccessStore, Protocol):
    """Everything the use cases need of a backend."""

    @property
    def directory(self) -> Directory:
        """The integrators, keys, devices and pairings."""
        ...

    def commit(self, writes: Commit) -> Awaitable[None]:
        """Apply all writes or none; done when durable.

        What it applies is seen by later loads of this process at once. Raises ``Conflict`` or
        ``StoreUnavailable``.
        """
        ...

    async def settled(self) -> None:
        """Return when every commit made before this call is durable."""
        ...

    def subscribe(self, listener: Callable[[Commit], None]) -> None:
        """Call ``listener`` with every commit once it is durable, in order.

        Events that another process appended are told as commits too, in the stream's order.
        """
        ...

    def subscribe_changes(self, listener: Callable[[Change, str], None]) -> None:
        """Call ``listener`` with what another process (the command line) changed."""
        ...

    async def load(self, request_id: str) -> Stored | None:
        """Return a request for deciding: the newest state, durable or not."""
        ...

    def pending(self) -> Iterable[Stored]:
        """Return all requests that are not written down as finished, oldest first."""
        ...

    def find_pending(self, request_id: str) -> Stored | None:
        """Return a request of ``pending`` by id."""
        ...

    def pending_for(self, device: str) -> Sequence[Stored]:
        """Return the requests of ``pending`` that name a device, oldest first."""
        ...

    def pending_count(self, device: str, *, integrator_id: str, profile: str) -> int:
        """Return how many requests of ``pending`` name a device, of one integrator and profile."""
        ...

    async def summary(self, request_id: str) -> Summary | None:
        """Return what a read reports."""
        ...

    async def summaries(
        self, *, integrator_id: str, status: Status | None, before: str | None, limit: int, now: int
    ) -> Sequence[Summary]:
        """Return up to ``limit`` summaries, newest first, older than request id ``before``.

        ``status`` is judged at ``now``.
        """
        ...

    async def device_requests(
        self, *, device: str, before: str | None, limit: int
    ) -> Sequence[Stored]:
        """Return up to ``limit`` requests that name a device, newest first."""
        ...

    async def evidence(self, request_id: str) -> Sequence[Evidence]:
        """Return the decisions that count, in the order they were counted."""
        ...

    def find_transaction(self, integrator_id: str, match_key: bytes) -> Transaction | None:
        """Return the newest transaction for a call that is neither claimed nor withdrawn.

        Its request is pending or approved, as far as that is written down: its time may be over.
        It is the newest state, durable or not.
        """
        ...

    def find_claimed(
        self, integrator_id: str, match_key: bytes, key_digest: bytes
    ) -> Transaction | None:
        """Return the transaction for a call that was claimed under a key and has no result yet.

        It is the newest state, durable or not.
        """
        ...

    def waiting_calls(
        self, integrator_id: str, *, executor: Executor, caller: Caller | None = None
    ) -> Collection[str]:
        """Return the ids of the pending requests of calls, of one caller or of all.

        It is the newest state, durable or not, and changes with it: look before the next await.
        """
        ...

    def open_transactions(self) -> Iterable[Transaction]:
        """Return the transactions that something can still happen to, oldest first.

        Those are: not withdrawn, request pending or approved, and, if claimed, without a result.
        """
        ...

    async def transaction(self, request_id: str) -> Transaction | None:
        """Return a transaction by id, as new as ``load``; wait for ``settled`` before telling."""
        ...

    async def transactions(
        self, *, integrator_id: str, before: str | None, limit: int
    ) -> Sequence[Transaction]:
        """Return up to ``limit`` transactions, newest first, older than txid ``before``."""
        ...

    async def claim(self, claim_id: str) -> Claim | None:
        """Return a claim by id, as new as ``load``."""
        ...

    async def claim_of(self, request_id: str) -> Claim | None:
        """Return the claim on a request, as new as ``load``."""
        ...

    async def overdue_claims(self, *, now: int, limit: int) -> Sequence[Claim]:
        """Return up to ``limit`` claims without a result whose ``result_by`` has come.

        The longest overdue first, of every executor.
        """
        ...

    async def pairing(self, pairing_id: str) -> Pairing | None:
        """Return a pairing by id."""
        ...

    async def devices(
        self, *, integrator_id: str, approver_id: str | None, before: str | None, limit: int
    ) -> Sequence[Pairing]:
        """Return ties of devices to an integrator, newest first, older than pairing ``before``."""
        ...

    async def tie(self, *, integrator_id: str, device: str) -> Pairing | None:
        """Return the newest tie, in force or ended, of a device to an integrator."""
        ...

    async def attestation(self, device: str) -> Attestation | None:
        """Return what a device last proved."""
        ...

    async def attested_by(
        self, serials: Collection[str], *, limit: int
    ) -> Sequence[tuple[str, str]]:
        """Return up to ``limit`` pairs: a serial (lower-case hex), a device it vouches for.

        Neither revoked devices nor attestations that are known to be revoked are among them.
        """
        ...

    async def app_attest_receipt(self, key_id: bytes) -> bytes | None:
        """Return the newest receipt of an App Attest key, as DER."""
        ...

    async def events(
        self, *, integrator_id: str, after: str | None, limit: int
    ) -> Sequence[EventRecord] | None:
        """Return events in order after event id ``after``; None when that one is not kept."""
        ...

    async def event(self, event_id: str) -> EventRecord | None:
        """Return an event by id."""
        ...

    async def deliveries(self, request_id: str) -> Sequence[Delivery]:
        """Return the delivery log of a request."""
        ...

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """Return a delivery by id, as it is on the disk."""
        ...

    async def claim_deliveries(
        self, *, now: int, lease_seconds: int, limit: int, busy: Collection[str] = ()
    ) -> Sequence[Delivery]:
        """Claim up to ``limit`` deliveries for ``lease_seconds``, earliest ``not_after`` first.

        Claimed are those that are queued and due, that nobody has claimed, and whose channel is
        not in ``busy``. The claim is durable before they are returned.
        """
        ...

    async def release_leases(self) -> None:
        """Let go of all that was claimed: at a start nobody works on it any more."""
        ...

    async def advance_deliveries(self, *, now: int) -> None:
        """Have no queued message to a device be due, or claimed, later than ``now``.

        That is what is to be done after the clock was set back: until it has caught up, nothing
        that waits for another try would be sent.
        """
        ...

    async def claim_webhook_deliveries(
        self, *, now: int, lease_seconds: int, limit: int, busy: Collection[str]
    ) -> Sequence[WebhookDelivery]:
        """Claim up to ``limit`` deliveries for ``lease_seconds``; the claim is durable.

        Claimed are those that are queued and due, that nobody else has claimed, whose webhook is
        active and not in ``busy``, and whose subject has no earlier one queued for that webhook.
        No webhook gets more than a fair part of the limit. What could not be delivered in time
        becomes failed.
        """
        ...

    async def webhook_deliveries(
        self, *, webhook_id: str, before: str | None, limit: int
    ) -> Sequence[tuple[WebhookDelivery, Sequence[WebhookAttempt]]]:
        """Return deliveries with their attempts, newest first, older than event id ``before``."""
        ...

    async def webhook_delivery(
        self, *, webhook_id: str, event_id: str
    ) -> tuple[WebhookDelivery, Sequence[WebhookAttempt]] | None:
        """Return a delivery with its attempts, oldest first."""
        ...

    async def answer(self, *, integrator_id: str, path: str, key: str) -> IdempotentAnswer | None:
        """Return the first answer under an idempotency key."""
        ...

    async def successions(self) -> Sequence[tuple[bytes, str, int]]:
        """Return ``(envelope, next fingerprint, not_before)``, oldest first."""
        ...

    async def prune(self, *, requests_before: int, events_before: int, answers_before: int) -> int:
        """Delete what ended, happened or was answered before these times; return how much.

        A transaction and a claim go with their request, which stays while something can still
        happen to its transaction. Events about protected methods and access are kept as long as
        requests, and so are what was asked of peers, activations that have ended, and mail.
        An event goes with its deliveries to webhooks, once none of them can still be delivered.
        """
        ...

    async def check(self) -> Mapping[str, str]:
        """Say how the store is; raises ``StoreUnavailable`` when it cannot be written."""
        ...
