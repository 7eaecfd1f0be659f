"""What the use cases need from outside, beside the store, the clock and the mint."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from quorumkey.protocol import PasskeyPolicy, PushAddress


class Limiter(Protocol):
    """A token bucket for each key."""

    def charge(self, key: str) -> int | None:
        """Take one token; None when there was one, else whole seconds until the next."""
        ...


class Presence(Protocol):
    """Which devices are listening now."""

    def connected(self, device: str) -> bool:
        """Say whether a device has an open stream."""
        ...


class PushRules(Protocol):
    """Which push addresses this relay can serve."""

    def problem(self, address: PushAddress) -> str | None:
        """Return why an address cannot be taken, a sentence without secrets; None if it can."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The relay's settings that use cases depend on.

    ``origins`` empty accepts any audience; ``passkeys`` None refuses passkey signatures. The floor
    counts where attestation is required. ``unsafe_test_root``: evidence of test roots counts too.
    """

    public_url: str
    app_url: str
    origins: frozenset[str] = frozenset()
    attestation: Literal["off", "preferred", "required"] = "off"
    attestation_floor: str = "tee"
    unsafe_test_root: bool = False
    passkeys: PasskeyPolicy | None = None
    max_pending_per_device: int = 20
    version: str = field(default="0")


def rate_limited(wait_seconds: int) -> Refusal:
    """Return the refusal of a caller that is too fast."""
    return Refusal(
        "rate_limited",
        f"Too many calls; try again in {wait_seconds} seconds.",
        retry_after=wait_seconds,
    )
