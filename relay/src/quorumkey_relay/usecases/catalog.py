"""All use cases of one relay, put together."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.delivery.websocket import request_frame

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.delivery.challenges import Challenges
    from quorumkey_relay.domain.refusal import Refusal
    from quorumkey_relay.identity.principals import ApiKey, Integrator
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.answer import AnswerRequest
    from quorumkey_relay.usecases.ask import AskApproval
    from quorumkey_relay.usecases.devices import ListDevices, ReadDevice
    from quorumkey_relay.usecases.enrol import EnrollDevice
    from quorumkey_relay.usecases.inbox import Inbox
    from quorumkey_relay.usecases.info import DescribeRelay
    from quorumkey_relay.usecases.pair import CreatePairing, PreviewPairing, ReadPairing
    from quorumkey_relay.usecases.protection.catalog import ProtectionCases
    from quorumkey_relay.usecases.push import SetPush
    from quorumkey_relay.usecases.read import (
        CancelRequest,
        ListRequests,
        ReadDeliveries,
        ReadReceipt,
        ReadRequest,
    )
    from quorumkey_relay.usecases.reattest import ReattestDevice
    from quorumkey_relay.usecases.session import IssueNonce, OpenSession
    from quorumkey_relay.usecases.standing import RemoveDevice, UnpairDevice
    from quorumkey_relay.usecases.views import DeviceRequestView, Page, SessionView
    from quorumkey_relay.usecases.watch import WatchEvents
    from quorumkey_relay.usecases.webhook_log import (
        ListWebhookDeliveries,
        ReadWebhookDelivery,
        ResendWebhookDelivery,
        TryWebhook,
    )
    from quorumkey_relay.usecases.webhooks import (
        CreateWebhook,
        DisableWebhook,
        EnableWebhook,
        ListWebhooks,
        ReadWebhook,
        RemoveWebhook,
        RotateWebhook,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UseCases:
    """What the HTTP layer calls: one attribute or method a call of the protocol."""

    protection: ProtectionCases
    ask: AskApproval
    read_request: ReadRequest
    list_requests: ListRequests
    cancel_request: CancelRequest
    read_receipt: ReadReceipt
    read_deliveries: ReadDeliveries
    create_pairing: CreatePairing
    read_pairing: ReadPairing
    preview_pairing: PreviewPairing
    list_devices: ListDevices
    read_device: ReadDevice
    remove_device: RemoveDevice
    issue_nonce: IssueNonce
    enroll: EnrollDevice
    reattest: ReattestDevice
    decide: AnswerRequest
    set_push: SetPush
    unpair: UnpairDevice
    info: DescribeRelay
    watch_events: WatchEvents
    create_webhook: CreateWebhook
    list_webhooks: ListWebhooks
    read_webhook: ReadWebhook
    remove_webhook: RemoveWebhook
    rotate_webhook: RotateWebhook
    disable_webhook: DisableWebhook
    enable_webhook: EnableWebhook
    try_webhook: TryWebhook
    list_webhook_deliveries: ListWebhookDeliveries
    read_webhook_delivery: ReadWebhookDelivery
    resend_webhook_delivery: ResendWebhookDelivery
    sessions: OpenSession
    inbox: Inbox
    challenges: Challenges
    store: Store

    async def open_session(self, *, envelope: Envelope) -> SessionView | Refusal:
        """Open a device's session (PROTOCOL §6)."""
        return await self.sessions(envelope=envelope)

    async def authenticate_stream(self, *, envelope: Envelope, nonce: bytes) -> str | Refusal:
        """Return whose session envelope this is; ``nonce`` is the hello's (PROTOCOL §7)."""
        return await self.sessions.stream(envelope=envelope, nonce=nonce)

    def device_of_token(self, token: str) -> str | None:
        """Return whose session this is, if it is in force."""
        return self.sessions.device(token)

    async def device_requests(
        self, *, device: str, everything: bool, limit: int, cursor: str | None
    ) -> Page[DeviceRequestView] | Refusal:
        """List requests that name a device, newest first."""
        return await self.inbox.page(
            device=device, everything=everything, limit=limit, cursor=cursor
        )

    async def device_request(self, *, device: str, request_id: str) -> DeviceRequestView | Refusal:
        """Read a request as one of its devices."""
        return await self.inbox.read(device=device, request_id=request_id)

    async def acknowledge(self, *, device: str, request_id: str) -> Refusal | None:
        """Note that the person was shown the request."""
        return await self.inbox.acknowledge(device=device, request_id=request_id)

    def pending_frames(self, device: str) -> list[bytes]:
        """Return the ``approval_request`` frames of what is pending, oldest first."""
        now = self.inbox.clock.now()
        return [
            request_frame(self.challenges.envelope(stored, device, now))
            for stored in self.inbox.open_for(device)
        ]

    def api_key(self, token: str) -> tuple[ApiKey, Integrator] | None:
        """Return the live API key with this text and its integrator.

        A key is 256 random bits, so its SHA-256 is looked up as it is; there is nothing to gain
        from timing the look-up of a digest.
        """
        key = self.store.directory.api_key(hashlib.sha256(token.encode()).digest())
        if key is None or key.revoked_at is not None:
            return None
        integrator = self.store.directory.integrator(key.integrator_id)
        return None if integrator is None else (key, integrator)
