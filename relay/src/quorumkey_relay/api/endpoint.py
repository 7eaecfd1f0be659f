"""What one row of the table of routes says, and what its handler is given."""

from __future__ import annotations

import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Generic, TypeAlias, TypeVar

from msgspec import Struct

from quorumkey.protocol.limits import MAX_IDEMPOTENCY_KEY_CHARS, MIN_IDEMPOTENCY_KEY_CHARS
from quorumkey_relay.api.answers import Answer, EventStream
from quorumkey_relay.api.dialect import REST, Dialect
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from starlette.types import Receive

    from quorumkey.protocol import JsonValue
    from quorumkey_relay.api.bodies import Body
    from quorumkey_relay.api.gate import Auth
    from quorumkey_relay.api.ports import RelayPort
    from quorumkey_relay.api.queries import Parameter, Query
    from quorumkey_relay.api.shutdown import Shutdown

P = TypeVar("P")
B = TypeVar("B")

#: What a handler returns: a view or its JSON, nothing, a refusal, or a whole answer.
Result: TypeAlias = Struct | bytes | Refusal | Answer | EventStream | None

OK: Final = 200
CREATED: Final = 201


@dataclass(slots=True)  # not frozen: that would triple what making one costs
class Call(Generic[P, B]):
    """One call that was let in: who, with what."""

    relay: RelayPort
    shutdown: Shutdown
    principal: P
    body: B
    raw_body: bytes
    path: str
    path_ids: tuple[str, ...]
    query: Query
    headers: Mapping[bytes, bytes]
    receive: Receive

    @property
    def path_id(self) -> str:
        """Return the first variable part of the path."""
        return self.path_ids[0]

    def text(self, name: str) -> str | None:
        """Return a query parameter that is text."""
        value = self.query.get(name)
        return None if value is None else str(value)

    def number(self, name: str, default: int) -> int:
        """Return a query parameter that is a whole number."""
        return int(self.query.get(name, default))


@dataclass(frozen=True, slots=True)
class PathId:
    """A variable part of a path; a malformed one names nothing (404)."""

    name: str
    pattern: re.Pattern[str]
    help: str


UUID: Final = r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
FINGERPRINT: Final = r"[0-9a-f]{64}"
#: An opaque name; a colon would end it within the id of an entitlement.
PROJECT: Final = r"[^\x00-\x20/:\x7f]{1,128}"

PATH_IDS: Final[Mapping[str, PathId]] = MappingProxyType(
    {
        item.name: item
        for item in (
            PathId("request_id", re.compile(UUID), "The approval request."),
            PathId("pairing_id", re.compile(UUID), "The pairing."),
            PathId("fingerprint", re.compile(FINGERPRINT), "The device."),
            PathId("claim_id", re.compile(UUID), "The claim on an approval."),
            PathId("webhook_id", re.compile(UUID), "The webhook."),
            PathId("event_id", re.compile(UUID), "The event."),
            PathId("activation_id", re.compile(UUID), "The access."),
            PathId("project", re.compile(PROJECT), "The project."),
        )
    }
)


@dataclass(frozen=True, slots=True)
class Header:
    """A request header that some calls read, beside those of HTTP and authentication."""

    name: str
    schema: Mapping[str, JsonValue]
    help: str
    required: bool = False


IDEMPOTENCY_KEY: Final = Header(
    "Idempotency-Key",
    {
        "type": "string",
        "minLength": MIN_IDEMPOTENCY_KEY_CHARS,
        "maxLength": MAX_IDEMPOTENCY_KEY_CHARS,
        "pattern": "^[ -~]+$",
    },
    "The same key and body within 24 hours answers the first answer again.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint(Generic[P, B]):
    """One row of the table: a method on a path, from what it takes to what it answers.

    ``answer`` describes the body of a success for the OpenAPI document: a type, or the media type
    of what is no JSON. ``also`` is another status of success; ``errors`` names the codes that are
    this call's own, beside those every call of its kind may answer. ``dialect`` says how its body
    is read and its refusals are written. ``is_open`` lets further query parameters be, where others
    than this API's callers write the address.
    """

    method: str
    path: str
    summary: str
    auth: Auth[P]
    body: Body[B]
    handle: Callable[[Call[P, B]], Awaitable[Result]]
    answer: object = None
    success: int = OK
    also: int | None = None
    query: tuple[Parameter, ...] = ()
    headers: tuple[Header, ...] = ()
    errors: tuple[str, ...] = ()
    dialect: Dialect = REST
    is_open: bool = False

    @property
    def path_ids(self) -> tuple[PathId, ...]:
        """Return the variable parts of the path, in order."""
        return tuple(PATH_IDS[name] for name in re.findall(r"\{(\w+)\}", self.path))
