"""What a commit may hold: the writes, each a fact that becomes durable with the others."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.mail import Mail
    from quorumkey_relay.domain.jit.policy import StoredPolicy
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.domain.model import Event, State, Terms
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.transactions import Claim, Transaction, Withdrawal
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
        Webhook,
        WebhookAttempt,
        WebhookDelivery,
    )


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """A new request; its state is version 0."""

    stored: Stored


@dataclass(frozen=True, slots=True)
class AdvanceRequest:
    """A request moves from ``before`` to ``after`` by ``events``; refused as Conflict if it moved.

    ``evidence`` holds the envelope of each ``Counted`` event, in order.
    """

    terms: Terms
    before: State
    after: State
    events: tuple[Event, ...]
    evidence: tuple[Evidence, ...] = ()


@dataclass(frozen=True, slots=True)
class PutIntegrator:
    """A new integrator."""

    integrator: Integrator


@dataclass(frozen=True, slots=True)
class PutApiKey:
    """A new or changed API key."""

    key: ApiKey


@dataclass(frozen=True, slots=True)
class PutPairing:
    """A new, spent or ended pairing."""

    pairing: Pairing


@dataclass(frozen=True, slots=True)
class PutDevice:
    """A new or changed device; its ties travel as ``PutPairing``."""

    device: Device


@dataclass(frozen=True, slots=True)
class PutAttestation:
    """What a device has just proved; it takes the place of what it proved before."""

    attestation: Attestation


@dataclass(frozen=True, slots=True)
class BindAppAttestKey:
    """An App Attest key vouches for a device; refused as Conflict if it does for another.

    The counter of a key that is bound to the device already is left as it is.
    """

    key: BoundAppAttestKey
    receipt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AdvanceCounter:
    """An App Attest key's counter grows; Conflict where it is not ``expected``, or would not."""

    key_id: bytes
    expected: int
    new: int


@dataclass(frozen=True, slots=True)
class AppendEvent:
    """An event for an integrator's stream and webhooks; a test goes to one webhook alone.

    In the same commit it is queued for each webhook that wants it.
    """

    event: EventRecord
    only_for: str | None = None


@dataclass(frozen=True, slots=True)
class PutDelivery:
    """A new or changed delivery."""

    delivery: Delivery


@dataclass(frozen=True, slots=True)
class PutWebhook:
    """A new or changed webhook; of a changed one, what differs from what memory holds is written.

    So what another process has just changed of it stays.
    """

    webhook: Webhook


@dataclass(frozen=True, slots=True)
class DeleteWebhook:
    """A webhook goes, and nothing is sent to it any more; ``prune`` deletes its deliveries."""

    webhook_id: str


@dataclass(frozen=True, slots=True)
class QueueWebhookDelivery:
    """A delivery that is known is due ``now``, as if it had not been tried, until ``not_after``."""

    webhook_id: str
    event_id: str
    now: int
    not_after: int


@dataclass(frozen=True, slots=True)
class SettleWebhookDelivery:
    """What became of a claimed delivery: its new state, and the attempt, if there was one.

    The lease ends. One that failed for good stays queued where it was queued again meanwhile.
    Where the lease had ended before and another claim has followed, only an arrival still counts.
    """

    delivery: WebhookDelivery
    attempt: WebhookAttempt | None


@dataclass(frozen=True, slots=True)
class KeepAnswer:
    """The first answer to an idempotency key."""

    answer: IdempotentAnswer


@dataclass(frozen=True, slots=True)
class PutSuccession:
    """A relay key names its follower (PROTOCOL §11)."""

    envelope: bytes
    next_fingerprint: str
    not_before: int


@dataclass(frozen=True, slots=True)
class PutProtection:
    """A new or changed protection of an integrator; Conflict where ``before`` is not the newest.

    ``before`` is None where the integrator had none.
    """

    before: Protection | None
    after: Protection


@dataclass(frozen=True, slots=True)
class OpenTransaction:
    """A gated call, in the commit that opens its request; Conflict where the same call waits."""

    transaction: Transaction


@dataclass(frozen=True, slots=True)
class WithdrawTransaction:
    """An approval can no longer be claimed; Conflict where that is so already, or there is none."""

    request_id: str
    withdrawal: Withdrawal


@dataclass(frozen=True, slots=True)
class TakeClaim:
    """An approval is claimed; Conflict where there is none, or it was claimed or withdrawn."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class SettleClaim:
    """A claim has its result; Conflict where it had one before."""

    claim: Claim


@dataclass(frozen=True, slots=True)
class PutAccessRequest:
    """A new or changed request for a role; Conflict where ``before`` is not the newest."""

    before: AccessRequest | None
    after: AccessRequest


@dataclass(frozen=True, slots=True)
class PutActivation:
    """A new or changed activation; Conflict where ``before`` is not the newest.

    Conflict too where its access request has another activation already.
    """

    before: Activation | None
    after: Activation


@dataclass(frozen=True, slots=True)
class PutPolicy:
    """A new, changed or removed policy; Conflict where ``before`` is not the newest."""

    before: StoredPolicy | None
    after: StoredPolicy | None


@dataclass(frozen=True, slots=True)
class PutMail:
    """A new message, or what became of one."""

    mail: Mail


Write = (
    OpenRequest
    | AdvanceRequest
    | PutIntegrator
    | PutApiKey
    | PutPairing
    | PutDevice
    | PutAttestation
    | BindAppAttestKey
    | AdvanceCounter
    | AppendEvent
    | PutDelivery
    | PutWebhook
    | DeleteWebhook
    | QueueWebhookDelivery
    | SettleWebhookDelivery
    | KeepAnswer
    | PutSuccession
    | PutProtection
    | OpenTransaction
    | WithdrawTransaction
    | TakeClaim
    | SettleClaim
    | PutAccessRequest
    | PutActivation
    | PutPolicy
    | PutMail
)


Commit = tuple[Write, ...]
# What another process changed: the kind, and which one (its id, fingerprint or event id).
Change = Literal[
    "integrator",
    "api_key",
    "pairing",
    "device",
    "event",
    "succession",
    "recheck",
    "webhook",
    "protection",
]
