"""What the relay answers, member by member (PROTOCOL §2 to §6); absent members are left out."""

from __future__ import annotations

from typing import Generic, Literal, TypeVar

from msgspec import UNSET, Raw, Struct, UnsetType

T = TypeVar("T")

Status = Literal["pending", "approved", "rejected", "timeout", "cancelled"]
Platform = Literal["ios", "android", "web", "cli"]


class PartyView(Struct, frozen=True):
    """An integrator, requester or approver: id and, if known, name."""

    id: str
    name: str | UnsetType = UNSET


class ApproverNameView(Struct, frozen=True):
    """What a pairing preview tells of the approver."""

    name: str | UnsetType = UNSET


class RequestView(Struct, frozen=True):
    """The request object of §5; times are RFC 3339 text."""

    request_id: str
    profile: str
    status: Status
    groups_required: int
    groups_total: int
    groups_satisfied: list[str]
    request_digest: str
    created_at: str
    expires_at: str
    use_by: str
    completed_at: str | UnsetType = UNSET


class Page(Struct, Generic[T], frozen=True):
    """One page of a list, newest first."""

    data: list[T]
    next_cursor: str | None


class PairingCreatedView(Struct, frozen=True):
    """Answer to ``POST /v1/pairings``."""

    pairing_id: str
    pairing_code: str
    pairing_url: str
    expires_at: str


class PairedDeviceView(Struct, frozen=True):
    """The device of a finished pairing."""

    fingerprint: str
    device_public_key: str
    platform: Platform
    assurance: str
    enrolled_at: str


class PairingView(Struct, frozen=True):
    """``GET /v1/pairings/{id}``; ``enrollment`` is the envelope the device sent."""

    pairing_id: str
    status: Literal["pending", "paired", "expired"]
    device: PairedDeviceView | UnsetType = UNSET
    enrollment: Raw | UnsetType = UNSET
    attestation: Raw | UnsetType = UNSET


class PairingPreviewView(Struct, frozen=True):
    """Answer to ``POST /v1/device/pairing``."""

    integrator: PartyView
    approver: ApproverNameView
    relay: str
    expires_at: str


class ChallengeView(Struct, frozen=True):
    """Answer to ``POST /v1/device/challenge``."""

    nonce: str
    expires_at: str
    relay: str
    relay_public_key: str


class EnrolledView(Struct, frozen=True):
    """Answer to ``POST /v1/device/enroll``."""

    fingerprint: str
    pictogram: list[str]
    pictogram_speakable: str
    integrator: PartyView
    relay_public_key: str
    assurance: str


class ReattestedView(Struct, frozen=True):
    """Answer to ``POST /v1/device/reattest``."""

    fingerprint: str
    assurance: str


class SessionView(Struct, frozen=True):
    """Answer to ``POST /v1/device/session``."""

    token: str
    expires_at: str


class DeviceView(Struct, frozen=True):
    """A device as its integrator sees it (§5 Reading)."""

    fingerprint: str
    device_public_key: str
    pictogram: list[str]
    platform: Platform
    assurance: str
    approver: PartyView
    enrolled_at: str
    revoked_at: str | UnsetType = UNSET


class DeviceRequestView(Struct, frozen=True):
    """A request as one of its devices sees it (§6); envelopes as JSON."""

    request_id: str
    request: Raw
    challenge: Raw
    group: str
    status: Status
    groups_satisfied_count: int
    groups_required: int
    my_decision: Literal["approve", "deny"] | UnsetType = UNSET


class DecisionView(Struct, frozen=True):
    """Answer to a decision (§6)."""

    status: Status
    groups_satisfied_count: int
    groups_required: int
    decision: Literal["approve", "deny"]


class DeliveryCountsView(Struct, frozen=True):
    """How many devices of a group are in which state on one channel."""

    queued: int = 0
    sent: int = 0
    accepted: int = 0
    failed: int = 0
    dropped: int = 0
    acknowledged: int = 0


class GroupDeliveriesView(Struct, frozen=True):
    """Delivery counts of one group by channel."""

    group: str
    channels: dict[str, DeliveryCountsView]


class DeliveriesView(Struct, frozen=True):
    """Answer to ``GET /v1/requests/{id}/deliveries``."""

    request_id: str
    groups: list[GroupDeliveriesView]


class WebhookView(Struct, frozen=True, kw_only=True):
    """A webhook as its integrator sees it (§10); ``["*"]`` stands for every type of event."""

    webhook_id: str
    url: str
    events: list[str]
    status: Literal["active", "disabled"]
    created_at: str
    old_secret_expires_at: str | UnsetType = UNSET
    failing_since: str | UnsetType = UNSET
    disabled_reason: Literal["requested", "operator", "failing", "gone"] | UnsetType = UNSET


class WebhookSecretView(WebhookView, frozen=True, kw_only=True):
    """A webhook with its new secret, which is shown this once."""

    secret: str


class WebhookAttemptView(Struct, frozen=True, kw_only=True):
    """One try: the HTTP ``status`` of the answer, or the ``reason`` why there was none."""

    at: str
    status: int | UnsetType = UNSET
    reason: str | UnsetType = UNSET
    duration_ms: int


class WebhookDeliveryView(Struct, frozen=True, kw_only=True):
    """One event on its way to one webhook; ``event_id`` is its ``webhook-id`` header."""

    event_id: str
    type: str
    status: Literal["queued", "delivered", "failed"]
    created_at: str
    next_attempt_at: str | UnsetType = UNSET
    attempts: list[WebhookAttemptView]


class WebAuthnSettingsView(Struct, frozen=True):
    """What a passkey verifier of this relay expects."""

    rp_id: str
    origins: list[str]


class InfoView(Struct, frozen=True):
    """``GET /v1/info`` (§2).

    ``web_push_key`` is what browsers subscribe with: a P-256 point, 65 bytes, base64url.
    """

    relay: str
    relay_public_key: str
    pictogram: list[str]
    pictogram_speakable: str
    version: str
    attestation: Literal["off", "preferred", "required"]
    webauthn: WebAuthnSettingsView
    successions: list[Raw]
    time: str
    web_push_key: str | UnsetType = UNSET
    unsafe_test_root: bool | UnsetType = UNSET
