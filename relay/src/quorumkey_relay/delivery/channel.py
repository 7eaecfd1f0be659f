"""What a channel is: one way to reach a device, and how a try can end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.store.records import Delivery, DeliveryState


@dataclass(frozen=True, slots=True)
class Accepted:
    """The next party has taken the message; ``state`` is what that means on this channel."""

    state: DeliveryState = "accepted"


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now; try again after so many seconds, or after the schedule's own time."""

    after_seconds: int | None = None
    reason: str = "temporary"


@dataclass(frozen=True, slots=True)
class Gone:
    """The device cannot be reached there any more, since this time (seconds since the epoch)."""

    since: int
    reason: str = "gone"


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Our own settings or credentials are wrong; nobody's address is to blame."""

    reason: str


Outcome = Accepted | Retry | Gone | Misconfigured


class Channel(Protocol):
    """Sends one message; never sleeps, never retries by itself."""

    @property
    def name(self) -> str:
        """The channel's name in settings, addresses and the delivery log."""
        ...

    async def send(self, delivery: Delivery, challenge: Envelope) -> Outcome:
        """Try once to send; raises nothing that a network can cause."""
        ...
