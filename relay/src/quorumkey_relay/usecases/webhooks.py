"""An integrator's webhooks: made, read, rotated, disabled and deleted (PROTOCOL §10)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from msgspec import UNSET, UnsetType

from quorumkey.protocol import format_time
from quorumkey.protocol.limits import WEBHOOK_ROTATION_SECONDS, WEBHOOK_SECRET_BYTES
from quorumkey.protocol.webhook import generate_secret
from quorumkey_relay.delivery.egress_url import EgressRefused, host_of
from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.store.records import EventRecord, Webhook
from quorumkey_relay.store.writes import AppendEvent, DeleteWebhook, PutWebhook
from quorumkey_relay.usecases.jit.events import JIT_EVENTS
from quorumkey_relay.usecases.protection.audit import AUDIT_EVENTS
from quorumkey_relay.usecases.read import BAD_CURSOR, is_request_id
from quorumkey_relay.usecases.render import encode
from quorumkey_relay.usecases.views import Page, WebhookSecretView, WebhookView

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import DisabledReason
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.commands import WebhookBody
    from quorumkey_relay.usecases.idempotency import Idempotency, Idempotent

MAX_WEBHOOKS_PER_INTEGRATOR: Final = 20
DISABLED_EVENT: Final = "webhook.disabled"
#: What may be asked for; a test comes to a webhook whatever it asks for.
EVENT_TYPES: Final = (
    "mpa.approved",
    "mpa.rejected",
    "mpa.timeout",
    "mpa.cancelled",
    "device.enrolled",
    "device.revoked",
    "device.assurance_changed",
    DISABLED_EVENT,
    *AUDIT_EVENTS,
    *JIT_EVENTS,
)
ALL_EVENTS: Final = "*"

TOO_MANY_WEBHOOKS: Final = Refusal(
    "invalid_request",
    f"An integrator has at most {MAX_WEBHOOKS_PER_INTEGRATOR} webhooks; delete one first.",
    {"limit": MAX_WEBHOOKS_PER_INTEGRATOR},
)
BAD_EVENTS: Final = Refusal(
    "invalid_request",
    f"events must be a list of {', '.join(EVENT_TYPES)}, or absent for all of them.",
)
# What a person can do about a URL; everything else is about the host's address.
_URL_ADVICE: Final = {
    "malformed_url": "url must be a complete https URL of at most 2,048 ASCII characters.",
    "malformed_host": "url must have a host name, or an IP address in its usual form.",
    "not_https": "url must be https.",
    "user_information": "url must not hold a user name or password.",
    "fragment": "url must not have a fragment.",
    "refused_port": "url must be at port 443 or at one from 1,024 up.",
}
_NOT_PUBLIC: Final = "url must have a host that the public internet reaches."


def view_of(webhook: Webhook, now: int) -> WebhookView:
    """Return a webhook without its secret."""
    until, failing = webhook.old_secret_until, webhook.failing_since
    return WebhookView(
        webhook_id=webhook.webhook_id,
        url=webhook.url,
        events=list(webhook.events) or [ALL_EVENTS],
        status=webhook.status,
        created_at=format_time(webhook.created_at),
        old_secret_expires_at=UNSET if now >= until else format_time(until),
        failing_since=UNSET if failing is None else format_time(failing),
        disabled_reason=webhook.disabled_reason or UNSET,
    )


def _with_secret(webhook: Webhook, secret: str, now: int) -> bytes:
    view = view_of(webhook, now)
    members = {name: getattr(view, name) for name in view.__struct_fields__}
    return encode(WebhookSecretView(**members, secret=secret))


def own_webhook(store: Store, integrator_id: str, webhook_id: str) -> Webhook | None:
    """Return a webhook of this integrator, or None for anybody else's and none at all."""
    webhook = store.directory.webhook(webhook_id)
    return None if webhook is None or webhook.integrator_id != integrator_id else webhook


def enabled(webhook: Webhook) -> Webhook:
    """Return a webhook that is sent events again; that it failed is forgotten."""
    return replace(webhook, status="active", disabled_reason=None, failing_since=None)


def disable_webhook(
    webhook: Webhook, *, reason: DisabledReason, now: int, mint: Mint
) -> tuple[PutWebhook, AppendEvent]:
    """Return the writes that disable a webhook and tell its integrator's other ones of it.

    What is queued for it waits, and is sent when it is enabled again in time. Of its address they
    are told the host: the rest may hold a secret, which is not the other receivers' to know.
    """
    disabled = replace(webhook, status="disabled", disabled_reason=reason)
    body = {
        "type": DISABLED_EVENT,
        "webhook_id": webhook.webhook_id,
        "host": host_of(webhook.url),
        "reason": reason,
        "timestamp": format_time(now),
    }
    event = EventRecord(
        id=mint.uuid7(),
        integrator_id=webhook.integrator_id,
        type=DISABLED_EVENT,
        subject=webhook.webhook_id,
        body=encode(body),
        created_at=now,
    )
    # In this order: what is disabled is not told of it.
    return (PutWebhook(disabled), AppendEvent(event))


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """Makes the secrets that sign webhooks; they are stored sealed."""

    mint: Mint
    vault: Vault

    def make(self) -> tuple[str, bytes]:
        """Return a new secret as it is shown, and as it is stored."""
        secret = generate_secret(self.mint.random(WEBHOOK_SECRET_BYTES))
        return secret, self.vault.seal(secret.encode())


@dataclass(frozen=True, slots=True, kw_only=True)
class CreateWebhook:
    """Takes an address that events are to go to; ``check_url`` raises ``EgressRefused``."""

    store: Store
    clock: Clock
    mint: Mint
    secrets: Secrets
    idempotent: Idempotent
    check_url: Callable[[str], None]

    async def __call__(
        self, *, integrator: Integrator, body: WebhookBody, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Return the new webhook as JSON, with the secret that signs what it is sent."""
        now = self.clock.now()

        def create() -> tuple[bytes, Commit] | Refusal:
            return self._create(integrator.id, body, now)

        return await self.idempotent(
            idempotency, integrator_id=integrator.id, now=now, create=create
        )

    def _create(
        self, integrator_id: str, body: WebhookBody, now: int
    ) -> tuple[bytes, Commit] | Refusal:
        events = _wanted(body.events)
        if isinstance(events, Refusal):
            return events
        try:
            self.check_url(body.url)
        except EgressRefused as refused:
            return Refusal("invalid_request", _URL_ADVICE.get(refused.reason, _NOT_PUBLIC))
        if len(self.store.directory.webhooks(integrator_id)) >= MAX_WEBHOOKS_PER_INTEGRATOR:
            return TOO_MANY_WEBHOOKS
        secret, sealed = self.secrets.make()
        webhook = Webhook(
            webhook_id=self.mint.uuid7(),
            integrator_id=integrator_id,
            url=body.url,
            events=events,
            secret=sealed,
            created_at=now,
        )
        return _with_secret(webhook, secret, now), (PutWebhook(webhook),)


def _wanted(events: list[str] | UnsetType) -> tuple[str, ...] | Refusal:
    """Return the types that are wanted, each once; none where all are."""
    if isinstance(events, UnsetType) or events == [ALL_EVENTS]:
        return ()
    if not events or not set(EVENT_TYPES).issuperset(events):
        return BAD_EVENTS
    return tuple(dict.fromkeys(events))


@dataclass(frozen=True, slots=True, kw_only=True)
class ListWebhooks:
    """An integrator's webhooks, newest first."""

    store: Store
    clock: Clock

    async def __call__(
        self, *, integrator_id: str, limit: int, cursor: str | None
    ) -> Page[WebhookView] | Refusal:
        """Return a page; ``cursor`` is the id of the last webhook of the page before."""
        if cursor is not None and not is_request_id(cursor):
            return BAD_CURSOR
        await self.store.settled()
        found = sorted(
            (
                webhook
                for webhook in self.store.directory.webhooks(integrator_id)
                if cursor is None or webhook.webhook_id < cursor
            ),
            key=lambda webhook: webhook.webhook_id,
            reverse=True,
        )
        shown, now = found[:limit], self.clock.now()
        return Page(
            [view_of(webhook, now) for webhook in shown],
            shown[-1].webhook_id if len(found) > limit else None,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadWebhook:
    """One webhook."""

    store: Store
    clock: Clock

    async def __call__(self, *, integrator_id: str, webhook_id: str) -> WebhookView | Refusal:
        """Return the webhook."""
        await self.store.settled()
        webhook = own_webhook(self.store, integrator_id, webhook_id)
        return NOT_FOUND if webhook is None else view_of(webhook, self.clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoveWebhook:
    """A webhook goes, with all that was to be sent to it."""

    store: Store

    async def __call__(self, *, integrator_id: str, webhook_id: str) -> Refusal | None:
        """Delete the webhook."""
        if own_webhook(self.store, integrator_id, webhook_id) is None:
            return NOT_FOUND
        await self.store.commit((DeleteWebhook(webhook_id),))
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class RotateWebhook:
    """A webhook gets another secret, and the one that it had signs too for a day.

    No more than two sign: of one that is rotated again within the day, the oldest signs no more.
    So rotating twice ends a secret that others know at once.
    """

    store: Store
    clock: Clock
    secrets: Secrets
    idempotent: Idempotent

    async def __call__(
        self, *, integrator_id: str, webhook_id: str, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Return the webhook as JSON, with its new secret."""
        now = self.clock.now()

        def create() -> tuple[bytes, Commit] | Refusal:
            webhook = own_webhook(self.store, integrator_id, webhook_id)
            if webhook is None:
                return NOT_FOUND
            secret, sealed = self.secrets.make()
            rotated = replace(
                webhook,
                secret=sealed,
                old_secret=webhook.secret,
                old_secret_until=now + WEBHOOK_ROTATION_SECONDS,
            )
            return _with_secret(rotated, secret, now), (PutWebhook(rotated),)

        return await self.idempotent(
            idempotency, integrator_id=integrator_id, now=now, create=create
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DisableWebhook:
    """A webhook is sent nothing until it is enabled; what is queued for it waits so long."""

    store: Store
    clock: Clock

    async def __call__(self, *, integrator_id: str, webhook_id: str) -> WebhookView | Refusal:
        """Return the webhook, disabled; one that was stays as it is."""
        webhook = own_webhook(self.store, integrator_id, webhook_id)
        if webhook is None:
            return NOT_FOUND
        if webhook.status == "active":
            webhook = replace(webhook, status="disabled", disabled_reason="requested")
            await self.store.commit((PutWebhook(webhook),))
        await self.store.settled()
        return view_of(webhook, self.clock.now())


@dataclass(frozen=True, slots=True, kw_only=True)
class EnableWebhook:
    """A webhook is sent events again; that it failed is forgotten."""

    store: Store
    clock: Clock

    async def __call__(self, *, integrator_id: str, webhook_id: str) -> WebhookView | Refusal:
        """Return the webhook, active; one that was stays as it is."""
        webhook = own_webhook(self.store, integrator_id, webhook_id)
        if webhook is None:
            return NOT_FOUND
        if webhook.status == "disabled":
            webhook = enabled(webhook)
            await self.store.commit((PutWebhook(webhook),))
        await self.store.settled()
        return view_of(webhook, self.clock.now())
