"""Which push channels the settings turn on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.delivery.push.apns import apns_channel
from quorumkey_relay.delivery.push.fcm import fcm_channel
from quorumkey_relay.delivery.push.webpush import webpush_channel

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Channel
    from quorumkey_relay.delivery.egress import Egress
    from quorumkey_relay.settings import Settings


def push_channels(
    settings: Settings, clock: Clock, *, egress: Egress, tell: Callable[[str, str, str], None]
) -> tuple[Channel, ...]:
    """Return the channels that reach devices while nobody looks at them.

    ``tell`` raises an alarm: its kind, what it is about, and a sentence. Raises ConfigError: a
    file that a channel needs cannot be read or is not what it must be.
    """
    channels = (
        apns_channel(settings, clock),
        fcm_channel(settings, clock, tell),
        webpush_channel(settings, clock, egress),
    )
    return tuple(channel for channel in channels if channel is not None)
