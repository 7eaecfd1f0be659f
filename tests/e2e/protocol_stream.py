"""A device's WebSocket and an integrator's event stream, as §5 and §7 of the page describe them."""

from __future__ import annotations

import json
import time
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, NamedTuple, cast

import httpx2
from tests.e2e.protocol_client import PATIENCE, Device, Integrator, Relay
from tests.e2e.protocol_crypto import Json, Key, compact
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

SUBPROTOCOL = Subprotocol("quorumkey.v1")


def dial(
    relay: Relay, *subprotocols: str, query: str = ""
) -> AbstractContextManager[ClientConnection]:
    """The devices' socket, to be entered; offers ``quorumkey.v1`` unless told otherwise."""
    url = relay.url.replace("http", "ws", 1) + "/v1/device/stream" + query
    offered = [Subprotocol(name) for name in subprotocols] or [SUBPROTOCOL]
    return connect(url, subprotocols=offered, compression=None, proxy=None, max_size=None)


class Stream:
    """A device's socket that has said hello."""

    def __init__(self, device: Device, socket: ClientConnection) -> None:
        self.device = device
        self.socket = socket
        self.hello = self.next()
        assert self.hello.keys() == {"type", "nonce", "relay"}
        assert self.hello["type"] == "hello"

    def next(self) -> Json:
        """The next frame, which must come."""
        text = self.socket.recv(timeout=PATIENCE)
        assert isinstance(text, str)
        return cast("Json", json.loads(text))

    def send(self, message: object) -> None:
        """Send a frame."""
        self.socket.send(message if isinstance(message, str | bytes) else compact(message).decode())

    def auth(self, key: Key | None = None, **members: object) -> Json:
        """The auth frame over the nonce of this socket."""
        said: Json = {
            "relay": self.hello["relay"],
            "audience": self.device.relay.url,
            "nonce": self.hello["nonce"],
            "device": self.device.fingerprint,
        }
        envelope = (key or self.device.key).seal("session", said | members)
        return {"type": "auth", "envelope": envelope}

    def opened(self) -> Stream:
        """Authenticate; the relay must be ready for it."""
        self.send(self.auth())
        assert self.next() == {"type": "ready"}
        return self

    def code(self) -> int:
        """The close code, 0 if there was none; what comes before it is read away."""
        try:
            while True:
                self.socket.recv(timeout=PATIENCE)
        except ConnectionClosed as closed:
            return 0 if closed.rcvd is None else closed.rcvd.code


@contextmanager
def greeted(device: Device) -> Generator[Stream, None, None]:
    """A socket that has said hello and waits for ``auth``."""
    with dial(device.relay) as socket:
        yield Stream(device, socket)


@contextmanager
def streaming(device: Device) -> Generator[Stream, None, None]:
    """A socket that is ready."""
    with greeted(device) as stream:
        yield stream.opened()


def until(condition: Callable[[], bool]) -> bool:
    """Whether a condition, which asks the relay each time, comes true within ``PATIENCE``."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if condition():
            return True
    return False


class Event(NamedTuple):
    """One server-sent event."""

    event_id: str
    kind: str
    body: Json


@contextmanager
def events(
    integrator: Integrator, last_event_id: str | None = None
) -> Generator[Iterator[Event], None, None]:
    """The events of an integrator from now on, or after an event."""
    headers = integrator.bearer | {"Accept": "text/event-stream"}
    if last_event_id is not None:
        headers["Last-Event-ID"] = last_event_id
    url = f"{integrator.relay.url}/v1/events"
    with (
        httpx2.Client(trust_env=False, timeout=PATIENCE) as http,
        http.stream("GET", url, headers=headers) as answer,
    ):
        assert answer.status_code == 200
        assert answer.headers["content-type"].partition(";")[0] == "text/event-stream"
        yield _parsed(answer.iter_lines())


def _parsed(lines: Iterator[str]) -> Iterator[Event]:
    fields: dict[str, str] = {}
    for line in lines:
        if line.startswith(":"):
            continue
        if line:
            name, _, value = line.partition(":")
            assert name in {"event", "id", "data", "retry"}
            fields[name] = value.removeprefix(" ")
        elif "data" in fields:
            yield Event(fields["id"], fields["event"], json.loads(fields["data"]))
            fields = {}
