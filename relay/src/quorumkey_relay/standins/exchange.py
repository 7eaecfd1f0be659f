"""What passes between a stand-in's transport and its service: a request, and what becomes of it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, Protocol, cast

import msgspec

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

#: The most that a request's body may have; the services' own limits are far below it.
MAX_BODY_BYTES: Final = 1_048_576

#: ``answer`` sends the reply, ``silence`` never does, ``reset`` refuses the stream (over HTTP/1.1
#: the connection), ``close`` ends the connection without an answer.
Action = Literal["answer", "silence", "reset", "close"]


@dataclass(slots=True)
class Caller:
    """A connection as a service sees it: a number, and a place for what it has to remember."""

    number: int
    #: Set by a service that will have nothing more to do with this connection: the reason.
    spoiled: str | None = None


@dataclass(slots=True)
class Request:
    """One whole request; header names are in lower case."""

    caller: Caller
    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    #: A header that may stand there only once stood there several times.
    has_duplicates: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What becomes of a request.

    ``is_trusted`` says that its credential was good, which is what lifts the limit of one stream
    on a new connection. ``delay_seconds`` comes on top of what the faults ask for.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    action: Action = "answer"
    delay_seconds: float = 0.0
    is_trusted: bool = False


class Service(Protocol):
    """Judges requests; what it awaits for does not hold up other connections."""

    def answer(self, request: Request) -> Reply | Awaitable[Reply]:
        """Return what becomes of the request, now or later."""
        ...


def json_bytes(value: object) -> bytes:
    """Return ``value`` as JSON without white space."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def json_object(body: bytes) -> Mapping[str, object] | None:
    """Read a JSON object; None where ``body`` is anything else."""
    try:
        value: object = msgspec.json.decode(body)
    except msgspec.DecodeError:
        return None
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def json_reply(
    status: int, value: object, *headers: tuple[str, str], is_trusted: bool = False
) -> Reply:
    """Return a reply with a JSON body."""
    kind = ("content-type", "application/json; charset=UTF-8")
    return Reply(status, (kind, *headers), json_bytes(value), is_trusted=is_trusted)


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a stand-in treats one kind of token."""

    name: str
    help: str
    status: int = 200
    reason: str | None = None
    action: Action = "answer"
    delay_seconds: float = 0.0
    headers: tuple[tuple[str, str], ...] = field(default=())
    #: The whole body, where it is not made from ``reason``.
    body: bytes | None = None
