"""A webhook's receiver on loopback that checks every call with the reference implementation."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, cast

from standardwebhooks.webhooks import Webhook
from tests.e2e.protocol_client import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Generator

    from tests.e2e.protocol_crypto import Json


@dataclass(frozen=True)
class Delivered:
    """One call as it came in."""

    path: str
    headers: dict[str, str]
    body: bytes
    answered: int

    @property
    def event_id(self) -> str:
        """What the sender calls the event."""
        return self.headers["webhook-id"]

    def verified(self, secret: str) -> Json:
        """The event, after the reference implementation has accepted it."""
        return cast("Json", Webhook(secret).verify(self.body, self.headers))


@dataclass
class Receiver:
    """What came, and what the next calls are answered with."""

    url: str
    status: int = 204
    calls: list[Delivered] = field(default_factory=list[Delivered])
    changed: threading.Condition = field(default_factory=threading.Condition)

    def wait(self, count: int, patience: float = PATIENCE) -> list[Delivered]:
        """The calls that were answered with success, once there are so many."""
        deadline = time.monotonic() + patience
        with self.changed:
            while len(self.taken) < count:
                assert self.changed.wait(deadline - time.monotonic()), self.calls
            return self.taken

    def wait_refused(self, count: int) -> list[Delivered]:
        """The calls that were refused, once there are so many."""
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.refused) >= count, PATIENCE)
            return self.refused

    @property
    def taken(self) -> list[Delivered]:
        """The calls that were answered with success."""
        return [call for call in self.calls if call.answered < 300]

    @property
    def refused(self) -> list[Delivered]:
        """The calls that were not."""
        return [call for call in self.calls if call.answered >= 300]


@contextmanager
def receiving() -> Generator[Receiver, None, None]:
    """A receiver that answers every call at once."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with receiver.changed:
                status = receiver.status
                receiver.calls.append(Delivered(self.path, headers, body, status))
                receiver.changed.notify_all()
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — as above
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        receiver = Receiver(f"http://localhost:{server.server_port}/events")
        thread = threading.Thread(target=server.serve_forever, name="receiver")
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join(PATIENCE)
