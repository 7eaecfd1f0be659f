"""The software device: an approver's key on a computer. See `SoftwareDevice`."""

from __future__ import annotations

from quorumkey.device._api import Answered, Enrolled, PairingPreview, Reattested
from quorumkey.device.attesting import Attest, AttestationChallenge
from quorumkey.device.decisions import Choice
from quorumkey.device.errors import (
    DeviceError,
    KeyFileError,
    NotAnswerableError,
    NotPairedError,
    RelayMismatchError,
    StreamClosedError,
)
from quorumkey.device.events import (
    Connected,
    DeviceEvent,
    Disconnected,
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    RequestUnusable,
    RequestWithdrawn,
)
from quorumkey.device.gated_calls import GatedAct, GatedCall, GatedCalls
from quorumkey.device.identity import Identity
from quorumkey.device.review import DeviceRequest
from quorumkey.device.session import DevicePorts
from quorumkey.device.software import SoftwareDevice
from quorumkey.device.visible import visible, visible_json

__all__ = [
    "Answered",
    "Attest",
    "AttestationChallenge",
    "Choice",
    "Connected",
    "DeviceError",
    "DeviceEvent",
    "DevicePorts",
    "DeviceRequest",
    "Disconnected",
    "Enrolled",
    "GatedAct",
    "GatedCall",
    "GatedCalls",
    "Identity",
    "KeyFileError",
    "NotAnswerableError",
    "NotPairedError",
    "PairingPreview",
    "Reattested",
    "RelayMismatchError",
    "RequestArrived",
    "RequestProgressed",
    "RequestResolved",
    "RequestUnusable",
    "RequestWithdrawn",
    "SoftwareDevice",
    "StreamClosedError",
    "visible",
    "visible_json",
]
