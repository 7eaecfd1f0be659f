"""The devices' WebSocket: handshake, authentication, what flows, and how it ends (PROTOCOL §7)."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.relay.api.harness import NO_SUCH_ID, House, ok, refused
from tests.relay.api.harness import house as served
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from quorumkey.protocol import b64decode, b64encode

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    import httpx2
    from tests.relay.simulator import SimDevice
    from websockets.asyncio.client import ClientConnection

    from quorumkey.protocol import Envelope

pytestmark = pytest.mark.anyio

PROTOCOL = Subprotocol("quorumkey.v1")


def open_socket(
    house: House, path: str = "/v1/device/stream", protocol: str | None = PROTOCOL
) -> connect:
    """A client's connection to a path of the relay."""
    url = house.url.replace("http://", "ws://") + path
    protocols = None if protocol is None else [Subprotocol(protocol)]
    return connect(url, subprotocols=protocols, proxy=None, compression="deflate")


async def receive(socket: ClientConnection) -> dict[str, Any]:
    """The next message."""
    return cast("dict[str, Any]", json.loads(await socket.recv()))


async def close_code(socket: ClientConnection) -> int | None:
    """The code with which the relay closes, after any messages before it."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return closed.rcvd.code if closed.rcvd else None


async def authenticate(house: House, socket: ClientConnection, device: SimDevice) -> None:
    """Answer the hello and see ready."""
    hello = await receive(socket)
    envelope = await house.session_envelope(device, hello["nonce"])
    await socket.send(auth(envelope))
    assert await receive(socket) == {"type": "ready"}


def auth(envelope: Envelope) -> str:
    """An auth message."""
    return json.dumps({"type": "auth", "envelope": envelope.to_json()})


@asynccontextmanager
async def listening(house: House, device: SimDevice) -> AsyncGenerator[ClientConnection, None]:
    """An authenticated socket."""
    async with open_socket(house) as socket:
        await authenticate(house, socket, device)
        yield socket


async def refusal(attempt: connect) -> tuple[int, str, str]:
    """Status, code and message of a handshake that the relay refuses by HTTP."""
    with pytest.raises(InvalidStatus) as caught:
        async with attempt:
            pass
    response = caught.value.response
    assert response.headers["x-request-id"]
    error = json.loads(response.body or b"")["error"]
    return response.status_code, error["code"], error["message"]


@pytest.mark.parametrize("protocol", [None, "quorumkey.v2", "graphql-ws"])
async def test_the_sub_protocol_must_be_offered(house: House, protocol: str | None) -> None:
    """A handshake that does not offer quorumkey.v1 is answered 400."""
    assert await refusal(open_socket(house, protocol=protocol)) == (
        400,
        "invalid_request",
        "Offer the sub-protocol quorumkey.v1.",
    )


async def test_sockets_live_at_one_path(house: House) -> None:
    """A handshake at another path is 404; one with a query is 400."""
    assert (await refusal(open_socket(house, "/v1/info")))[:2] == (404, "not_found")
    assert (await refusal(open_socket(house, "/v1/device/stream?x=1")))[:2] == (
        400,
        "invalid_request",
    )


async def test_a_plain_call_is_told_to_upgrade(house: House) -> None:
    """GET without an upgrade is 400 and says what to do."""
    assert refused(await house.http.get("/v1/device/stream")) == (
        400,
        "invalid_request",
        "Open this address as a WebSocket, with quorumkey.v1.",
    )


async def test_hello(house: House) -> None:
    """The relay speaks first: a nonce of its own for this socket, and its fingerprint."""
    async with open_socket(house) as socket, open_socket(house) as other:
        hello, second = await receive(socket), await receive(other)

    assert socket.subprotocol == PROTOCOL
    assert socket.response is not None
    assert socket.response.headers["x-request-id"]
    assert "sec-websocket-extensions" not in socket.response.headers
    assert hello.keys() == {"type", "nonce", "relay"}
    assert (hello["type"], hello["relay"]) == ("hello", await house.fingerprint())
    assert hello["nonce"] != second["nonce"]


async def test_pending_requests_follow_ready(house: House) -> None:
    """After ready come the challenges of what is pending, oldest first."""
    device = await house.device("alice")
    asked = [(await house.ask(device))["request_id"] for _ in range(3)]

    async with listening(house, device) as socket:
        messages = [await receive(socket) for _ in asked]

    assert {message["type"] for message in messages} == {"approval_request"}
    assert [challenged(message)["request_id"] for message in messages] == asked


def challenged(message: dict[str, Any]) -> dict[str, Any]:
    """The payload of a message's challenge."""
    payload = b64decode(message["challenge"]["payload"], field="payload")
    return cast("dict[str, Any]", json.loads(payload))


async def test_what_happens_later_is_pushed(house: House) -> None:
    """New requests, progress by others and the end of a request arrive as they happen."""
    alice, bob = await house.device("alice.push"), await house.device("bob.push")
    async with listening(house, alice) as socket:
        request = await house.ask(alice, bob)
        arrived = await receive(socket)
        ok(await house.decide(bob, request))
        progress = await receive(socket)
        ok(await house.post(f"/v1/requests/{request['request_id']}/cancel"))
        end = await receive(socket)

    assert challenged(arrived)["request_digest"] == request["request_digest"]
    assert progress == {
        "type": "request_progress",
        "request_id": request["request_id"],
        "groups_satisfied_count": 1,
        "groups_required": 2,
    }
    assert end == {
        "type": "request_resolved",
        "request_id": request["request_id"],
        "status": "cancelled",
    }


async def test_ack(house: House) -> None:
    """An ack is noted; one that names nothing is passed over."""
    device = await house.device("alice.ack")
    async with listening(house, device) as socket:
        request = await house.ask(device)
        await receive(socket)
        for request_id in ("nonsense", NO_SUCH_ID, request["request_id"]):
            await socket.send(json.dumps({"type": "ack", "request_id": request_id}))
        await (await socket.ping())
        second = await house.ask(device)
        assert challenged(await receive(socket))["request_id"] == second["request_id"]
        answer = ok(await house.get(f"/v1/requests/{request['request_id']}/deliveries"))

    assert answer["groups"][0]["channels"]["websocket"]["acknowledged"] == 1


UNEXPECTED = [
    "",
    "{",
    "[]",
    "null",
    '"auth"',
    '{"type":"ack","request_id":"x"}',
    '{"type":"hello"}',
    '{"type":"auth"}',
    '{"type":"auth","type":"auth"}',
    '{"type":"auth","envelope":{},"x":1}',
    '{"type":"auth","envelope":1.5}',
    '{"type":"auth","envelope":' + "[" * 40 + "]" * 40 + "}",
    b'{"type":"auth","envelope":{}}',
]


@pytest.mark.parametrize("message", UNEXPECTED)
async def test_unexpected_message_before_auth(house: House, message: str | bytes) -> None:
    """Anything but an auth message, as text and strict JSON, closes with 4400."""
    async with open_socket(house) as socket:
        await receive(socket)
        await socket.send(message)

        assert await close_code(socket) == 4400


@pytest.mark.parametrize(
    "message",
    [
        "{}",
        '{"type":"ack"}',
        '{"type":"ack","request_id":1}',
        '{"type":"ack","request_id":"x","y":1}',
        '{"type":"auth","envelope":{}}',
        "not json",
        b"\x00",
    ],
)
async def test_unexpected_message_after_ready(house: House, message: str | bytes) -> None:
    """After ready anything but an ack closes with 4400."""
    device = await house.device("alice.strict")
    async with listening(house, device) as socket:
        await socket.send(message)

        assert await close_code(socket) == 4400


async def test_frames_are_bounded(house: House) -> None:
    """A frame over 64 KiB is refused by the transport (RFC 6455: 1009)."""
    async with open_socket(house) as socket:
        await receive(socket)
        await socket.send("x" * 65_537)

        assert await close_code(socket) == 1009


@pytest.mark.parametrize("envelope", [None, 1, {}, {"payloadType": "x"}])
async def test_an_auth_without_an_envelope(house: House, envelope: object) -> None:
    """An auth message whose envelope is none is a bad authentication."""
    async with open_socket(house) as socket:
        await receive(socket)
        await socket.send(json.dumps({"type": "auth", "envelope": envelope}))

        assert await close_code(socket) == 4401


async def test_bad_auth(house: House) -> None:
    """A nonce from elsewhere, another relay's address or a wrong signature closes with 4401."""
    device, other = await house.device("alice.bad"), await house.device("bob.bad")

    async def code(nonce: str | None = None, *, forge: bool = False, **members: str) -> int | None:
        async with open_socket(house) as socket:
            hello = await receive(socket)
            nonce = nonce or str(hello["nonce"])
            envelope = (await house.session_envelope(device, nonce, **members)).to_json()
            if forge:
                theirs = await house.session_envelope(other, nonce)
                envelope["signatures"] = theirs.to_json()["signatures"]
            await socket.send(json.dumps({"type": "auth", "envelope": envelope}))
            return await close_code(socket)

    assert await code(nonce=await house.nonce()) == 4401
    assert await code(nonce=b64encode(bytes(32))) == 4401
    assert await code(relay="00" * 32) == 4401
    assert await code(forge=True) == 4401


async def test_a_hello_nonce_is_good_on_its_socket_only(house: House) -> None:
    """The nonce of a hello opens no session."""
    device = await house.device("alice.nonce")
    async with open_socket(house) as socket:
        envelope = await house.session_envelope(device, (await receive(socket))["nonce"])
        body = {"envelope": envelope.to_json()}
        answer = await house.http.post("/v1/device/session", json=body)

    assert refused(answer)[:2] == (410, "nonce_expired")


async def test_a_revoked_device_is_closed(house: House) -> None:
    """Once its pairing is ended a device's socket is closed with 4403, and opens no more."""
    device = await house.device("alice.gone")
    async with listening(house, device) as socket:
        answer = await house.http.delete(f"/v1/devices/{device.fingerprint}", headers=house.bearer)
        assert answer.status_code == 204
        assert await close_code(socket) == 4403

    async with open_socket(house) as socket:
        hello = await receive(socket)
        await socket.send(auth(await house.session_envelope(device, hello["nonce"])))
        assert await close_code(socket) == 4403


async def test_a_newer_connection_replaces_the_older(house: House) -> None:
    """A second socket of one device closes the first with 4409 and gets what follows."""
    device = await house.device("alice.two")
    async with listening(house, device) as first, listening(house, device) as second:
        assert await close_code(first) == 4409
        request = await house.ask(device)

        assert challenged(await receive(second))["request_id"] == request["request_id"]


async def test_unauthenticated_sockets_are_bounded(tmp_path: Path) -> None:
    """Too many sockets that have not authenticated: 503, until one has or has left."""
    async with served(tmp_path, max_unauthenticated_sockets=1) as house:
        device = await house.device("alice")
        async with open_socket(house) as socket:
            hello = await receive(socket)
            assert (await refusal(open_socket(house)))[:2] == (503, "store_unavailable")
            await socket.send(auth(await house.session_envelope(device, hello["nonce"])))
            assert await receive(socket) == {"type": "ready"}

            async with open_socket(house) as next_one:
                assert (await receive(next_one))["type"] == "hello"


async def test_handshakes_are_charged_to_their_address(tmp_path: Path) -> None:
    """Opening sockets counts as calls without authentication, failing as failures."""
    async with served(tmp_path, rate_ip_failures=1) as house:
        async with open_socket(house) as socket:
            await receive(socket)
            device = await house.device("alice")
            envelope = await house.session_envelope(device, b64encode(bytes(32)))
            await socket.send(auth(envelope))
            assert await close_code(socket) == 4401
        assert (await refusal(open_socket(house)))[:2] == (429, "rate_limited")


async def test_shutting_down(tmp_path: Path) -> None:
    """At shutdown every socket is closed with 4503, authenticated or not."""
    async with served(tmp_path) as house:
        device = await house.device("alice")
        live = await open_socket(house)
        await authenticate(house, live, device)
        waiting = await open_socket(house)
        await receive(waiting)

    assert [await close_code(live), await close_code(waiting)] == [4503, 4503]


async def test_sockets_are_counted(house: House) -> None:
    """The gauges of sockets follow what is open."""
    device = await house.device("alice.gauge")

    async def shown(answer: httpx2.Response) -> list[str]:
        return [
            line
            for line in answer.text.splitlines()
            if line.startswith("quorumkey_sockets{") and not line.endswith(" 0.0")
        ]

    async with open_socket(house) as waiting, listening(house, device):
        await receive(waiting)
        lines = await shown(await house.http.get("/metrics"))

    assert 'quorumkey_sockets{state="live"} 1.0' in lines
    assert any(line.startswith('quorumkey_sockets{state="waiting"}') for line in lines)
