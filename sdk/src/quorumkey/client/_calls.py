"""Each call of the integrator's API as a value: what to send and how to read the answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import quote

from quorumkey.client._exchange import Answer, Call, Outgoing, json_of, nothing_of
from quorumkey.client.models import (
    Device,
    GroupDeliveries,
    Info,
    PairingState,
    RequestState,
    envelope_of,
    page_of,
)
from quorumkey.errors import ConfigurationError
from quorumkey.protocol.limits import MAX_IDEMPOTENCY_KEY_CHARS, MIN_IDEMPOTENCY_KEY_CHARS
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from quorumkey.client._fields import Fields
    from quorumkey.client.models import Page
    from quorumkey.protocol.dsse import Envelope
    from quorumkey.protocol.encoding import JsonValue

__all__ = [
    "cancel_request",
    "create",
    "create_pairing",
    "create_request",
    "delete_device",
    "get",
    "get_deliveries",
    "get_device",
    "get_info",
    "get_pairing",
    "get_receipt",
    "get_request",
    "list_devices",
    "list_requests",
    "post",
    "query",
    "segment",
]

T = TypeVar("T")

_IDEMPOTENCY_KEY: Final = re.compile(
    rf"[\x20-\x7e]{{{MIN_IDEMPOTENCY_KEY_CHARS},{MAX_IDEMPOTENCY_KEY_CHARS}}}", re.ASCII
)


def get(
    path: str,
    parse: Callable[[Fields], T],
    *,
    query: tuple[tuple[str, str], ...] = (),
    extra_seconds: int = 0,
) -> Call[T]:
    """Read something."""
    outgoing = Outgoing(method="GET", path=path, query=query, extra_seconds=extra_seconds)
    return Call(outgoing=outgoing, parse=lambda answer: parse(json_of(answer)), repeatable=True)


def post(
    path: str,
    body: Mapping[str, JsonValue],
    parse: Callable[[Answer], T],
    *,
    repeatable: bool,
    method: str = "POST",
) -> Call[T]:
    """Send a body."""
    headers = (("content-type", "application/json"),)
    outgoing = Outgoing(method=method, path=path, headers=headers, body=dumps(dict(body)))
    return Call(outgoing=outgoing, parse=parse, repeatable=repeatable)


def get_info() -> Call[Info]:
    """``GET /v1/info``."""
    return get("/v1/info", Info.parse)


def create_request(body: Mapping[str, JsonValue], *, idempotency_key: str) -> Call[RequestState]:
    """``POST /v1/requests``."""
    return create("/v1/requests", body, RequestState.parse, idempotency_key)


def get_request(request_id: str, *, wait_seconds: int = 0) -> Call[RequestState]:
    """``GET /v1/requests/{id}``, waiting on the relay while the request is pending."""
    asked = (("wait_seconds", str(wait_seconds)),) if wait_seconds else ()
    path = f"/v1/requests/{segment(request_id)}"
    return get(path, RequestState.parse, query=asked, extra_seconds=wait_seconds)


def list_requests(
    *, status: str | None, limit: int | None, cursor: str | None
) -> Call[Page[RequestState]]:
    """``GET /v1/requests``, one page."""
    asked = query(status=status, limit=limit, cursor=cursor)
    return get("/v1/requests", page_of(RequestState.parse), query=asked)


def cancel_request(request_id: str) -> Call[RequestState]:
    """``POST /v1/requests/{id}/cancel``; a cancelled request answers again, so it is repeatable."""
    path = f"/v1/requests/{segment(request_id)}/cancel"
    return post(path, {}, lambda answer: RequestState.parse(json_of(answer)), repeatable=True)


def get_receipt(request_id: str) -> Call[Envelope]:
    """``GET /v1/requests/{id}/receipt``: the envelope, unchecked."""
    path = f"/v1/requests/{segment(request_id)}/receipt"
    outgoing = Outgoing(method="GET", path=path)
    return Call(outgoing=outgoing, parse=_receipt, repeatable=True)


def get_deliveries(request_id: str) -> Call[tuple[GroupDeliveries, ...]]:
    """``GET /v1/requests/{id}/deliveries``."""

    def parse(fields: Fields) -> tuple[GroupDeliveries, ...]:
        return tuple(GroupDeliveries.parse(group) for group in fields.children("groups"))

    return get(f"/v1/requests/{segment(request_id)}/deliveries", parse)


def create_pairing(body: Mapping[str, JsonValue], *, idempotency_key: str) -> Call[Fields]:
    """``POST /v1/pairings``: the members as they came."""
    return create("/v1/pairings", body, lambda fields: fields, idempotency_key)


def get_pairing(pairing_id: str) -> Call[PairingState]:
    """``GET /v1/pairings/{id}``."""
    return get(f"/v1/pairings/{segment(pairing_id)}", PairingState.parse)


def list_devices(
    *, approver_id: str | None, limit: int | None, cursor: str | None
) -> Call[Page[Device]]:
    """``GET /v1/devices``, one page."""
    asked = query(approver_id=approver_id, limit=limit, cursor=cursor)
    return get("/v1/devices", page_of(Device.parse), query=asked)


def get_device(fingerprint: str) -> Call[Device]:
    """``GET /v1/devices/{fingerprint}``."""
    return get(f"/v1/devices/{segment(fingerprint)}", Device.parse)


def delete_device(fingerprint: str) -> Call[None]:
    """``DELETE /v1/devices/{fingerprint}``."""
    outgoing = Outgoing(method="DELETE", path=f"/v1/devices/{segment(fingerprint)}")
    return Call(outgoing=outgoing, parse=nothing_of, repeatable=True, absent=lambda: None)


def create(
    path: str, body: Mapping[str, JsonValue], parse: Callable[[Fields], T], idempotency_key: str
) -> Call[T]:
    """Make something, at most once for each key.

    Raises:
        ConfigurationError: the key could not travel.
    """
    if not _IDEMPOTENCY_KEY.fullmatch(idempotency_key):
        raise ConfigurationError(
            f"An idempotency key has 1 to {MAX_IDEMPOTENCY_KEY_CHARS} printable ASCII characters."
        )
    call = post(path, body, lambda answer: parse(json_of(answer)), repeatable=True)
    return call.with_headers(("idempotency-key", idempotency_key))


def _receipt(answer: Answer) -> Envelope:
    return envelope_of(json_of(answer).as_json())


def segment(text: str) -> str:
    """One path segment; an id with a slash in it must not reach another address."""
    segment = quote(text, safe="")
    if segment in {"", ".", ".."}:
        raise ConfigurationError("An id must not be empty.")
    return segment


def query(**members: str | int | None) -> tuple[tuple[str, str], ...]:
    """The query parameters that have a value."""
    return tuple((name, str(value)) for name, value in members.items() if value is not None)
