"""Handlers of what integrators call with their API key (PROTOCOL §4, §5, §8)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey.errors import ProtocolError
from quorumkey.protocol.limits import (
    DEFAULT_LIST_LIMIT,
    MAX_IDEMPOTENCY_KEY_CHARS,
    MIN_IDEMPOTENCY_KEY_CHARS,
)
from quorumkey_relay.api.answers import EventStream
from quorumkey_relay.api.bodies import ClientGone
from quorumkey_relay.api.endpoint import UUID
from quorumkey_relay.api.events import event_chunks
from quorumkey_relay.api.shutdown import Watch, abandon
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.idempotency import Idempotency

if TYPE_CHECKING:
    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.commands import AskBody, PairingBody

B = TypeVar("B")

_IDEMPOTENCY_KEY: Final = re.compile(
    rb"[\x20-\x7e]{%d,%d}" % (MIN_IDEMPOTENCY_KEY_CHARS, MAX_IDEMPOTENCY_KEY_CHARS)
)
_EVENT_ID: Final = re.compile(UUID.encode())


def idempotency(call: Call[Integrator, B]) -> Idempotency | None:
    """Return the claim of a call that carries an ``Idempotency-Key``."""
    key = call.headers.get(b"idempotency-key")
    if key is None:
        return None
    if _IDEMPOTENCY_KEY.fullmatch(key) is None:
        message = "Idempotency-Key must be 1 to 255 printable ASCII characters."
        raise ProtocolError("invalid_request", message)
    return Idempotency(call.path, key.decode("ascii"), hashlib.sha256(call.raw_body).digest())


async def create_request(call: Call[Integrator, AskBody]) -> Result:
    """``POST /v1/requests``."""
    return await call.relay.usecases.ask(
        integrator=call.principal, body=call.body, idempotency=idempotency(call)
    )


async def read_request(call: Call[Integrator, None]) -> Result:
    """``GET /v1/requests/{request_id}``; a long poll ends early when client or relay go."""
    read = call.relay.usecases.read_request
    integrator_id, request_id = call.principal.id, call.path_id
    wait_seconds = call.number("wait_seconds", 0)
    if wait_seconds:
        waiting = asyncio.ensure_future(
            read(integrator_id=integrator_id, request_id=request_id, wait_seconds=wait_seconds)
        )
        with Watch(call.receive, call.shutdown) as watch:
            try:
                if await watch.first(waiting):
                    return waiting.result()
            finally:
                await abandon(waiting)
            if watch.client_left:
                raise ClientGone
    return await read(integrator_id=integrator_id, request_id=request_id)


async def list_requests(call: Call[Integrator, None]) -> Result:
    """``GET /v1/requests``."""
    return await call.relay.usecases.list_requests(
        integrator_id=call.principal.id,
        status=call.text("status"),
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def cancel_request(call: Call[Integrator, None]) -> Result:
    """``POST /v1/requests/{request_id}/cancel``."""
    return await call.relay.usecases.cancel_request(
        integrator_id=call.principal.id, request_id=call.path_id
    )


async def read_receipt(call: Call[Integrator, None]) -> Result:
    """``GET /v1/requests/{request_id}/receipt``."""
    return await call.relay.usecases.read_receipt(
        integrator_id=call.principal.id, request_id=call.path_id
    )


async def read_deliveries(call: Call[Integrator, None]) -> Result:
    """``GET /v1/requests/{request_id}/deliveries``."""
    return await call.relay.usecases.read_deliveries(
        integrator_id=call.principal.id, request_id=call.path_id
    )


async def follow_events(call: Call[Integrator, None]) -> Result:
    """``GET /v1/events``: server-sent events, resumable with ``Last-Event-ID``."""
    last = call.headers.get(b"last-event-id")
    if last is not None and _EVENT_ID.fullmatch(last) is None:
        raise ProtocolError("invalid_request", "Last-Event-ID must be the id of an event.")
    events = await call.relay.usecases.watch_events(
        integrator_id=call.principal.id, last_event_id=None if last is None else last.decode()
    )
    if isinstance(events, Refusal):
        return events
    return EventStream(event_chunks(events, call.receive, call.shutdown))


async def create_pairing(call: Call[Integrator, PairingBody]) -> Result:
    """``POST /v1/pairings``."""
    return await call.relay.usecases.create_pairing(
        integrator=call.principal, body=call.body, idempotency=idempotency(call)
    )


async def read_pairing(call: Call[Integrator, None]) -> Result:
    """``GET /v1/pairings/{pairing_id}``."""
    return await call.relay.usecases.read_pairing(
        integrator_id=call.principal.id, pairing_id=call.path_id
    )


async def list_devices(call: Call[Integrator, None]) -> Result:
    """``GET /v1/devices``."""
    return await call.relay.usecases.list_devices(
        integrator_id=call.principal.id,
        approver_id=call.text("approver_id"),
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def read_device(call: Call[Integrator, None]) -> Result:
    """``GET /v1/devices/{fingerprint}``."""
    return await call.relay.usecases.read_device(
        integrator_id=call.principal.id, fingerprint=call.path_id
    )


async def remove_device(call: Call[Integrator, None]) -> Result:
    """``DELETE /v1/devices/{fingerprint}``."""
    return await call.relay.usecases.remove_device(
        integrator_id=call.principal.id, fingerprint=call.path_id
    )
