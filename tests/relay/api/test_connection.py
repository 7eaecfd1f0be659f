"""The sending side of a socket: order, bounds, slow readers and closing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from quorumkey_relay.api.connection import MAX_QUEUED_FRAMES, Connection

if TYPE_CHECKING:
    from collections.abc import Coroutine

pytestmark = pytest.mark.anyio


class Peer:
    """The other end: takes messages, or nothing, or has left."""

    def __init__(self) -> None:
        """Take everything at once."""
        self.messages: list[dict[str, Any]] = []
        self.takes = asyncio.Event()
        self.takes.set()
        self.has_left = False

    async def send(self, message: Any) -> None:  # noqa: ANN401 - ASGI's own type
        """Take one message, as an ASGI server would."""
        await self.takes.wait()
        if self.has_left:
            raise OSError
        self.messages.append(message)

    @property
    def texts(self) -> list[str]:
        """What arrived as text."""
        return [message["text"] for message in self.messages if "text" in message]


async def owned(work: Coroutine[None, None, None]) -> bool:
    """Run ``work`` as the owner of a connection; tell whether it was cancelled."""
    task = asyncio.ensure_future(work)
    await asyncio.wait((task,))
    return task.cancelled()


async def settled() -> None:
    """Let every task that can run do so."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_frames_keep_their_order() -> None:
    """What begins a connection comes first, then what was offered, in order."""
    peer = Peer()
    connection = Connection(peer.send)

    connection.begin((b"ready", b"first"))
    assert connection.offer(b"second")
    await settled()
    assert connection.offer(b"third")
    await settled()

    assert peer.texts == ["ready", "first", "second", "third"]


async def test_an_idle_connection_has_no_task() -> None:
    """Once everything is sent nothing runs for the connection."""
    peer = Peer()
    connection = Connection(peer.send)
    before = asyncio.all_tasks()
    connection.begin((b"ready",))
    await settled()

    assert asyncio.all_tasks() == before


async def test_a_slow_reader_is_dropped() -> None:
    """A reader that takes nothing is dropped when its queue is full, and its task cancelled."""
    peer = Peer()

    async def serve() -> None:
        connection = Connection(peer.send)
        peer.takes.clear()
        connection.begin(())
        taken = [connection.offer(b"frame") for _ in range(MAX_QUEUED_FRAMES + 2)]

        assert taken == [True] * MAX_QUEUED_FRAMES + [False, False]
        assert connection.is_dropped
        connection.close(4503)
        assert connection.close_code is None
        await asyncio.Event().wait()

    assert await owned(serve())
    assert peer.messages == []


async def test_closing_sends_nothing_more() -> None:
    """A close overtakes what is queued, and only the first close counts."""
    peer = Peer()
    connection = Connection(peer.send)
    connection.offer(b"unsent")
    connection.close(4403)
    connection.close(4503)
    connection.begin((b"late",))

    assert not connection.offer(b"late")
    await settled()
    assert peer.messages == [{"type": "websocket.close", "code": 4403}]


async def test_a_close_that_nobody_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A close frame that cannot go out in time drops the connection."""
    monkeypatch.setattr("quorumkey_relay.api.connection.CLOSE_SECONDS", 0.0)
    peer = Peer()

    async def serve() -> None:
        peer.takes.clear()
        Connection(peer.send).close(4503)
        await asyncio.Event().wait()

    assert await owned(serve())


async def test_a_peer_that_has_left_is_no_error() -> None:
    """Sending to a peer that has left ends quietly; the receiving side will notice."""
    peer = Peer()
    peer.has_left = True
    connection = Connection(peer.send)

    connection.begin((b"ready", b"more"))
    await settled()
    connection.close(4503)
    await settled()

    assert peer.messages == []
