"""Handlers of what services call about protected methods."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT
from quorumkey_relay.api.bodies import ClientGone
from quorumkey_relay.api.shutdown import Watch, abandon

if TYPE_CHECKING:
    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.protection.commands import (
        CatalogueBody,
        CheckBody,
        ClaimBody,
        ResultBody,
    )


async def register_catalogue(call: Call[Integrator, CatalogueBody]) -> Result:
    """``PUT /v1/protection/catalogue``."""
    return await call.relay.usecases.protection.register_catalogue(
        integrator=call.principal, body=call.body
    )


async def snapshot(call: Call[Integrator, None]) -> Result:
    """``GET /v1/protection/snapshot``; a held poll ends early when client or relay go."""
    read = call.relay.usecases.protection.snapshot
    integrator_id = call.principal.id
    revision = call.number("revision", 0) if "revision" in call.query else None
    if revision is None:
        return await read(integrator_id=integrator_id, revision=None)
    waiting = asyncio.ensure_future(read(integrator_id=integrator_id, revision=revision))
    with Watch(call.receive, call.shutdown) as watch:
        try:
            if await watch.first(waiting):
                return waiting.result()
        finally:
            await abandon(waiting)
        if watch.client_left:
            raise ClientGone
    return await read(integrator_id=integrator_id, revision=revision, hold=False)


async def check(call: Call[Integrator, CheckBody]) -> Result:
    """``POST /v1/protection/check``."""
    return await call.relay.usecases.protection.check(integrator=call.principal, body=call.body)


async def list_transactions(call: Call[Integrator, None]) -> Result:
    """``GET /v1/protection/transactions``."""
    return await call.relay.usecases.protection.transactions(
        integrator_id=call.principal.id,
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def read_transaction(call: Call[Integrator, None]) -> Result:
    """``GET /v1/protection/transactions/{request_id}``."""
    return await call.relay.usecases.protection.transaction(
        integrator_id=call.principal.id, txid=call.path_id
    )


async def claim_request(call: Call[Integrator, ClaimBody]) -> Result:
    """``POST /v1/requests/{request_id}/claim``."""
    return await call.relay.usecases.protection.claim_request(
        integrator_id=call.principal.id,
        request_id=call.path_id,
        claim_key=call.body.claim_key,
    )


async def read_claim(call: Call[Integrator, None]) -> Result:
    """``GET /v1/claims/{claim_id}``."""
    return await call.relay.usecases.protection.read_claim(
        integrator_id=call.principal.id, claim_id=call.path_id
    )


async def settle(call: Call[Integrator, ResultBody]) -> Result:
    """``POST /v1/claims/{claim_id}/result``."""
    return await call.relay.usecases.protection.settle(
        integrator_id=call.principal.id, claim_id=call.path_id, body=call.body
    )
