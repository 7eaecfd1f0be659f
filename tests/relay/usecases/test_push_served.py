"""Push addresses that a relay can serve: refused otherwise, counted anew, and told what waits."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.relay.simulator import (
    START,
    ManualClock,
    SimDevice,
    Simulator,
    granted,
    refused,
    shown,
    simulator,
)

from quorumkey.protocol import (
    ApnsAddress,
    FcmAddress,
    PushAddress,
    WebPushAddress,
    b64url_decode,
    b64url_encode,
)
from quorumkey_relay.standins import start_stand_ins
from quorumkey_relay.store.writes import PutDevice

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.standins import StandIns, Subscription

pytestmark = pytest.mark.anyio

POINT = b64url_encode(
    ec.generate_private_key(ec.SECP256R1())
    .public_key()
    .public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
)
AUTH = b64url_encode(bytes(16))
FCM = FcmAddress("a-token:of_fcm")
UNSERVED: dict[str, PushAddress] = {
    "another service": WebPushAddress("https://push.example/abc", POINT, AUTH),
    "a name like a service's": WebPushAddress("https://xpush.apple.com/abc", POINT, AUTH),
    "a service in the path": WebPushAddress("https://a.example/fcm.googleapis.com", POINT, AUTH),
    "our own network": WebPushAddress("https://127.0.0.1/abc", POINT, AUTH),
    "another port": WebPushAddress("https://web.push.apple.com:22/abc", POINT, AUTH),
    "no point": WebPushAddress(
        "https://web.push.apple.com/abc", b64url_encode(b"\x04" + bytes(64)), AUTH
    ),
}


def device_of(sim: Simulator, device: SimDevice) -> Device:
    """A device as the relay knows it."""
    known = sim.store.directory.device(device.fingerprint)
    assert known is not None
    return known


@pytest.mark.parametrize("case", UNSERVED)
async def test_an_address_that_cannot_be_served_is_refused(sim: Simulator, case: str) -> None:
    """The device learns it at once, and the address that it had stays."""
    alice = await sim.device("alice")
    await sim.use.set_push(envelope=await sim.push(alice, FCM))

    refusal = await refused(sim.use.set_push(envelope=await sim.push(alice, UNSERVED[case])))

    assert ("invalid_request", "fcm") == (refusal.code, device_of(sim, alice).push_channel)


async def test_a_refusal_repeats_nothing_of_the_address(sim: Simulator) -> None:
    """The sentence ends in logs of apps, and an endpoint is a secret."""
    alice = await sim.device("alice")
    address = WebPushAddress("https://push.example/a-secret-path", POINT, AUTH)

    refusal = await refused(sim.use.set_push(envelope=await sim.push(alice, address)))

    assert "push.endpoint is not at a push service that this relay knows." == refusal.message


@pytest.mark.parametrize("case", UNSERVED)
async def test_nobody_enrols_with_such_an_address(sim: Simulator, case: str) -> None:
    """Nothing is stored and the code is not spent: the same code serves without the address."""
    alice = SimDevice("alice")
    nonce, code = await sim.nonce(), await sim.code("alice")
    push = await sim.push(alice, UNSERVED[case], nonce=nonce)
    envelope = await sim.enrollment(alice, code, nonce=nonce)

    refusal = await refused(sim.enroll(envelope, push=push))

    known = sim.store.directory.device(alice.fingerprint)
    again = await granted(sim.enroll(await sim.enrollment(alice, code)))
    assert ("invalid_request", None, True) == (refusal.code, known, again.first)


async def test_another_apps_topic_is_refused_where_apns_is_served(tmp_path: Path) -> None:
    """A relay that notifies some apps says so before it stores a token of another."""
    async with start_stand_ins(tmp_path / "stands") as stands:
        files = stands.files
        async with simulator(
            tmp_path / "relay",
            apns_key_file=files.apns_key_file,
            apns_key_id=files.apns_key_id,
            apns_team_id=files.apns_team_id,
            apns_topics=(files.apns_topic,),
        ) as sim:
            alice = await sim.device("alice")
            own = ApnsAddress("ab" * 32, files.apns_topic, "production")
            other = replace(own, topic="com.example.other")

            refusal = await refused(sim.use.set_push(envelope=await sim.push(alice, other)))
            answer = await sim.use.set_push(envelope=await sim.push(alice, own))

    assert ("invalid_request", None) == (refusal.code, answer)


# When an address was given


async def test_a_new_address_counts_from_now(sim: Simulator) -> None:
    """What a provider says of an earlier time does not concern it."""
    alice = await sim.device("alice")
    sim.clock.advance(100)

    await sim.use.set_push(envelope=await sim.push(alice, FCM))

    assert START + 100 == device_of(sim, alice).push_set_at


async def test_the_same_address_again_counts_anew(sim: Simulator) -> None:
    """A device that registers again is there now, and its faults are forgotten."""
    alice = await sim.device("alice")
    await sim.use.set_push(envelope=await sim.push(alice, FCM))
    await sim.store.commit((PutDevice(replace(device_of(sim, alice), push_faults=3)),))
    sim.clock.advance(100)

    await sim.use.set_push(envelope=await sim.push(alice, FCM))

    known = device_of(sim, alice)
    assert (START + 100, 0) == (known.push_set_at, known.push_faults)


async def test_an_address_of_the_enrolment_counts_from_then(sim: Simulator) -> None:
    """As if it had been given a moment later."""
    alice = SimDevice("alice")
    nonce = await sim.nonce()
    push = await sim.push(alice, FCM, nonce=nonce)

    await granted(
        sim.enroll(await sim.enrollment(alice, await sim.code("alice"), nonce=nonce), push=push)
    )

    assert (START, "fcm") == (device_of(sim, alice).push_set_at, device_of(sim, alice).push_channel)


# What waits


@asynccontextmanager
async def notified(folder: Path) -> AsyncGenerator[tuple[Simulator, StandIns]]:
    """A relay that notifies browsers of a stand-in."""
    clock = ManualClock()
    async with (
        start_stand_ins(folder / "stands", now=clock.now) as stands,
        simulator(
            folder / "relay",
            clock,
            webpush_subject="mailto:ops@example.com",
            webpush_services=("localhost",),
            unsafe_egress_hosts=("localhost",),
            ca_file=stands.files.ca_file,
        ) as sim,
    ):
        yield sim, stands


def browser(made: Subscription) -> WebPushAddress:
    """The address of a subscription."""
    return WebPushAddress(made.endpoint, made.p256dh, made.auth)


async def test_a_new_address_is_told_what_waits(tmp_path: Path) -> None:
    """Requests that were made before go out to it, each once."""
    async with notified(tmp_path) as (sim, stands):
        alice = await sim.device("alice")
        asked = [await sim.ask([alice]) for _ in range(2)]

        await sim.use.set_push(envelope=await sim.push(alice, browser(stands.webpush.subscribe())))

        await sim.relay.worker.rest()
        told = [push.payload["request_id"] for push in stands.webpush.received]
    assert sorted(one.id for one in asked) == sorted(str(one) for one in told)


async def test_what_was_taken_is_not_told_again(tmp_path: Path) -> None:
    """An app that registers at each start gets each request once."""
    async with notified(tmp_path) as (sim, stands):
        alice = await sim.device("alice")
        address = browser(stands.webpush.subscribe())
        await sim.use.set_push(envelope=await sim.push(alice, address))
        await sim.ask([alice])
        await sim.relay.worker.rest()

        await sim.use.set_push(envelope=await sim.push(alice, address))

        await sim.relay.worker.rest()
        assert 1 == stands.webpush.counters.accepted


async def test_what_is_over_is_not_told(tmp_path: Path) -> None:
    """Neither a request that ended nor one that the device has decided."""
    async with notified(tmp_path) as (sim, stands):
        alice, bob = await sim.devices("alice", "bob")
        ended, decided = await sim.ask([alice]), await sim.ask([alice], [bob], required=2)
        await sim.cancel(ended)
        await sim.approve(decided, alice)

        await sim.use.set_push(envelope=await sim.push(alice, browser(stands.webpush.subscribe())))

        await sim.relay.worker.rest()
        assert () == tuple(stands.webpush.received)


# How browsers subscribe


async def test_browsers_learn_what_to_subscribe_with(tmp_path: Path) -> None:
    """The VAPID key's public half is shown, and is the same after a restart."""
    shown_keys: list[str] = []
    for _ in range(2):
        async with simulator(tmp_path, webpush_subject="mailto:ops@example.com") as sim:
            shown_keys.append(shown(await sim.use.info())["web_push_key"])

    first, second = shown_keys
    point = b64url_decode(first, field="web_push_key", length=65)
    assert (first, 0x04) == (second, point[0])


async def test_without_web_push_there_is_no_key(sim: Simulator) -> None:
    """A relay that notifies no browser offers none to subscribe."""
    assert "web_push_key" not in shown(await sim.use.info())
