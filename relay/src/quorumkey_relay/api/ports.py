"""What the HTTP layer needs of the relay behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from quorumkey.protocol import Envelope
    from quorumkey_relay.api.jit_ports import JitPort
    from quorumkey_relay.api.protection_ports import ProtectionPort
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.identity.principals import ApiKey, Integrator
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.observe.metrics import Metrics
    from quorumkey_relay.settings import Settings
    from quorumkey_relay.usecases import views
    from quorumkey_relay.usecases.commands import (
        AskBody,
        AttestationBody,
        PairingBody,
        PairingCodeBody,
        ReattestBody,
        WebhookBody,
    )
    from quorumkey_relay.usecases.idempotency import Idempotency


class EventPort(Protocol):
    """One event of an integrator: ``body`` is the webhook body as JSON in one line."""

    @property
    def id(self) -> str:
        """The event's id, a UUIDv7."""
        ...

    @property
    def type(self) -> str:
        """The webhook type, such as ``mpa.approved``."""
        ...

    @property
    def body(self) -> bytes:
        """The webhook body."""
        ...


class EnrolledPort(Protocol):
    """The outcome of an enrolment; ``first`` is False when a lost answer is given again."""

    @property
    def view(self) -> views.EnrolledView:
        """What the device is told."""
        ...

    @property
    def first(self) -> bool:
        """Whether this call enrolled the device."""
        ...


class UseCasesPort(Protocol):
    """The tasks of the relay; each answers a view, JSON bytes or a refusal.

    All may raise ProtocolError and StoreUnavailable.
    """

    @property
    def protection(self) -> ProtectionPort:
        """The tasks about protected methods."""
        ...

    async def ask(
        self, *, integrator: Integrator, body: AskBody, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Create an approval request (§5)."""
        ...

    async def read_request(
        self, *, integrator_id: str, request_id: str, wait_seconds: int = 0
    ) -> views.RequestView | Refusal:
        """Read a request, waiting for its end when asked to."""
        ...

    async def list_requests(
        self, *, integrator_id: str, status: str | None, limit: int, cursor: str | None
    ) -> views.Page[views.RequestView] | Refusal:
        """List the integrator's requests, newest first."""
        ...

    async def cancel_request(
        self, *, integrator_id: str, request_id: str
    ) -> views.RequestView | Refusal:
        """Withdraw a pending request."""
        ...

    async def read_receipt(self, *, integrator_id: str, request_id: str) -> bytes | Refusal:
        """Return the receipt envelope of a finished request (§8)."""
        ...

    async def read_deliveries(
        self, *, integrator_id: str, request_id: str
    ) -> views.DeliveriesView | Refusal:
        """Count deliveries per group and channel."""
        ...

    async def create_pairing(
        self, *, integrator: Integrator, body: PairingBody, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Make a pairing code (§4.1)."""
        ...

    async def read_pairing(
        self, *, integrator_id: str, pairing_id: str
    ) -> views.PairingView | Refusal:
        """Read a pairing (§4.4)."""
        ...

    async def list_devices(
        self, *, integrator_id: str, approver_id: str | None, limit: int, cursor: str | None
    ) -> views.Page[views.DeviceView] | Refusal:
        """List paired devices, newest first."""
        ...

    async def read_device(
        self, *, integrator_id: str, fingerprint: str
    ) -> views.DeviceView | Refusal:
        """Read one paired device."""
        ...

    async def remove_device(self, *, integrator_id: str, fingerprint: str) -> Refusal | None:
        """End a pairing."""
        ...

    async def preview_pairing(self, *, body: PairingCodeBody) -> views.PairingPreviewView | Refusal:
        """Show what a pairing code stands for, spending nothing (§4.2)."""
        ...

    async def issue_nonce(self) -> views.ChallengeView | Refusal:
        """Give out a nonce (§4.2)."""
        ...

    async def enroll(
        self, *, envelope: Envelope, push: Envelope | None, attestation: AttestationBody | None
    ) -> EnrolledPort | Refusal:
        """Enrol a device (§4.3)."""
        ...

    async def reattest(self, *, device: str, body: ReattestBody) -> views.ReattestedView | Refusal:
        """Judge new evidence of an enrolled device (§4.6)."""
        ...

    async def open_session(self, *, envelope: Envelope) -> views.SessionView | Refusal:
        """Open a device's session (§6)."""
        ...

    async def authenticate_stream(self, *, envelope: Envelope, nonce: bytes) -> str | Refusal:
        """Return whose session envelope this is; ``nonce`` is the hello's (§7)."""
        ...

    def device_of_token(self, token: str) -> str | None:
        """Return whose session this is."""
        ...

    async def device_requests(
        self, *, device: str, everything: bool, limit: int, cursor: str | None
    ) -> views.Page[views.DeviceRequestView] | Refusal:
        """List requests that name a device, newest first."""
        ...

    async def device_request(
        self, *, device: str, request_id: str
    ) -> views.DeviceRequestView | Refusal:
        """Read a request as one of its devices."""
        ...

    async def acknowledge(self, *, device: str, request_id: str) -> Refusal | None:
        """Note that the person was shown the request."""
        ...

    async def decide(self, *, request_id: str, envelope: Envelope) -> views.DecisionView | Refusal:
        """Count a decision (§5 Tally)."""
        ...

    async def set_push(self, *, envelope: Envelope) -> Refusal | None:
        """Replace a device's push address."""
        ...

    async def unpair(self, *, envelope: Envelope) -> Refusal | None:
        """End a device's pairings, by the device."""
        ...

    async def info(self) -> views.InfoView:
        """Describe the relay (§2)."""
        ...

    async def watch_events(
        self, *, integrator_id: str, last_event_id: str | None
    ) -> AsyncIterator[EventPort] | Refusal:
        """Follow the integrator's events from the one after ``last_event_id``."""
        ...

    async def create_webhook(
        self, *, integrator: Integrator, body: WebhookBody, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Make a webhook (§10)."""
        ...

    async def list_webhooks(
        self, *, integrator_id: str, limit: int, cursor: str | None
    ) -> views.Page[views.WebhookView] | Refusal:
        """List the integrator's webhooks, newest first."""
        ...

    async def read_webhook(
        self, *, integrator_id: str, webhook_id: str
    ) -> views.WebhookView | Refusal:
        """Read one webhook."""
        ...

    async def remove_webhook(self, *, integrator_id: str, webhook_id: str) -> Refusal | None:
        """Delete a webhook."""
        ...

    async def rotate_webhook(
        self, *, integrator_id: str, webhook_id: str, idempotency: Idempotency | None
    ) -> bytes | Refusal:
        """Give a webhook a new secret."""
        ...

    async def disable_webhook(
        self, *, integrator_id: str, webhook_id: str
    ) -> views.WebhookView | Refusal:
        """Send a webhook nothing until it is enabled."""
        ...

    async def enable_webhook(
        self, *, integrator_id: str, webhook_id: str
    ) -> views.WebhookView | Refusal:
        """Send a webhook events again."""
        ...

    async def try_webhook(
        self, *, integrator_id: str, webhook_id: str
    ) -> views.WebhookDeliveryView | Refusal:
        """Send a webhook a test event."""
        ...

    async def list_webhook_deliveries(
        self, *, integrator_id: str, webhook_id: str, limit: int, cursor: str | None
    ) -> views.Page[views.WebhookDeliveryView] | Refusal:
        """List deliveries to a webhook, newest first."""
        ...

    async def read_webhook_delivery(
        self, *, integrator_id: str, webhook_id: str, event_id: str
    ) -> views.WebhookDeliveryView | Refusal:
        """Read one delivery to a webhook."""
        ...

    async def resend_webhook_delivery(
        self, *, integrator_id: str, webhook_id: str, event_id: str
    ) -> views.WebhookDeliveryView | Refusal:
        """Send an event to a webhook again."""
        ...

    def api_key(self, token: str) -> tuple[ApiKey, Integrator] | None:
        """Return the live API key with this text and its integrator."""
        ...

    def pending_frames(self, device: str) -> list[bytes]:
        """Return the ``approval_request`` frames of what is pending, oldest first."""
        ...


class ConnectionPort(Protocol):
    """One authenticated socket, as the hub sees it. Nothing here blocks."""

    def offer(self, frame: bytes) -> bool:
        """Queue a frame; False when the socket is closing or its reader too slow."""
        ...

    def close(self, code: int) -> None:
        """Close the socket after the frame that is being sent."""
        ...


class HubPort(Protocol):
    """Which sockets are live, by device."""

    def attach(self, device: str, connection: ConnectionPort) -> None:
        """Make this the device's socket; an older one is closed as replaced."""
        ...

    def detach(self, device: str, connection: ConnectionPort) -> None:
        """Forget the socket if it still is the device's."""
        ...


class RelayPort(Protocol):
    """A started relay."""

    @property
    def usecases(self) -> UseCasesPort:
        """Its tasks."""
        ...

    @property
    def hub(self) -> HubPort:
        """Its live sockets."""
        ...

    @property
    def jit(self) -> JitPort | None:
        """Its just-in-time access, where that is on."""
        ...

    @property
    def settings(self) -> Settings:
        """Its settings."""
        ...

    @property
    def clock(self) -> Clock:
        """Its clock."""
        ...

    @property
    def mint(self) -> Mint:
        """Its source of ids and nonces."""
        ...

    @property
    def metrics(self) -> Metrics:
        """Its counters."""
        ...

    def ready(self) -> Sequence[str]:
        """Return what keeps it from serving, a sentence each; nothing when it can."""
        ...

    def warnings(self) -> Sequence[str]:
        """Return what an operator has to look at while it serves, a sentence each."""
        ...
