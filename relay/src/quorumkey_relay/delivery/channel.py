"""What a channel is: one way to reach a device, and how a try can end."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import Envelope, PushAddress
    from quorumkey_relay.store.records import Delivery, DeliveryState

#: Reasons of `Rejected` for which nothing was sent: they tell nothing of the provider.
NOT_SENT: Final = frozenset(
    {
        "environment_not_served",
        "no_address",
        "service_not_listed",
        "too_late",
        "topic_not_served",
    }
)


def always() -> bool:
    """Say that a message is of use."""
    return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """What is to be told to one device: the delivery, and what its payload is made of.

    ``challenge`` is the signed challenge of an ``approval_request``, None for a
    ``request_resolved``. ``address`` is where the device wants to be woken, None on the WebSocket;
    it is a secret, and the device gave it at ``registered_at`` (seconds since the epoch).

    ``is_wanted`` says whether the message still is of use. A channel that has waited for others,
    for a connection or a credential, asks before it sends; what is not wanted was not processed.
    """

    delivery: Delivery
    integrator_name: str
    challenge: Envelope | None
    address: PushAddress | None = field(default=None, repr=False)
    registered_at: int = 0
    is_wanted: Callable[[], bool] = field(default=always, repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """The next party has taken the message; ``state`` is what that means on this channel."""

    state: DeliveryState = "accepted"


@dataclass(frozen=True, slots=True)
class Retry:
    """Not now; try again after so many seconds, or after the schedule's own time.

    With ``after_seconds`` 0 the message was not processed, and goes out again at once. Where
    nobody knows whether it was, the outcome is ``ambiguous``, and one more try is all it gets.
    ``reason`` is the provider's own word, or a `TransportFailed`'s.
    """

    after_seconds: int | None = None
    reason: str = "temporary"
    ambiguous: bool = False


@dataclass(frozen=True, slots=True)
class Gone:
    """The device cannot be reached there any more, since this time (seconds since the epoch).

    An address that the device gave after ``since`` stands. Without ``since`` the address itself is
    wrong, whenever it was given.
    """

    since: int | None
    reason: str = "gone"


@dataclass(frozen=True, slots=True)
class Rejected:
    """The provider refuses this message for good; it is not sent again.

    ``tolerated`` says how many such refusals in a row an address is allowed before it counts as
    dead; None where the address is not to blame.
    """

    reason: str
    tolerated: int | None = None


@dataclass(frozen=True, slots=True)
class Misconfigured:
    """Our own settings or credentials are wrong; nobody's address is to blame."""

    reason: str


Outcome = Accepted | Retry | Gone | Rejected | Misconfigured


class Channel(Protocol):
    """Sends one message; never sleeps, never retries by itself but for what was not processed."""

    @property
    def name(self) -> str:
        """The channel's name in settings, addresses and the delivery log."""
        ...

    def lane(self, address: PushAddress | None) -> str:
        """Return which provider and credential serve an address, such as ``apns/sandbox``.

        What fails there holds up nobody who is served elsewhere.
        """
        ...

    async def send(self, message: Message) -> Outcome:
        """Try once to send; raises nothing that a network can cause, and ends in bounded time."""
        ...

    async def close(self) -> None:
        """Let go of connections; nothing is sent afterwards."""
        ...
