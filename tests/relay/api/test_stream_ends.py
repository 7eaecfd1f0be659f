"""How sockets and event streams end when things go wrong, driven through ASGI itself."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from quorumkey_relay.api.application import Application
from quorumkey_relay.api.connection import MAX_QUEUED_FRAMES
from quorumkey_relay.api.gate import Gate
from quorumkey_relay.api.shutdown import Shutdown
from quorumkey_relay.api.stream import Streams
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.usecases.catalog import UseCases

if TYPE_CHECKING:
    import io

    from tests.relay.api.harness import House
    from tests.relay.simulator import SimDevice

pytestmark = pytest.mark.anyio

CLOSED = {"type": "websocket.disconnect", "code": 1006}


class Socket:
    """The server's end of one WebSocket, as an ASGI application sees it."""

    def __init__(self, *, breaks_at: str | None = None) -> None:
        """Be a peer that has left when a message of the type ``breaks_at`` is sent."""
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.is_taken = asyncio.Event()
        self.is_taken.set()
        self._breaks_at = breaks_at
        self.inbox.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> dict[str, Any]:
        """Give the application the next event."""
        return await self.inbox.get()

    async def send(self, message: Any) -> None:  # noqa: ANN401 - ASGI's own type
        """Take a message of the application."""
        await self.is_taken.wait()
        if message["type"] == self._breaks_at:
            raise OSError
        self.sent.put_nowait(message)
        if message["type"] == "websocket.close":
            self.inbox.put_nowait(CLOSED)

    async def auth(self, house: House, device: SimDevice) -> None:
        """Answer the hello."""
        assert (await self.sent.get())["type"] == "websocket.accept"
        hello = json.loads((await self.sent.get())["text"])
        envelope = (await house.session_envelope(device, hello["nonce"])).to_json()
        self.say({"type": "auth", "envelope": envelope})

    def say(self, message: object) -> None:
        """Send a text frame."""
        self.inbox.put_nowait({"type": "websocket.receive", "text": json.dumps(message)})

    async def closing(self) -> int:
        """The code of the close frame, past what came before it."""
        while (message := await self.sent.get())["type"] != "websocket.close":
            pass
        return int(message["code"])


SCOPE: dict[str, Any] = {
    "type": "websocket",
    "path": "/v1/device/stream",
    "query_string": b"",
    "headers": [],
    "client": ("127.0.0.1", 1),
    "subprotocols": ["quorumkey.v1"],
}


def streams(house: House, shutdown: Shutdown | None = None, **options: float) -> Streams:
    """The sockets of a relay, beside those that it serves."""
    return Streams(house.relay, Gate(house.relay), shutdown or Shutdown(), **options)


async def test_no_auth_in_time(house: House) -> None:
    """A socket that does not authenticate in time is closed with 4408."""
    socket = Socket()

    await streams(house, auth_within_seconds=0).serve(SCOPE, socket.receive, socket.send, ())

    assert await socket.closing() == 4408


async def test_a_handshake_while_going_down(house: House) -> None:
    """A relay that is going down accepts no socket."""
    shutdown = Shutdown()
    shutdown.begin()
    socket = Socket()

    await streams(house, shutdown).serve(SCOPE, socket.receive, socket.send, ())

    assert socket.sent.get_nowait()["status"] == 503


@pytest.mark.parametrize(
    "kind", ["websocket.accept", "websocket.send", "websocket.http.response.start"]
)
async def test_a_peer_that_leaves_during_the_handshake(house: House, kind: str) -> None:
    """A peer that leaves at any point of the handshake is forgotten without an error."""
    offered: dict[str, Any] = {"subprotocols": []} if kind.endswith("start") else {}
    socket = Socket(breaks_at=kind)
    served = streams(house)

    await served.serve(SCOPE | offered, socket.receive, socket.send, ())
    await served.all_closed()


async def test_a_store_that_fails_while_authenticating(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that could not be checked is closed with 1011, and may come again."""
    device = await house.device("alice")

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(UseCases, "authenticate_stream", fail)
    socket = Socket()
    task = asyncio.create_task(streams(house).serve(SCOPE, socket.receive, socket.send, ()))
    await socket.auth(house, device)

    assert await socket.closing() == 1011
    await task


async def test_a_store_that_fails_to_take_an_ack(
    house: House, monkeypatch: pytest.MonkeyPatch, log: io.BytesIO
) -> None:
    """An ack that could not be stored is logged and does not cost the connection."""
    device = await house.device("alice")

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable

    monkeypatch.setattr(UseCases, "acknowledge", fail)
    socket = Socket()
    task = asyncio.create_task(streams(house).serve(SCOPE, socket.receive, socket.send, ()))
    await socket.auth(house, device)
    socket.say({"type": "ack", "request_id": "0190a000-0000-7000-8000-00000000dead"})
    socket.inbox.put_nowait(CLOSED)
    await task

    assert b"ack_not_stored" in log.getvalue()


async def test_a_shutdown_while_authenticating(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A socket whose device is being checked when the relay goes down is closed with 4503."""
    device = await house.device("alice")
    served = streams(house)

    async def late(*_: object, **__: object) -> str:
        served.close_all()
        return device.fingerprint

    monkeypatch.setattr(UseCases, "authenticate_stream", late)
    socket = Socket()
    task = asyncio.create_task(served.serve(SCOPE, socket.receive, socket.send, ()))
    await socket.auth(house, device)

    assert await socket.closing() == 4503
    await task
    assert not house.relay.hub.connected(device.fingerprint)


async def test_a_slow_reader_is_let_go(house: House, log: io.BytesIO) -> None:
    """A device that takes nothing is dropped once its queue is full, and no longer connected."""
    device = await house.device("alice")
    socket = Socket()
    task = asyncio.create_task(streams(house).serve(SCOPE, socket.receive, socket.send, ()))
    await socket.auth(house, device)
    assert json.loads((await socket.sent.get())["text"]) == {"type": "ready"}
    socket.is_taken.clear()

    sent = [house.relay.hub.send(device.fingerprint, b"{}") for _ in range(MAX_QUEUED_FRAMES + 1)]
    await task

    assert sent == [True] * MAX_QUEUED_FRAMES + [False]
    assert not house.relay.hub.connected(device.fingerprint)
    assert b"slow_socket_dropped" in log.getvalue()


async def test_a_server_that_cancels(house: House) -> None:
    """A cancellation by the server passes through, and the socket is forgotten."""
    socket = Socket()
    served = streams(house)
    task = asyncio.create_task(served.serve(SCOPE, socket.receive, socket.send, ()))
    await socket.sent.get()
    await socket.sent.get()

    task.cancel()
    await asyncio.wait((task,))

    assert task.cancelled()
    await served.all_closed()


async def test_an_event_stream_that_breaks(
    house: House, monkeypatch: pytest.MonkeyPatch, log: io.BytesIO
) -> None:
    """A stream whose events break off ends, and why is logged."""

    class Broken:
        async def __anext__(self) -> None:
            raise StoreUnavailable("canary")

    async def watch(*_: object, **__: object) -> Broken:
        return Broken()

    monkeypatch.setattr(type(house.relay.usecases.watch_events), "__call__", watch)

    answer = await house.get("/v1/events")

    assert answer.text == "retry: 2000\n\n"
    assert b"event_stream_failed" in log.getvalue()
    assert b"canary" not in log.getvalue()


async def test_other_kinds_of_connections(house: House) -> None:
    """What is neither HTTP nor a WebSocket is not spoken."""
    socket = Socket()

    with pytest.raises(RuntimeError, match="does not speak ASGI lifespan"):
        await Application(house.relay)({"type": "lifespan"}, socket.receive, socket.send)
