"""Handlers of what devices call, with a session or with a signed envelope (PROTOCOL §4, §6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT
from quorumkey_relay.api.answers import Answer, Refused, encode
from quorumkey_relay.api.endpoint import CREATED, OK
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from quorumkey.protocol import Envelope
    from quorumkey_relay.api.bodies import Enrolment
    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.usecases.commands import PairingCodeBody, ReattestBody


async def preview_pairing(call: Call[None, PairingCodeBody]) -> Result:
    """``POST /v1/device/pairing``."""
    return await call.relay.usecases.preview_pairing(body=call.body)


async def issue_nonce(call: Call[None, None]) -> Result:
    """``POST /v1/device/challenge``."""
    return await call.relay.usecases.issue_nonce()


async def enroll(call: Call[None, Enrolment]) -> Result:
    """``POST /v1/device/enroll``: 201 the first time, 200 when a lost answer is given again."""
    body = call.body
    done = await call.relay.usecases.enroll(
        envelope=body.envelope, push=body.push, attestation=body.attestation
    )
    if isinstance(done, Refusal):
        return done
    return Answer(CREATED if done.first else OK, encode(done.view))


async def reattest(call: Call[str, ReattestBody]) -> Result:
    """``POST /v1/device/reattest``."""
    return await call.relay.usecases.reattest(device=call.principal, body=call.body)


async def open_session(call: Call[None, Envelope]) -> Result:
    """``POST /v1/device/session``."""
    return await call.relay.usecases.open_session(envelope=call.body)


async def list_requests(call: Call[str, None]) -> Result:
    """``GET /v1/device/requests``: pending ones, or all."""
    return await call.relay.usecases.device_requests(
        device=call.principal,
        everything=call.text("status") == "all",
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def read_request(call: Call[str, None]) -> Result:
    """``GET /v1/device/requests/{request_id}``."""
    return await call.relay.usecases.device_request(device=call.principal, request_id=call.path_id)


async def acknowledge(call: Call[str, None]) -> Result:
    """``POST /v1/device/requests/{request_id}/ack``."""
    return await call.relay.usecases.acknowledge(device=call.principal, request_id=call.path_id)


async def decide(call: Call[None, Envelope]) -> Result:
    """``POST /v1/device/requests/{request_id}/decision``."""
    return await call.relay.usecases.decide(request_id=call.path_id, envelope=call.body)


async def set_push(call: Call[None, Envelope]) -> Result:
    """``PUT /v1/device/push``."""
    return await call.relay.usecases.set_push(envelope=call.body)


async def unpair(call: Call[None, Envelope]) -> Result:
    """``POST /v1/device/unpair``."""
    return await call.relay.usecases.unpair(envelope=call.body)


async def stream(_call: Call[None, None]) -> Result:
    """``GET /v1/device/stream`` by a client that does not ask for a WebSocket."""
    raise Refused("invalid_request", "Open this address as a WebSocket, with quorumkey.v1.")
