"""What a stand-in counts and keeps, independently of what a sender says that it did."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping

#: How many pushes are kept; counters go on.
RECEIVED_KEPT: Final = 20_000
#: Where the title stands in each channel's payload.
_TITLES: Final = {
    "apns": ("aps", "alert", "title"),
    "apns_sandbox": ("aps", "alert", "title"),
    "fcm": ("message", "data", "title"),
    "webpush": ("title",),
}


@dataclass(slots=True)
class Counters:
    """Totals since the start or the last ``reset``; ``open_connections`` is what stands now.

    Attributes:
        connections: connections whose TLS handshake was completed.
        open_connections: of these, those that still stand.
        streams: requests that were begun (HTTP/2 HEADERS, or an HTTP/1.1 request).
        accepted: pushes that were accepted.
        refused: pushes that were answered with an error, by reason.
        reset: streams that were ended with RST_STREAM as the token's behaviour or a fault.
        refused_streams: streams beyond MAX_CONCURRENT_STREAMS, ended with REFUSED_STREAM.
        cancelled: streams that the sender ended with RST_STREAM.
        unanswered: whole requests that got no answer: silent tokens, lost connections.
        unprocessed: requests above the last stream that a GOAWAY named.
        goaways: GOAWAY frames that were sent.
        half_open: requests that had begun and not ended when their connection did.
        most_concurrent: the most streams that one connection had open.
        resends: the same message again, whatever the answers.
        duplicates: the same message accepted again.
        credentials: distinct tokens (JWTs, access tokens) that authenticated a push.
        token_requests: calls of the OAuth token endpoint.
    """

    connections: int = 0
    open_connections: int = 0
    streams: int = 0
    accepted: int = 0
    refused: Counter[str] = field(default_factory=Counter[str])
    reset: int = 0
    refused_streams: int = 0
    cancelled: int = 0
    unanswered: int = 0
    unprocessed: int = 0
    goaways: int = 0
    half_open: int = 0
    most_concurrent: int = 0
    resends: int = 0
    duplicates: int = 0
    credentials: int = 0
    token_requests: int = 0

    def to_json(self) -> dict[str, object]:
        """Return the counters as a JSON object."""
        return {**dataclasses.asdict(self), "refused": dict(self.refused)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """One push as it came in, and what was made of it; ``at`` in seconds since the epoch."""

    number: int
    at: float
    channel: str
    token: str = field(repr=False)
    behaviour: str
    collapse_id: str | None
    push_type: str | None
    expiration: str | None
    priority: str | None
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    accepted: bool
    reason: str | None

    @property
    def payload(self) -> dict[str, object]:
        """The payload as JSON (of Web Push: decrypted); empty where it is none."""
        try:
            value: object = msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return {}
        return _object(value)

    @property
    def title(self) -> str | None:
        """What a person would read of it, as the channel carries it."""
        found: object = self.payload
        for name in _TITLES.get(self.channel, ()):
            found = _object(found).get(name)
        return found if isinstance(found, str) else None

    @property
    def label(self) -> str:
        """How logs name the token: its behaviour and its last four characters."""
        return f"{self.behaviour}…{self.token[-4:]}"

    def to_json(self) -> dict[str, object]:
        """Return the push as a JSON object; credentials are left out."""
        shown = {
            name: text
            for name, text in self.headers.items()
            if name != "authorization" and not name.startswith(":")
        }
        return {
            "number": self.number,
            "at": self.at,
            "channel": self.channel,
            "token": self.token,
            "behaviour": self.behaviour,
            "collapse_id": self.collapse_id,
            "push_type": self.push_type,
            "expiration": self.expiration,
            "priority": self.priority,
            "headers": shown,
            "payload": self.payload,
            "accepted": self.accepted,
            "reason": self.reason,
        }


def _object(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


class Numbers:
    """Numbers pushes in the order in which all stand-ins got them."""

    __slots__ = ("newest",)

    def __init__(self) -> None:
        """Begin with 1."""
        self.newest = 0

    def take(self) -> int:
        """Return the next number."""
        self.newest += 1
        return self.newest


class Ledger:
    """The counters and pushes of one stand-in."""

    def __init__(self, numbers: Numbers, on_received: Callable[[Received], None]) -> None:
        """Count from zero; each push is also handed to ``on_received``."""
        self._numbers = numbers
        self.counters = Counters()
        self.received: deque[Received] = deque(maxlen=RECEIVED_KEPT)
        self._on_received = on_received
        self._sent: set[Hashable] = set()
        self._taken: set[Hashable] = set()
        self._credentials: set[str] = set()
        self._waiting: list[asyncio.Future[None]] = []

    def reset(self) -> None:
        """Forget everything but the connections that stand."""
        self.counters = Counters(open_connections=self.counters.open_connections)
        self.received.clear()
        self._sent.clear()
        self._taken.clear()
        self._credentials.clear()
        self.changed()

    def next_number(self) -> int:
        """Return the number of the next push; numbers go on after a reset."""
        return self._numbers.take()

    def note_credential(self, credential: str) -> None:
        """Count a credential once."""
        if credential not in self._credentials:
            self._credentials.add(credential)
            self.counters.credentials = len(self._credentials)

    def note(
        self, push: Received, *, message: Hashable, sending: Hashable, is_answered: bool
    ) -> None:
        """Count and keep a push.

        ``message`` is what makes two accepted pushes duplicates; ``sending`` is what makes two
        pushes the same one sent again.
        """
        counters = self.counters
        if sending in self._sent:
            counters.resends += 1
        else:
            self._sent.add(sending)
        if push.accepted:
            counters.accepted += 1
            if message in self._taken:
                counters.duplicates += 1
            else:
                self._taken.add(message)
        elif is_answered and push.reason is not None:
            counters.refused[push.reason] += 1
        self.received.append(push)
        self._on_received(push)
        self.changed()

    def changed(self) -> None:
        """Wake those who wait for a change."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def until(self, holds: Callable[[Counters], bool]) -> Counters:
        """Wait until ``holds(counters)``, which is asked at every change; return the counters."""
        while not holds(self.counters):
            await self.change()
        return self.counters

    async def change(self) -> None:
        """Wait for the next change."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future
