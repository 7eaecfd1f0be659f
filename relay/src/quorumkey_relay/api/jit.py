"""Handlers of just-in-time access: what people call, and who says what they may activate."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

from quorumkey.errors import ProtocolError
from quorumkey.protocol.limits import DEFAULT_LIST_LIMIT
from quorumkey_relay.api.answers import Answer
from quorumkey_relay.api.jit_dialect import refuse
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.usecases.render import encode

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue
    from quorumkey_relay.api.answers import Headers
    from quorumkey_relay.api.endpoint import Call, Result
    from quorumkey_relay.api.jit_ports import JitCasesPort, JitPort
    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.usecases.jit.commands import AccessRequestBody, SelfActivateBody
    from quorumkey_relay.usecases.jit.ports import Person

_KEEP_FOR_A_WHILE: Final[Headers] = (
    (b"content-type", b"application/json"),
    (b"cache-control", b"public, max-age=300"),
    (b"x-content-type-options", b"nosniff"),
)

P = TypeVar("P")
B = TypeVar("B")


def part(call: Call[P, B]) -> JitPort:
    """Return the relay's just-in-time access."""
    if call.relay.jit is None:
        raise AssertionError("these routes exist where just-in-time access is on only")
    return call.relay.jit


def _cases(call: Call[P, B]) -> JitCasesPort:
    return part(call).cases


def _given(call: Call[Any, Any], name: str) -> str:
    """Return a query parameter that the call cannot do without."""
    value = call.text(name)
    if value is None:
        raise ProtocolError("invalid_request", f"Give the query parameter {name}.")
    return value


async def outdated(call: Call[None, None]) -> Result:
    """``GET /jit/api``: what pages of an earlier version ask for first."""
    url = f"{call.relay.settings.url}/jit/"
    return refuse(
        Refusal("not_found", f"This is an outdated version of the page; refresh it: {url}")
    )


async def policy(call: Call[Person, None]) -> Result:
    """``GET /jit/api/policy``."""
    return _cases(call).policy(call.principal)


async def projects(call: Call[Person, None]) -> Result:
    """``GET /jit/api/projects``."""
    return await _cases(call).projects(call.principal)


async def roles(call: Call[Person, None]) -> Result:
    """``GET /jit/api/projects/{project}/roles``."""
    return await _cases(call).roles(call.principal, call.path_id)


async def peers(call: Call[Person, None]) -> Result:
    """``GET /jit/api/projects/{project}/peers``."""
    return await _cases(call).peers(call.principal, call.path_id, _given(call, "id"))


async def self_activate(call: Call[Person, SelfActivateBody]) -> Result:
    """``POST /jit/api/projects/{project}/roles/self-activate``."""
    return await _cases(call).self_activate(call.principal, call.path_id, call.body)


async def request(call: Call[Person, AccessRequestBody]) -> Result:
    """``POST /jit/api/projects/{project}/roles/request``."""
    return await _cases(call).request(call.principal, call.path_id, call.body)


async def read_request(call: Call[Person, None]) -> Result:
    """``GET /jit/api/activation-request``."""
    return await _cases(call).read_request(call.principal, _given(call, "activation"))


async def approve(call: Call[Person, None]) -> Result:
    """``POST /jit/api/activation-request``."""
    return await _cases(call).approve(call.principal, _given(call, "activation"))


async def deny(call: Call[Person, None]) -> Result:
    """``POST /jit/api/activation-request/deny``."""
    return await _cases(call).deny(call.principal, _given(call, "activation"))


async def withdraw(call: Call[Person, None]) -> Result:
    """``POST /jit/api/activation-request/withdraw``."""
    return await _cases(call).withdraw(call.principal, _given(call, "activation"))


async def list_requests(call: Call[Person, None]) -> Result:
    """``GET /jit/api/activation-requests``: to decide, or one's own."""
    cases = _cases(call)
    find = cases.reviews if _given(call, "role") == "reviewer" else cases.requests
    return await find(
        call.principal,
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def list_active(call: Call[Person, None]) -> Result:
    """``GET /jit/api/activations``."""
    return await _cases(call).active(
        call.principal,
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def revoke(call: Call[Person, None]) -> Result:
    """``POST /jit/api/activations/{activation_id}/revoke``."""
    return await _cases(call).revoke(call.principal, call.path_id)


async def jwks(call: Call[None, None]) -> Result:
    """``GET /.well-known/jwks.json``; who meets an unknown key reads it again."""
    return Answer(200, _cases(call).jwks(), _KEEP_FOR_A_WHILE)


async def alive(_call: Call[None, None]) -> Result:
    """``GET /health/alive``: the process answers."""
    return b'{"healthy":true,"details":{}}'


async def ready(call: Call[None, None]) -> Result:
    """``GET /health/ready``: the relay can serve, or the sentences that say why not."""
    problems = [*call.relay.ready()]
    if call.shutdown.begun:
        problems.append("The relay is shutting down.")
    details: dict[str, JsonValue] = {}
    if problems:
        details["problems"] = [*problems]
    warnings = call.relay.warnings()
    if warnings:
        details["warnings"] = [*warnings]
    return Answer(503 if problems else 200, encode({"healthy": not problems, "details": details}))


async def put_policy(call: Call[Integrator, bytes]) -> Result:
    """``PUT /v1/jit/policies/{project}``."""
    return await _cases(call).policies.put(call.principal, call.path_id, call.body)


async def list_policies(call: Call[Integrator, None]) -> Result:
    """``GET /v1/jit/policies``."""
    return await _cases(call).policies.list(
        call.principal,
        limit=call.number("limit", DEFAULT_LIST_LIMIT),
        cursor=call.text("cursor"),
    )


async def read_policy(call: Call[Integrator, None]) -> Result:
    """``GET /v1/jit/policies/{project}``."""
    return await _cases(call).policies.read(call.principal, call.path_id)


async def remove_policy(call: Call[Integrator, None]) -> Result:
    """``DELETE /v1/jit/policies/{project}``."""
    return await _cases(call).policies.remove(call.principal, call.path_id)
