"""Web Push against a stand-in that decrypts as browsers do."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from tests.contract.push_rigs import Rig, message, rig
from tests.contract.push_rigs_web import WEBPUSH
from tests.relay.simulator import ManualClock

from quorumkey.protocol import FcmAddress, WebPushAddress, b64url_encode
from quorumkey_relay.delivery.channel import Accepted, Gone, Misconfigured, Rejected, Retry
from quorumkey_relay.delivery.egress import Egress
from quorumkey_relay.delivery.push.webpush import webpush_channel
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.delivery.channel import Message, Outcome
    from quorumkey_relay.standins import Received

pytestmark = pytest.mark.anyio


@pytest.fixture
async def push(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """The channel and the stand-in."""
    del anyio_backend
    async with rig(WEBPUSH, tmp_path) as ready:
        yield ready


def only(push: Rig) -> Received:
    """The one push that was received."""
    (received,) = push.stand.received
    return received


def text(received: Received) -> dict[str, Any]:
    """What the browser has decrypted."""
    read: dict[str, Any] = json.loads(received.body)
    return read


def once(push: Rig, behaviour: str) -> Message:
    """A message for a browser whose service does so once, and accepts what follows."""
    made = push.stands.webpush.subscribe(behaviour, once=True)
    return message(WebPushAddress(made.endpoint, made.p256dh, made.auth))


# What is sent


async def test_what_the_browser_reads(push: Rig) -> None:
    """Title, kind, request and the challenge as the relay signed it."""
    sent = push.message("ok", 3)
    await push.channel.send(sent)

    read = text(only(push))
    assert sent.challenge is not None
    assert {
        "title": "Acme Corp is requesting approval",
        "type": "approval_request",
        "request_id": sent.delivery.request_id,
        "challenge": json.loads(sent.challenge.encode()),
    } == read


async def test_what_the_service_is_told(push: Rig) -> None:
    """How long to keep the message, that it is urgent, and what it takes the place of."""
    sent = push.message("ok", 3)
    await push.channel.send(sent)

    headers = only(push).headers
    assert ("300", "high", sent.delivery.request_id.replace("-", ""), "aes128gcm") == (
        headers["ttl"],
        headers["urgency"],
        headers["topic"],
        headers["content-encoding"],
    )


async def test_every_message_is_as_long(push: Rig) -> None:
    """A request and its withdrawal, of whatever name, have one length on the wire."""
    for number, name in enumerate(("A", "Acme Corp", "🏭" * 80)):
        for kind in ("approval_request", "request_resolved"):
            address = push.message("ok", number).address
            await push.channel.send(message(address, number, kind=kind, integrator_name=name))

    assert {"2048"} == {received.headers["content-length"] for received in push.stand.received}
    assert 6 == len(push.stand.received)


async def test_one_token_serves_an_origin(push: Rig) -> None:
    """Who the relay is is signed once for all browsers of a service."""
    sent = await asyncio.gather(*(push.send("ok", number) for number in range(20)))

    assert ({Accepted()}, 1) == (set(sent), push.stand.counters.credentials)


async def test_a_burst_opens_one_connection(push: Rig) -> None:
    """The first message goes alone until it is known that one connection serves them all."""
    await asyncio.gather(*(push.send("ok", number) for number in range(20)))

    assert 1 == push.stand.counters.connections


# What is answered


@pytest.mark.parametrize(
    ("behaviour", "outcome"),
    [
        ("404", Gone(None, "gone")),
        ("410", Gone(None, "gone")),
        ("413", Rejected("payload_too_large")),
        ("429", Retry(1, "rate_limited")),
        ("503", Retry(1, "http_503")),
        ("empty", Retry(None, "http_500")),
        ("html", Retry(None, "http_502")),
        ("401", Misconfigured("vapid_refused")),
        ("403", Misconfigured("vapid_refused")),
        ("VapidPkHashMismatch", Rejected("http_400", tolerated=4)),
        ("huge", Rejected("http_400", tolerated=4)),
        ("redirect", Rejected("http_307", tolerated=4)),
        ("reset", Retry(None, "broken", ambiguous=True)),
    ],
)
async def test_the_table(push: Rig, behaviour: str, outcome: Outcome) -> None:
    """Each answer has the reaction that the table gives it."""
    assert outcome == await push.send(behaviour)


async def test_no_redirect_is_followed(push: Rig) -> None:
    """What a service names instead is not called."""
    await push.send("redirect")

    assert 1 == push.stand.counters.streams


@pytest.mark.parametrize("seconds", [0, 30])
async def test_a_service_may_say_how_long_to_wait(push: Rig, seconds: int) -> None:
    """Retry-After is honoured; at once is a second later, for the message was looked at."""
    push.stand.faults.retry_after_seconds = seconds

    assert Retry(max(1, seconds), "rate_limited") == await push.send("429")


async def test_what_is_too_large_goes_without_its_challenge(push: Rig) -> None:
    """A service with a lower limit gets the message that only names the request."""
    outcome = await push.channel.send(once(push, "413"))

    first, second = push.stand.received
    assert Accepted() == outcome
    assert ({"challenge"}, second.collapse_id) == (
        text(first).keys() - text(second).keys(),
        first.collapse_id,
    )


async def test_what_is_still_too_large_is_given_up(push: Rig) -> None:
    """Two tries, and the address is not to blame."""
    outcome = await push.send("413")

    assert (Rejected("payload_too_large"), 2) == (outcome, len(push.stand.received))


@pytest.mark.parametrize("status", ["401", "403"])
async def test_one_subscription_stops_nobody(push: Rig, status: str) -> None:
    """A token that the service has taken is good: the subscription is of another key."""
    await push.send("ok")

    outcome = await push.send(status)

    assert Rejected(f"http_{status}", tolerated=4) == outcome


async def test_a_subscription_of_another_key(push: Rig) -> None:
    """A browser that subscribed before the key was lost is refused, and dies in time."""
    await push.send("ok")
    other = b64url_encode(b"\x04" + bytes(64))
    made = push.stands.webpush.subscribe(application_server_key=other)

    outcome = await push.channel.send(
        message(WebPushAddress(made.endpoint, made.p256dh, made.auth))
    )

    assert Rejected("http_403", tolerated=4) == outcome


# What is not sent at all


async def test_a_service_that_is_not_listed_is_not_called(tmp_path: Path) -> None:
    """The list counts when it is called too, and shortening it drops nobody's address."""
    async with rig(WEBPUSH, tmp_path, webpush_services="push.example") as push:
        outcome = await push.send()

        assert (Rejected("service_not_listed"), 0) == (outcome, push.stand.counters.streams)


async def test_an_address_that_is_not_public_is_not_called(tmp_path: Path) -> None:
    """A listed name that leads into our own network is our resolver's fault, not the browser's."""
    async with rig(WEBPUSH, tmp_path, unsafe_egress_hosts="other.example") as push:
        outcome = await push.send()

        assert Misconfigured("egress_loopback_address") == outcome
        assert 0 == push.stand.counters.connections


async def test_a_key_that_is_none_is_gone(push: Rig) -> None:
    """An address from before keys were looked at can never be sent to."""
    address = push.message().address
    assert isinstance(address, WebPushAddress)
    wrong = replace(address, p256dh=b64url_encode(b"\x04" + bytes(64)))

    assert Gone(None, "no_key") == await push.channel.send(message(wrong))


async def test_an_address_of_another_channel_is_refused(push: Rig) -> None:
    """Nothing is sent that could not arrive."""
    assert Rejected("no_address") == await push.channel.send(message(FcmAddress("token")))


async def test_a_message_that_is_too_late_is_not_sent(push: Rig) -> None:
    """Without time left nothing is sent."""
    outcome = await push.channel.send(push.message(lifetime_seconds=0))

    assert (Rejected("too_late"), 0) == (outcome, push.stand.counters.streams)


async def test_what_is_not_wanted_any_more_is_not_sent(push: Rig) -> None:
    """A request may end while its pushes wait for the first call of an origin."""
    outcome = await push.channel.send(replace(push.message(), is_wanted=lambda: False))

    assert (Retry(0, "broken"), 0) == (outcome, push.stand.counters.streams)


# Lanes


@pytest.mark.parametrize(
    ("endpoint", "lane"),
    [
        ("https://fcm.googleapis.com/fcm/send/a", "webpush/fcm.googleapis.com"),
        ("https://wns2-a.notify.windows.com/w/?token=x", "webpush/notify.windows.com"),
        ("https://push.example/a", "webpush/unlisted"),
    ],
)
async def test_a_lane_for_each_service(tmp_path: Path, endpoint: str, lane: str) -> None:
    """What fails at one service holds up nobody at another; hosts below it are that service."""
    clock = ManualClock()
    egress = Egress(clock=clock)
    settings = Settings(data_dir=tmp_path, webpush_subject="mailto:ops@example.com")
    channel = webpush_channel(settings, clock, egress)
    assert channel is not None
    address = WebPushAddress(endpoint, b64url_encode(b"\x04" + bytes(64)), b64url_encode(bytes(16)))

    found = channel.lane(address)

    await egress.close()
    assert (lane, "webpush/unlisted") == (found, channel.lane(None))


def test_without_a_contact_there_is_no_channel(tmp_path: Path) -> None:
    """The contact turns the channel on; without it no key is made."""
    clock = ManualClock()

    channel = webpush_channel(Settings(data_dir=tmp_path), clock, Egress(clock=clock))

    assert (None, []) == (channel, list(tmp_path.iterdir()))


# Secrets


async def test_no_secret_is_shown(push: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """Neither endpoint nor keys are in a representation or a log line."""
    caplog.set_level(0)
    sent = push.message("410")
    address = sent.address
    assert isinstance(address, WebPushAddress)

    outcome = await push.channel.send(sent)

    shown = f"{sent!r} {outcome!r} {push.channel!r} {caplog.text}"
    secrets = (address.endpoint, address.endpoint.rsplit("/", 1)[1], address.p256dh, address.auth)
    assert not any(secret in shown for secret in secrets)
