"""The example as an ASGI service with the same methods; protection is one middleware."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route as Served

from quorumkey.errors import ProtocolError
from quorumkey.protection import ProtectionMiddleware, Route
from quorumkey.protocol import strict_json

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from examples.workshop.callers import Callers
    from examples.workshop.fleet import Fleet

    from quorumkey.protection import Caller, Guard
    from quorumkey.protection.asgi import Scope

_MAX_BODY_BYTES = 65_536


class Workshop:
    """The methods, none of which knows that it is protected."""

    def __init__(self, fleet: Fleet) -> None:
        """Administer this fleet."""
        self._fleet = fleet

    async def kill_process_on_hosts_with_tag(self, request: Request) -> JSONResponse:
        """End a process wherever it runs on a host with a tag."""
        tag, process = await _texts(request, "tag", "process")
        return JSONResponse({"hosts": self._fleet.kill(tag, process)})

    async def delete_rule(self, request: Request) -> JSONResponse:
        """Forget a rule."""
        (rule_id,) = await _texts(request, "rule_id")
        try:
            self._fleet.delete_rule(rule_id)
        except KeyError:
            raise HTTPException(404, "There is no such rule.") from None
        return JSONResponse({})

    async def list_hosts(self, _request: Request) -> JSONResponse:
        """List the hosts, with what runs on them."""
        return JSONResponse(
            [
                {"name": host.name, "tags": list(host.tags), "processes": host.processes}
                for host in self._fleet.hosts.values()
            ]
        )


def make_app(fleet: Fleet, guard: Guard, callers: Callers) -> Starlette:
    """Return the application; it opens the guard when it starts and closes it when it ends."""
    workshop = Workshop(fleet)

    def caller_of(scope: Scope) -> Caller | None:
        return callers.of(Request(scope).headers.get("authorization", ""))

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        async with guard:
            yield

    return Starlette(
        routes=[
            Served(
                "/KillProcessOnHostsWithTag",
                workshop.kill_process_on_hosts_with_tag,
                methods=["POST"],
            ),
            Served("/DeleteRule", workshop.delete_rule, methods=["POST"]),
            Served("/hosts", workshop.list_hosts),
        ],
        middleware=[
            Middleware(
                ProtectionMiddleware,
                guard=guard,
                caller=caller_of,
                routes=[
                    Route("POST", f"/{method}", method)
                    for method in ("KillProcessOnHostsWithTag", "DeleteRule")
                ],
            )
        ],
        lifespan=lifespan,
    )


async def _texts(request: Request, *names: str) -> tuple[str, ...]:
    """Read the members of a JSON body that must all be text, and no others."""
    try:
        body = strict_json.loads(await request.body(), max_bytes=_MAX_BODY_BYTES)
    except ProtocolError as error:
        raise HTTPException(400, str(error)) from None
    members = body if isinstance(body, dict) else {}
    values = tuple(text for name in names if isinstance(text := members.get(name), str))
    if len(values) != len(names) or members.keys() != set(names):
        raise HTTPException(400, f"The body must have {', '.join(names)} and nothing else.")
    return values
