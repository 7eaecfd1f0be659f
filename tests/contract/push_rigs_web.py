"""FCM and Web Push under the contract of push channels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from weakref import WeakKeyDictionary

from tests.contract.push_rigs import Implementation, Rig

from quorumkey.protocol import FcmAddress, WebPushAddress
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.delivery.push.fcm import fcm_channel
from quorumkey_relay.delivery.push.webpush import webpush_channel
from quorumkey_relay.delivery.transport import extra_roots
from quorumkey_relay.standins import fcm_token

if TYPE_CHECKING:
    from quorumkey.protocol import PushAddress
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Channel, Message, Outcome
    from quorumkey_relay.delivery.push.webpush import WebPushChannel
    from quorumkey_relay.settings import Settings
    from quorumkey_relay.standins import StandIns


async def quiet_hour(rig: Rig) -> None:
    """Let most of the time pass that an access token, or a VAPID token, is used for."""
    rig.clock.advance(2_940)


# Google


def _no_alarm(kind: str, what: str, sentence: str) -> None:
    """Tell nobody."""
    del kind, what, sentence


def _fcm(settings: Settings, clock: Clock) -> Channel | None:
    return fcm_channel(settings, clock, _no_alarm)


def _fcm_address(stands: StandIns, behaviour: str, number: int) -> PushAddress:
    del stands
    return FcmAddress(fcm_token(behaviour, number))


_FCM_BEHAVIOURS: Final = {
    "gone": "UNREGISTERED",
    "busy": "UNAVAILABLE",
    "our credential": "PERMISSION_DENIED",
    "wrong message": "INVALID_ARGUMENT",
    "too many": "DEVICE_QUOTA",
}

FCM: Final = Implementation(
    name="fcm-pyreqwest",
    settings={},
    build=_fcm,
    stand=lambda stands: stands.fcm,
    address=_fcm_address,
    behaviours=_FCM_BEHAVIOURS,
    quiet=quiet_hour,
)
PYFCM: Final = Implementation(
    name="fcm-pyfcm",
    settings={"fcm_client": "pyfcm"},
    build=_fcm,
    stand=lambda stands: stands.fcm,
    address=_fcm_address,
    behaviours=_FCM_BEHAVIOURS,
    quiet=quiet_hour,
    is_slow=True,
    known_failures={
        "test_a_busy_provider_is_tried_again": "sleeps through Retry-After and sends by itself",
        "test_row_4_one_caller_is_cancelled": "has a connection for each thread",
        "test_row_5_one_caller_is_cancelled_and_the_connection_lost": "sends few at a time",
        "test_row_9_one_stream_until_the_first_answer": "has a connection for each thread",
    },
)


# Browsers


class BrowserChannel:
    """The channel with a guard of its own, which a relay has for all that it calls."""

    def __init__(self, channel: WebPushChannel, egress: Egress) -> None:
        self.name = channel.name
        self._channel = channel
        self._egress = egress

    def lane(self, address: PushAddress | None) -> str:
        """The channel's."""
        return self._channel.lane(address)

    async def send(self, message: Message) -> Outcome:
        """The channel's."""
        return await self._channel.send(message)

    async def close(self) -> None:
        """Close both."""
        await self._channel.close()
        await self._egress.close()


def _webpush(settings: Settings, clock: Clock) -> Channel | None:
    egress = Egress(
        clock=clock,
        unsafe_hosts=frozenset(settings.unsafe_egress_hosts),
        roots=extra_roots(settings.ca_file),
    )
    channel = webpush_channel(settings, clock, egress)
    return None if channel is None else BrowserChannel(channel, egress)


_browsers: WeakKeyDictionary[StandIns, dict[tuple[str, int], PushAddress]] = WeakKeyDictionary()


def _webpush_address(stands: StandIns, behaviour: str, number: int) -> PushAddress:
    """The same browser for the same number."""
    known = _browsers.setdefault(stands, {})
    if (behaviour, number) not in known:
        made = stands.webpush.subscribe(behaviour)
        known[behaviour, number] = WebPushAddress(made.endpoint, made.p256dh, made.auth)
    return known[behaviour, number]


WEBPUSH: Final = Implementation(
    name="webpush",
    settings={},
    build=_webpush,
    stand=lambda stands: stands.webpush,
    address=_webpush_address,
    behaviours={
        "gone": "410",
        "busy": "503",
        "our credential": "403",
        "wrong message": "413",
        "too many": "429",
    },
    quiet=quiet_hour,
    crowd_seconds=60,  # each message is encrypted, and decrypted in the same process
)

WEB: Final[tuple[Implementation, ...]] = (FCM, PYFCM, WEBPUSH)
