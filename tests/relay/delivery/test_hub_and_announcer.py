"""Streams of devices: one each, told what the others did."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import ACME, UMBRELLA, SimStream, Simulator, simulator

from quorumkey.protocol import Challenge, parse_envelope, verify_statement
from quorumkey_relay.delivery.channel import Accepted, Gone, Message
from quorumkey_relay.delivery.hub import DeviceHub
from quorumkey_relay.delivery.plan import delivery_id
from quorumkey_relay.delivery.websocket import WebSocketChannel

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

pytestmark = pytest.mark.anyio


@pytest.fixture
async def sim(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Simulator, None]:
    """A relay with default settings and an empty data directory."""
    del anyio_backend
    async with simulator(tmp_path) as started:
        yield started


# The hub


def test_a_frame_goes_to_its_device() -> None:
    """Whoever listens gets the frame, nobody else does."""
    hub, alice, bob = DeviceHub(), SimStream(), SimStream()
    hub.attach("alice", alice)
    hub.attach("bob", bob)

    sent = hub.send("alice", b'{"type":"hello"}')

    assert (True, ["hello"], []) == (sent, alice.types, bob.types)


def test_who_does_not_listen_is_not_sent_to() -> None:
    """Sending says so, and so does asking."""
    hub = DeviceHub()

    assert (False, False) == (hub.send("alice", b"{}"), hub.connected("alice"))


def test_who_is_too_slow_is_not_sent_to() -> None:
    """A stream without room takes nothing more."""
    hub = DeviceHub()
    hub.attach("alice", SimStream(room=1))

    assert [True, False] == [hub.send("alice", b'{"type":"x"}') for _ in range(2)]


def test_a_newer_stream_replaces_the_older() -> None:
    """A device has one stream; the older one is closed with 4409, and its end changes nothing."""
    hub, older, newer = DeviceHub(), SimStream(), SimStream()
    hub.attach("alice", older)
    hub.attach("alice", newer)
    hub.detach("alice", older)

    hub.send("alice", b'{"type":"x"}')

    assert (4409, None, ["x"], 1) == (older.closed_with, newer.closed_with, newer.types, len(hub))


def test_a_stream_that_ends_is_forgotten() -> None:
    """After its end the device does not listen."""
    hub, stream = DeviceHub(), SimStream()
    hub.attach("alice", stream)
    hub.detach("alice", stream)

    assert (False, 0) == (hub.connected("alice"), len(hub))


def test_one_stream_is_closed() -> None:
    """With the code that was asked for; a device without a stream is passed over."""
    hub, alice, bob = DeviceHub(), SimStream(), SimStream()
    hub.attach("alice", alice)
    hub.attach("bob", bob)

    hub.close("alice", 4403)
    hub.close("mallory", 4403)

    assert (4403, None, False) == (alice.closed_with, bob.closed_with, hub.connected("alice"))


def test_all_streams_are_closed() -> None:
    """At the end nobody listens any more."""
    hub, streams = DeviceHub(), [SimStream(), SimStream()]
    for number, stream in enumerate(streams):
        hub.attach(str(number), stream)

    hub.close_all(4503)

    assert ([4503, 4503], 0) == ([stream.closed_with for stream in streams], len(hub))


# What goes over a stream


async def test_a_new_request_is_told_to_who_listens(sim: Simulator) -> None:
    """Every device in every group, with the challenge that names it."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    streams = {device.fingerprint: sim.listen(device) for device in (alice, bob)}
    request = await sim.ask([alice], [bob, carol], required=2)
    await sim.relay.worker.drain()

    key = sim.relay.keys.current(sim.clock.now()).public_key
    for fingerprint, stream in streams.items():
        (frame,) = stream.frames
        challenge = verify_statement(parse_envelope(frame["challenge"]), Challenge, key=key)
        assert ("approval_request", fingerprint, request.digest) == (
            frame["type"],
            challenge.statement.device,
            challenge.statement.request_digest,
        )


async def test_progress_is_told_to_the_others(sim: Simulator) -> None:
    """Who satisfied a group has the answer; the others get a frame."""
    alice, bob, carol = await sim.devices("alice", "bob", "carol")
    request = await sim.ask([alice], [bob], [carol], required=2)
    streams = [sim.listen(device) for device in (alice, bob, carol)]
    for stream in streams:
        stream.frames.clear()

    await sim.approve(request, alice)

    progress = {
        "type": "request_progress",
        "request_id": request.id,
        "groups_satisfied_count": 1,
        "groups_required": 2,
    }
    assert [[], [progress], [progress]] == [stream.frames for stream in streams]


@pytest.mark.parametrize("end", ["approved", "rejected", "cancelled", "timeout"])
async def test_every_end_is_told_to_the_others(sim: Simulator, end: str) -> None:
    """Approved, rejected, cancelled and timed out: whoever did not do it hears of it, once."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob])
    streams = [sim.listen(device) for device in (alice, bob)]
    for stream in streams:
        stream.frames.clear()

    if end == "approved":
        await sim.approve(request, alice)
    elif end == "rejected":
        await sim.deny(request, alice)
    elif end == "cancelled":
        await sim.cancel(request)
    else:
        sim.clock.advance(300)
        await sim.relay.sweeper.sweep()

    resolved = {"type": "request_resolved", "request_id": request.id, "status": end}
    by_decision = end in {"approved", "rejected"}
    assert [[] if by_decision else [resolved], [resolved]] == [stream.frames for stream in streams]


async def test_what_changes_nothing_is_not_told(sim: Simulator) -> None:
    """A second approval in a group and a denial that leaves a quorum are no news."""
    alice, bob, carol, dave = await sim.devices("alice", "bob", "carol", "dave")
    request = await sim.ask(
        [alice, bob], [carol], [dave], required=2, reject_policy="quorum_impossible"
    )
    await sim.approve(request, alice)
    stream = sim.listen(dave)
    stream.frames.clear()

    await sim.approve(request, bob)
    await sim.deny(request, carol)

    assert [] == stream.frames


async def test_a_lost_approval_is_told(sim: Simulator) -> None:
    """When a group is not satisfied any more, the others hear of it."""
    alice, bob = await sim.devices("alice", "bob")
    request = await sim.ask([alice], [bob], required=2)
    await sim.approve(request, alice)
    stream = sim.listen(bob)
    stream.frames.clear()

    await sim.unpair(alice)

    assert [("request_progress", 0)] == [
        (frame["type"], frame["groups_satisfied_count"]) for frame in stream.frames
    ]


async def test_who_left_is_told_nothing(sim: Simulator) -> None:
    """A device that stays with another integrator hears no more of the one it left."""
    alice, bob = await sim.devices("alice", "bob")
    await sim.admit(alice, UMBRELLA)
    request = await sim.ask([alice], [bob])
    await sim.unpair(alice, ACME.id)
    stream = sim.listen(alice)

    await sim.approve(request, bob)

    assert [] == stream.frames


# The stream as a channel


async def test_a_device_that_left_meanwhile_is_gone(sim: Simulator) -> None:
    """A stream that ended before the challenge was sent drops it: the next one gets it first."""
    alice = await sim.device("alice")
    stream = sim.listen(alice)
    sim.relay.hub.detach(alice.fingerprint, stream)
    request = await sim.ask([alice])
    stored = await sim.store.load(request.id)
    assert stored is not None
    message = Message(
        delivery=sim.use.inbox.plan.streamed(stored, alice.fingerprint, sim.clock.now()),
        integrator_name="Acme",
        challenge=sim.use.challenges.envelope(stored, alice.fingerprint, sim.clock.now()),
    )
    channel = WebSocketChannel(sim.relay.hub, sim.clock)

    absent = await channel.send(message)
    sim.relay.hub.attach(alice.fingerprint, stream)
    present = await channel.send(message)

    assert (Gone(sim.clock.now(), "not_listening"), Accepted("sent")) == (absent, present)


def test_the_same_message_has_the_same_id() -> None:
    """Request, device, channel and kind make the id, so what is planned twice is one row."""
    first, second, other = (
        delivery_id("r", "ab" * 32, channel, "approval_request")
        for channel in ("websocket", "websocket", "fcm")
    )

    assert (True, False) == (first == second, first == other)
