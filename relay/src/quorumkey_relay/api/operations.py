"""Handlers of what operators and readers of the API call."""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from quorumkey_relay.api.answers import Answer, Refused, page
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.observe import metrics
from quorumkey_relay.usecases.render import encode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey.protocol import JsonValue
    from quorumkey_relay.api.endpoint import Call, Result


async def info(call: Call[None, None]) -> Result:
    """``GET /v1/info``."""
    return await call.relay.usecases.info()


async def healthz(_call: Call[None, None]) -> Result:
    """``GET /healthz``: the process answers."""
    return b'{"status":"ok"}'


async def readyz(call: Call[None, None]) -> Result:
    """``GET /readyz``: the relay can serve, or the sentences that say why not.

    Warnings are what somebody has to look at although it serves.
    """
    problems = list(call.relay.ready())
    if call.shutdown.begun:
        problems.append("The relay is shutting down.")
    if problems:
        details: dict[str, JsonValue] = {"problems": [*problems]}
        return Refusal("store_unavailable", "The relay cannot serve now.", details)
    warnings = call.relay.warnings()
    if warnings:
        return encode({"status": "ready", "warnings": list(warnings)})
    return b'{"status":"ready"}'


async def show_metrics(call: Call[None, None]) -> Result:
    """``GET /metrics``, in the Prometheus text format; with its token if one is set."""
    token = call.relay.settings.metrics_token
    if token is not None:
        given = call.headers.get(b"authorization", b"")
        if not hmac.compare_digest(given, b"Bearer " + token.encode()):
            raise Refused("unauthorized", "/metrics asks for the metrics token as Bearer.")
    return page(call.relay.metrics.render(), metrics.CONTENT_TYPE.encode())


def fixed(answer: Answer) -> Callable[[Call[None, None]], Awaitable[Result]]:
    """Return the handler that always answers this."""

    async def handle(_call: Call[None, None]) -> Result:
        return answer

    return handle
