"""The push channels under contract, each with the stand-in that it sends to."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import pytest
from tests.relay.simulator import START, ManualClock

from quorumkey.protocol import (
    ApnsAddress,
    Challenge,
    Envelope,
    Kind,
    PrivateKey,
    PushAddress,
    sign,
)
from quorumkey_relay.config import load_settings
from quorumkey_relay.delivery.channel import Message
from quorumkey_relay.delivery.push.apns import apns_channel
from quorumkey_relay.standins import StandIns, apns_token, start_stand_ins
from quorumkey_relay.store.records import Delivery

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.channel import Channel, Outcome
    from quorumkey_relay.settings import Settings
    from quorumkey_relay.standins import Stand
    from quorumkey_relay.store.records import DeliveryKind

RELAY: Final = PrivateKey.generate()
DEVICE: Final = PrivateKey.generate().public_key.fingerprint
LIFETIME_SECONDS: Final = 300


def challenge(request_id: str, *, integrator_name: str = "Acme Corp") -> Envelope:
    """A signed challenge, as a push carries it."""
    payload = Challenge(
        relay=RELAY.public_key.fingerprint,
        request_id=request_id,
        request_digest="sha256:" + "0" * 64,
        device=DEVICE,
        integrator_name=integrator_name,
        expires_at=START + LIFETIME_SECONDS,
    )
    return sign(Kind.CHALLENGE, payload.encode(), RELAY)


_CHALLENGE: Final = challenge("0190a000-0000-7000-8000-000000000000")


def message(  # noqa: PLR0913 - what a message is made of
    address: PushAddress | None,
    number: int = 0,
    *,
    kind: DeliveryKind = "approval_request",
    attempts: int = 0,
    lifetime_seconds: int = LIFETIME_SECONDS,
    integrator_name: str = "Acme Corp",
    envelope: Envelope | None = _CHALLENGE,
    now: int = START,
) -> Message:
    """What a channel is given; messages of different numbers are of different requests."""
    request_id = f"0190a000-0000-7000-8000-{number:012d}"
    return Message(
        delivery=Delivery(
            id=f"{request_id}/{DEVICE[:32]}/push/{kind}",
            request_id=request_id,
            device=DEVICE,
            channel="none" if address is None else address.channel,
            kind=kind,
            not_after=now + lifetime_seconds,
            next_at=now,
            created_at=now,
            changed_at=now,
            attempts=attempts,
        ),
        integrator_name=integrator_name,
        challenge=envelope if kind == "approval_request" else None,
        address=address,
        registered_at=now - 1_000,
    )


@dataclass(frozen=True, kw_only=True)
class Implementation:
    """One way to send on one channel.

    ``behaviours`` names the stand-in's for the conditions that the suite speaks of.
    ``known_failures`` are the facts that do not hold, by the test's name, each with the reason; one
    that hangs takes its time, which makes the implementation's tests slow. ``crowd_seconds`` is
    how long thousands of pushes at once may take.
    """

    name: str
    settings: Mapping[str, str]
    build: Callable[[Settings, Clock], Channel | None]
    stand: Callable[[StandIns], Stand]
    address: Callable[[StandIns, str, int], PushAddress]
    behaviours: Mapping[str, str]
    quiet: Callable[[Rig], Awaitable[None]]
    is_slow: bool = False
    crowd_seconds: int = 6
    known_failures: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class Rig:
    """A channel that is ready to send, and the stand-in behind it."""

    implementation: Implementation
    stands: StandIns
    channel: Channel
    clock: ManualClock

    @property
    def stand(self) -> Stand:
        """The stand-in that the channel sends to."""
        return self.implementation.stand(self.stands)

    def message(
        self,
        condition: str = "ok",
        number: int = 0,
        *,
        kind: DeliveryKind = "approval_request",
        lifetime_seconds: int = LIFETIME_SECONDS,
    ) -> Message:
        """A message for a device whose token makes the stand-in do as the condition says."""
        behaviour = self.implementation.behaviours.get(condition, condition)
        address = self.implementation.address(self.stands, behaviour, number)
        return message(
            address, number, kind=kind, lifetime_seconds=lifetime_seconds, now=self.clock.now()
        )

    async def send(self, condition: str = "ok", number: int = 0) -> Outcome:
        """Send such a message."""
        return await self.channel.send(self.message(condition, number))


@asynccontextmanager
async def rig(
    implementation: Implementation, folder: Path, **changes: str
) -> AsyncGenerator[Rig, None]:
    """Start the stand-ins and a channel that sends to them; both end with the block."""
    clock = ManualClock()
    async with start_stand_ins(folder, now=clock.now) as stands:
        overrides = {"data_dir": str(folder), **implementation.settings, **changes}
        channel = implementation.build(load_settings(stands.settings(), overrides), clock)
        assert channel is not None
        try:
            yield Rig(implementation=implementation, stands=stands, channel=channel, clock=clock)
        finally:
            await channel.close()


# Apple


def _apns_address(stands: StandIns, behaviour: str, number: int) -> PushAddress:
    return ApnsAddress(apns_token(behaviour, number), stands.files.apns_topic, "production")


async def _quiet_hour(rig: Rig) -> None:
    """Let most of the time pass that a provider token is used for."""
    rig.clock.advance(2_640)


async def _aioapns_gives_up(rig: Rig) -> None:
    """Have its timer close the connection, which it does after ten seconds without a push."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("aioapns.connection.APNsBaseClientProtocol.INACTIVITY_TIME", 0.05)
        await rig.send("ok", 999)
        await rig.stand.until(lambda counters: counters.open_connections == 0)


_APNS_BEHAVIOURS: Final = {
    "gone": "gone-before",
    "busy": "ServiceUnavailable",
    "our credential": "InvalidProviderToken",
    "wrong message": "BadPriority",
    "too many": "TooManyRequests",
}

APNS: Final = Implementation(
    name="apns-pyreqwest",
    settings={},
    build=apns_channel,
    stand=lambda stands: stands.apns,
    address=_apns_address,
    behaviours=_APNS_BEHAVIOURS,
    quiet=_quiet_hour,
)
AIOAPNS: Final = Implementation(
    name="apns-aioapns",
    settings={"apns_client": "aioapns"},
    build=apns_channel,
    stand=lambda stands: stands.apns,
    address=_apns_address,
    behaviours=_APNS_BEHAVIOURS,
    quiet=_aioapns_gives_up,
    known_failures={
        "test_a_provider_that_is_down_is_tried_again": "says only that it gave up, not why",
        "test_row_1_thousands_of_refusals_with_bodies": "grants no new flow-control window",
        "test_row_2_reset_streams": "passes over RST_STREAM: its caller waits for ever",
        "test_row_3_answers_without_json": "takes every body for JSON with a reason",
        "test_row_6_graceful_goaways": "closes a connection that still has answers to give",
        "test_row_7_the_same_message_twice_in_flight": "tells answers apart by apns-id alone",
        "test_row_8_a_burst_into_a_small_window": "begins a stream before it looks at the window",
        "test_row_10_a_quiet_hour": "closes a connection that is idle for ten seconds",
        "test_row_11_nothing_is_kept_of_pushes_that_are_over": "keeps an entry for each push",
    },
    is_slow=True,
)

IMPLEMENTATIONS: Final[tuple[Implementation, ...]] = (APNS, AIOAPNS)
