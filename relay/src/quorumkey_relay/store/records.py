"""What a store holds, beside the principals: requests, evidence, events, deliveries, answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.domain.model import Choice, State, Status, Terms


@dataclass(slots=True)
class Stored:
    """A request as the store holds it: terms, the newest state, and the signed document."""

    terms: Terms
    state: State
    document: Envelope
    nonce: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """A counted decision as it was signed."""

    device: str
    choice: Choice
    envelope: Envelope


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """What a read or list of a request reports, without its document."""

    request_id: str
    integrator_id: str
    profile: str
    status: Status
    required: int
    groups_total: int
    satisfied: tuple[str, ...]
    digest: str
    created_at: int
    expires_at: int
    use_by: int
    completed_at: int | None


#: What types of events begin with that are kept as long as requests are.
LASTING_EVENTS: Final = ("protected_method.", "protection.", "jit.")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRecord:
    """An event for an integrator: ``id`` is a UUIDv7, ``body`` the webhook body (PROTOCOL §10).

    ``subject`` is what it is about: the id of a request or webhook, or a device's fingerprint.
    """

    id: str
    integrator_id: str
    type: str
    subject: str
    body: bytes
    created_at: int

    @property
    def lasts(self) -> bool:
        """Say whether it is kept as long as requests are.

        Those are: who governs protected methods, and how; and who was given access, and by whom.

        Other events are kept for as long as a client may take to come back to the stream.
        """
        return self.type.startswith(LASTING_EVENTS)


DeliveryState = Literal["queued", "sent", "accepted", "failed", "dropped", "acknowledged"]
DeliveryKind = Literal["approval_request", "request_resolved"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message to one device on one channel: outbox row and delivery log in one.

    ``not_after`` is the last second at which it is of use; ``next_at`` when it may be tried
    (again); ``attempts`` how often it was. While it is claimed, nobody else takes it before
    ``leased_until``; 0 where nobody has claimed it. ``created_at`` is when it was planned and
    ``changed_at`` when its state last changed. Times in seconds since the epoch.
    """

    id: str
    request_id: str
    device: str
    channel: str
    kind: DeliveryKind
    not_after: int
    next_at: int
    created_at: int
    changed_at: int
    leased_until: int = 0
    attempts: int = 0
    state: DeliveryState = "queued"
    reason: str | None = None


#: For so long after it was queued, or queued again, a delivery to a webhook is tried.
WEBHOOK_DELIVERY_SECONDS: Final = 86_400
#: How many attempts of one delivery are kept, the newest.
MAX_WEBHOOK_ATTEMPTS_KEPT: Final = 50
#: The type of the event that one webhook is sent because its integrator asked for a test.
TEST_EVENT: Final = "webhook.test"

WebhookStatus = Literal["active", "disabled"]
#: By its integrator, by the relay's operator, after days of failure, or because it answered 410.
DisabledReason = Literal["requested", "operator", "failing", "gone"]
WebhookDeliveryState = Literal["queued", "delivered", "failed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """An integrator's endpoint for events (PROTOCOL §10); its ``url`` may hold a secret.

    ``events`` are the types that it wants, all where it is empty. ``secret`` is sealed, as is
    ``old_secret``, which signs too until ``old_secret_until``. ``failing_since`` is when the
    first of the attempts failed that have failed in a row; ``disabled_reason`` why it gets
    nothing any more. Times in seconds since the epoch.
    """

    webhook_id: str
    integrator_id: str
    url: str = field(repr=False)
    events: tuple[str, ...]
    secret: bytes = field(repr=False)
    created_at: int
    status: WebhookStatus = "active"
    old_secret: bytes | None = field(default=None, repr=False)
    old_secret_until: int = 0
    failing_since: int | None = None
    disabled_reason: DisabledReason | None = None

    def wants(self, event_type: str) -> bool:
        """Say whether events of this type go there now."""
        return self.status == "active" and (not self.events or event_type in self.events)


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookAttempt:
    """One try to deliver an event: the HTTP ``status`` of the answer, or the ``reason``."""

    at: int
    milliseconds: int
    status: int | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookDelivery:
    """One event on its way to one webhook; both together name it.

    ``subject`` is what the event is about: of one subject's events the earlier one goes first.
    ``body`` is the event's. It is tried from ``next_at`` on, and no more from ``not_after`` on;
    ``attempts`` counts the tries since it was queued, or queued again. Who claimed it has it to
    himself before ``leased_until``. Times in seconds since the epoch.
    """

    webhook_id: str
    event_id: str
    event_type: str
    subject: str
    body: bytes = field(repr=False)
    created_at: int
    not_after: int
    next_at: int
    leased_until: int = 0
    attempts: int = 0
    state: WebhookDeliveryState = "queued"


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotentAnswer:
    """The first answer under an idempotency key; ``body_digest`` is of the request's bytes."""

    integrator_id: str
    path: str
    key: str
    body_digest: bytes
    answer: bytes = field(repr=False)
    created_at: int
