from __future__ import annotations

import asyncio
import json
import sys
from collections import deque
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import httpx2
import pytest
from tests.sdk.device.phones import Desk
from tests.sdk.relay_double import failure
from websockets.asyncio.server import serve

from quorumkey.client import Status
from quorumkey.client.address import RelayAddress
from quorumkey.device import (
    Connected,
    DevicePorts,
    Disconnected,
    RelayMismatchError,
    RequestArrived,
    RequestProgressed,
    RequestResolved,
    RequestUnusable,
    SoftwareDevice,
    StreamClosedError,
)
from quorumkey.device.home import DeviceHome
from quorumkey.errors import ConfigurationError
from quorumkey.protocol import PrivateKey, Session, b64encode, parse_envelope, verify_statement

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable
    from pathlib import Path

    from websockets.asyncio.server import ServerConnection
    from websockets.http11 import Request, Response

    from quorumkey.device import DeviceEvent
    from quorumkey.protocol import JsonValue

Frame = dict[str, "JsonValue"]


@dataclass
class Scene:
    """One connection of the stream as the relay plays it.

    `before` and `after` are sent around the authentication, then the socket is closed with `code`.
    """

    before: list[Frame | str] | None = None
    after: list[Frame | str] = field(default_factory=list[Frame | str])
    code: int = 1000
    status: HTTPStatus | None = None
    wait_for: int = 0


class Stage:
    """A relay with a real socket whose scenes are played in turn."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.scenes: deque[Scene] = deque()
        self.received: list[Frame] = []
        self.protocols: list[str | None] = []
        self.port = 0
        self.refused = 0

    def hello(self) -> Frame:
        """The relay's greeting."""
        nonce = b64encode(len(self.received).to_bytes(32, "big"))
        return {"type": "hello", "nonce": nonce, "relay": self.desk.relay.fingerprint}

    def refuse(self, connection: ServerConnection, _request: Request) -> Response | None:
        """Refuse the upgrade where the next scene says so."""
        status = self.scenes[0].status
        if status is None:
            return None
        self.scenes.popleft()
        self.refused += 1
        response = connection.respond(status, "No.")
        if status is HTTPStatus.FOUND:
            response.headers["Location"] = f"ws://127.0.0.1:{self.port}/elsewhere"
        return response

    async def play(self, connection: ServerConnection) -> None:
        """Play one scene."""
        scene = self.scenes.popleft()
        self.protocols.append(connection.subprotocol)
        for frame in scene.before if scene.before is not None else [self.hello()]:
            await connection.send(frame if isinstance(frame, str) else json.dumps(frame))
        if scene.before is None:
            self.received.append(json.loads(await connection.recv()))
        for frame in scene.after:
            await connection.send(frame if isinstance(frame, str) else json.dumps(frame))
        for _ in range(scene.wait_for):
            self.received.append(json.loads(await connection.recv()))
        await connection.close(scene.code)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[SoftwareDevice]:
        """Serve, with the device's pin moved to this address."""
        async with serve(
            self.play,
            "127.0.0.1",
            0,
            subprotocols=["quorumkey.v1"],  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
            process_request=self.refuse,
        ) as server:
            self.port = next(iter(server.sockets)).getsockname()[1]
            for folder, record in DeviceHome(self.desk.home).relays():
                address = RelayAddress.parse(f"http://127.0.0.1:{self.port}")
                folder.save(replace(record, address=address))
            async with self.desk.device() as device:
                yield device


def listen(
    stage: Stage,
    *scenes: Scene,
    count: int,
    react: Callable[[SoftwareDevice, DeviceEvent], Awaitable[None]] | None = None,
) -> list[DeviceEvent]:
    """The first events of a listening device."""
    stage.scenes.extend(scenes)

    async def inside() -> list[DeviceEvent]:
        found: list[DeviceEvent] = []
        async with stage.open() as device, aclosing(device.listen()) as events:
            async for event in events:
                found.append(event)
                if react is not None:
                    await react(device, event)
                if len(found) == count:
                    break
        return found

    return asyncio.run(inside())


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A paired device."""
    made = Desk(tmp_path / "home")
    made.enroll()
    return made


@pytest.fixture
def stage(desk: Desk) -> Stage:
    """Its relay's stream."""
    return Stage(desk)


READY: Frame = {"type": "ready"}


def test_a_device_authenticates(stage: Stage) -> None:
    """On hello the device signs a session for this relay, origin and nonce."""
    events = listen(stage, Scene(after=[READY], code=4403), count=1)
    phone = stage.desk.enroll()
    session = verify_statement(
        parse_envelope(stage.received[0]["envelope"]), Session, key=phone.key.public_key
    ).statement

    assert [Connected()] == events
    assert "auth" == stage.received[0]["type"]
    assert (
        b64encode(bytes(32)),
        stage.desk.relay.fingerprint,
        f"http://127.0.0.1:{stage.port}",
    ) == (session.nonce, session.relay, session.audience)
    assert ["quorumkey.v1"] == stage.protocols


def test_messages_are_events(stage: Stage) -> None:
    """Challenges, progress and ends become events; unknown types are passed over."""
    desk = stage.desk
    stored = desk.relay.ask(desk.enroll())
    device = stored.document.policy.groups[0].approvers[0].fingerprint
    request_id = stored.document.request_id
    frames: list[Frame | str] = [
        {"type": "something_newer"},
        READY,
        {"type": "something_newer"},
        {"type": "approval_request", "challenge": desk.relay.challenge(stored, device).to_json()},
        {
            "type": "request_progress",
            "request_id": request_id,
            "groups_satisfied_count": 1,
            "groups_required": 2,
        },
        {"type": "request_resolved", "request_id": request_id, "status": "approved"},
    ]
    _, arrived, progressed, resolved = listen(stage, Scene(after=frames, code=4403), count=4)

    assert isinstance(arrived, RequestArrived)
    assert arrived.request.can_approve
    assert RequestProgressed(request_id, 1, 2) == progressed
    assert RequestResolved(request_id, Status.APPROVED) == resolved


def test_acknowledging_on_the_socket(stage: Stage) -> None:
    """While the stream is open, a request is acknowledged on it."""

    async def acknowledge(device: SoftwareDevice, event: DeviceEvent) -> None:
        if isinstance(event, Connected):
            await device.acknowledge("r-1")

    scenes = (Scene(after=[READY], wait_for=1), Scene(after=[READY], code=4403))
    listen(stage, *scenes, count=2, react=acknowledge)

    assert {"type": "ack", "request_id": "r-1"} == stage.received[1]


def test_acknowledging_after_the_socket(stage: Stage) -> None:
    """When the stream is gone, a request is acknowledged by a call."""

    async def acknowledge(device: SoftwareDevice, event: DeviceEvent) -> None:
        if isinstance(event, Disconnected):
            await device.acknowledge("r-1")

    listen(stage, Scene(after=[READY]), count=2, react=acknowledge)

    assert "POST /v1/device/requests/r-1/ack" in stage.desk.relay.seen()


def test_acknowledging_on_a_socket_that_has_just_closed(stage: Stage) -> None:
    """A socket that turns out to be closed falls back to a call."""
    desk = stage.desk
    call = "POST /v1/device/requests/r-1/ack"

    async def acknowledge(device: SoftwareDevice, event: DeviceEvent) -> None:
        if isinstance(event, Connected):
            async with asyncio.timeout(30):
                while call not in desk.relay.seen():
                    await device.acknowledge("r-1")
                    await asyncio.sleep(0)

    listen(stage, Scene(after=[READY], wait_for=1), count=1, react=acknowledge)

    assert call in desk.relay.seen()


def _foreign_challenge(stage: Stage) -> JsonValue:
    desk = stage.desk
    stored = desk.relay.ask(desk.enroll())
    device = stored.document.policy.groups[0].approvers[0].fingerprint
    mine, desk.relay.key = desk.relay.key, PrivateKey.generate()
    challenge = desk.relay.challenge(stored, device).to_json()
    desk.relay.key = mine
    return challenge


def test_a_strangers_challenge_is_ignored(stage: Stage) -> None:
    """A challenge that is not the pinned relay's is told of, and nothing is fetched for it."""
    bad: Frame = {"type": "approval_request", "challenge": _foreign_challenge(stage)}
    before = stage.desk.relay.seen().count("POST /v1/device/session")
    _, unusable = listen(stage, Scene(after=[READY, bad], code=4403), count=2)

    assert isinstance(unusable, RequestUnusable)
    assert unusable.request_id is None
    assert before == stage.desk.relay.seen().count("POST /v1/device/session")


def test_a_challenge_for_another_device_is_ignored(stage: Stage) -> None:
    """A challenge for somebody else is told of."""
    desk = stage.desk
    challenge = desk.relay.challenge(desk.relay.ask(desk.enroll()), "0" * 64).to_json()
    frames: list[Frame | str] = [READY, {"type": "approval_request", "challenge": challenge}]
    _, unusable = listen(stage, Scene(after=frames, code=4403), count=2)

    assert isinstance(unusable, RequestUnusable)
    assert "not for this device" in unusable.reason


def test_a_request_that_cannot_be_fetched(stage: Stage) -> None:
    """Where the details of a challenge cannot be fetched, the listener says so and goes on."""
    desk = stage.desk
    stored = desk.relay.ask(desk.enroll())
    device = stored.document.policy.groups[0].approvers[0].fingerprint
    request_id = stored.document.request_id
    desk.relay.script(f"GET /v1/device/requests/{request_id}", failure(404, "not_found"))
    challenge = desk.relay.challenge(stored, device).to_json()
    frames: list[Frame | str] = [READY, {"type": "approval_request", "challenge": challenge}]
    _, unusable = listen(stage, Scene(after=frames, code=4403), count=2)

    assert isinstance(unusable, RequestUnusable)
    assert request_id == unusable.request_id


@pytest.mark.parametrize("code", [4401, 4403, 4409])
def test_final_closes_end_the_listening(stage: Stage, code: int) -> None:
    """After bad authentication, revocation and replacement the device stays away."""
    with pytest.raises(StreamClosedError) as caught:
        listen(stage, Scene(after=[READY], code=code), count=9)

    assert code == caught.value.code


@pytest.mark.parametrize("code", [1000, 1011, 4400, 4408, 4503])
def test_other_closes_are_connected_again(stage: Stage, code: int) -> None:
    """After any other close the device connects again within the protocol's pauses."""
    events = listen(
        stage, Scene(after=[READY], code=code), Scene(after=[READY], code=4403), count=3
    )

    assert [Connected, Disconnected, Connected] == [type(event) for event in events]
    assert [1.5] == stage.desk.clock.slept[-1:]


def test_pauses_grow_until_it_works_again(stage: Stage) -> None:
    """Failures in a row make the pauses longer; a connection that held makes them short again."""
    broken = Scene(before=["no json"])
    good = Scene(after=[READY])
    events = listen(stage, broken, broken, broken, good, broken, count=6)
    pauses = [event.retry_in_seconds for event in events if isinstance(event, Disconnected)]

    assert [1.5, 2.5, 4.5, 1.5, 2.5][: len(pauses)] == pauses
    assert 5 == len(pauses)


@pytest.mark.parametrize(
    "scene",
    [
        Scene(before=[READY]),
        Scene(before=["[]"]),
        Scene(after=[{"type": "request_resolved", "request_id": "r", "status": "timeout"}]),
        Scene(after=[READY, READY]),
        Scene(after=[READY, {"type": "hello", "nonce": "n", "relay": "r"}]),
        Scene(after=[READY, "x" * 70_000]),
        Scene(status=HTTPStatus.SERVICE_UNAVAILABLE),
        Scene(status=HTTPStatus.TOO_MANY_REQUESTS),
    ],
)
def test_nonsense_is_a_broken_connection(stage: Stage, scene: Scene) -> None:
    """Frames out of turn, oversized or unreadable ones, and a busy relay are tried again."""
    events = listen(stage, scene, Scene(after=[READY], code=4403), count=2)

    assert {Connected, Disconnected} == {type(event) for event in events}


@pytest.mark.parametrize("status", [400, 403, 404])
def test_a_relay_without_a_stream(stage: Stage, status: int) -> None:
    """An upgrade that is refused for good ends the listening."""
    with pytest.raises(StreamClosedError) as caught:
        listen(stage, Scene(status=HTTPStatus(status)), count=1)

    assert status == caught.value.code


def test_redirects_are_not_followed(stage: Stage) -> None:
    """A stream that is redirected counts as broken; nothing is signed for another address."""
    (event,) = listen(stage, Scene(status=HTTPStatus.FOUND), Scene(after=[READY]), count=1)

    assert isinstance(event, Disconnected)
    assert [] == stage.received
    assert 1 == stage.refused


def test_another_relay_at_the_address(stage: Stage) -> None:
    """Where hello names another relay than the pinned one, the device stops and signs nothing."""
    with pytest.raises(RelayMismatchError):
        listen(stage, Scene(before=[{**stage.hello(), "relay": "0" * 64}]), count=1)

    assert [] == stage.received


def test_nobody_at_the_address(stage: Stage) -> None:
    """A relay that cannot be reached is tried again."""

    async def inside() -> DeviceEvent:
        async with stage.open():
            pass
        async with stage.desk.device() as device, aclosing(device.listen()) as events:
            return await anext(events)

    event = asyncio.run(inside())

    assert isinstance(event, Disconnected)
    assert "could not be opened" in event.reason


def test_listening_needs_the_extra(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra's packages, listening says what to install."""
    monkeypatch.setitem(sys.modules, "quorumkey.device.listener", None)

    async def inside() -> None:
        async with desk.device() as device:
            await anext(device.listen())

    with pytest.raises(ConfigurationError, match=r"quorumkey\[cli\]"):
        asyncio.run(inside())


def test_the_default_ports_are_the_world() -> None:
    """Without ports of its own a device uses the machine's clock and the network."""
    ports = DevicePorts()

    assert ports.transport is None
    assert isinstance(ports.now(), float)
    assert isinstance(httpx2.AsyncClient(transport=ports.transport), httpx2.AsyncClient)
