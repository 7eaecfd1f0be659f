"""An integrator's side of Quorumkey: ask for approvals, and believe only receipts that verify.

`Client` blocks, `AsyncClient` is awaited; both have the same surface.
"""

from __future__ import annotations

from quorumkey.client._core import ClientPorts
from quorumkey.client._exchange import RetryPolicy
from quorumkey.client.address import RelayAddress
from quorumkey.client.aio import AsyncClient
from quorumkey.client.approvals import (
    Approved,
    CreatedRequest,
    NotApproved,
    Outcome,
    RequestOptions,
    group,
)
from quorumkey.client.claims import ClaimState
from quorumkey.client.models import (
    DeliveryCounts,
    Device,
    Event,
    GroupDeliveries,
    Info,
    PairedDevice,
    PairingState,
    PairingStatus,
    RequestState,
    Status,
)
from quorumkey.client.pairing import AttestationEvidence, ConfirmedDevice, Pairing
from quorumkey.client.pins import Pin, RelayPins
from quorumkey.client.sync import Client
from quorumkey.client.webhook_models import (
    CreatedWebhook,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
    WebhookDeliveryStatus,
    WebhookStatus,
)
from quorumkey.client.webhooks import parse_webhook

__all__ = [
    "Approved",
    "AsyncClient",
    "AttestationEvidence",
    "ClaimState",
    "Client",
    "ClientPorts",
    "ConfirmedDevice",
    "CreatedRequest",
    "CreatedWebhook",
    "DeliveryCounts",
    "Device",
    "Event",
    "GroupDeliveries",
    "Info",
    "NotApproved",
    "Outcome",
    "PairedDevice",
    "Pairing",
    "PairingState",
    "PairingStatus",
    "Pin",
    "RelayAddress",
    "RelayPins",
    "RequestOptions",
    "RequestState",
    "RetryPolicy",
    "Status",
    "Webhook",
    "WebhookAttempt",
    "WebhookDelivery",
    "WebhookDeliveryStatus",
    "WebhookStatus",
    "group",
    "parse_webhook",
]
