"""What a listening device is told, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from quorumkey.client.models import Status
    from quorumkey.device.review import DeviceRequest

__all__ = [
    "Connected",
    "DeviceEvent",
    "Disconnected",
    "RequestArrived",
    "RequestProgressed",
    "RequestResolved",
    "RequestUnusable",
    "RequestWithdrawn",
]


@dataclass(frozen=True, slots=True)
class Connected:
    """The relay accepted this device; pending requests follow."""


@dataclass(frozen=True, slots=True)
class Disconnected:
    """The connection is gone; it is made again after so many seconds."""

    reason: str
    retry_in_seconds: float


@dataclass(frozen=True, slots=True)
class RequestArrived:
    """A request waits for this device; it was fetched and checked."""

    request: DeviceRequest


@dataclass(frozen=True, slots=True)
class RequestProgressed:
    """Another group is satisfied, by the relay's word."""

    request_id: str
    groups_satisfied_count: int
    groups_required: int


@dataclass(frozen=True, slots=True)
class RequestResolved:
    """There is nothing to decide any more, by the relay's word."""

    request_id: str
    status: Status


@dataclass(frozen=True, slots=True)
class RequestWithdrawn:
    """A push says that there is nothing to decide any more: take the notification away.

    Nothing proves it and nothing depends on it; how the request ended is asked of the relay.
    """

    request_id: str


@dataclass(frozen=True, slots=True)
class RequestUnusable:
    """A challenge did not hold, or what it leads to could not be fetched.

    `request_id` is None where not even that can be told.
    """

    request_id: str | None
    reason: str


DeviceEvent: TypeAlias = (
    Connected
    | Disconnected
    | RequestArrived
    | RequestProgressed
    | RequestResolved
    | RequestUnusable
)
