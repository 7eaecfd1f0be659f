"""Which push channels the settings turn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.delivery.push.apns import apns_channel

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Channel
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.settings import Settings


def push_channels(
    settings: Settings, clock: Clock, *, egress: Egress | None = None
) -> tuple[Channel, ...]:
    """Return the channels that reach devices while nobody looks at them.

    Raises ConfigError: a file that a channel needs cannot be read or is not what it must be.
    """
    del egress
    channels = (apns_channel(settings, clock),)
    return tuple(channel for channel in channels if channel is not None)
