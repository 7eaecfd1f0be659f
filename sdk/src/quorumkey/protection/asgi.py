"""Protected methods of an ASGI application (https://asgi.readthedocs.io/en/latest/specs/www.html).

What is approved is built from everything that the middleware lets the application see of a call
but its headers, in one documented way:

- the members of the JSON body, which is an object (no body is ``{}``);
- ``path_params``: the parameters in the path, as strings; absent where there are none;
- ``query_params``: those of the query, as strings, and as a list of strings where a name is
  repeated; absent where there are none.

A body that has one of these two names itself is refused, so no two calls are built alike. A body
must be JSON in UTF-8 without floats and without a member twice: then the middleware, the approvers
and the application cannot read it in two ways.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias
from urllib.parse import parse_qsl

from quorumkey.errors import ConfigurationError, QuorumkeyError
from quorumkey.protection.errors import (
    ApprovalRequired,
    NobodyCanApproveError,
    RequestRefused,
)
from quorumkey.protection.messages import read_json
from quorumkey.protection.verdicts import Proceed, Wait
from quorumkey.protocol.limits import TXID_HEADER
from quorumkey.protocol.strict_json import dumps

if TYPE_CHECKING:
    from collections.abc import Iterable

    from quorumkey.protection.declarations import Caller
    from quorumkey.protection.guard import Guard
    from quorumkey.protection.verdicts import Claim
    from quorumkey.protocol.encoding import JsonValue

__all__ = ["ProtectionMiddleware", "Route", "RouteMatch"]

# The types of ASGI itself, whose values are whatever a server puts there.
Scope: TypeAlias = MutableMapping[str, Any]
Event: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Event]]
Send: TypeAlias = Callable[[Event], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

DEFAULT_MAX_BODY_BYTES: Final = 1_048_576
_MAX_QUERY_PARAMETERS: Final = 256
_FIRST_ERROR: Final = 400
_PATH: Final = "path_params"
_QUERY: Final = "query_params"
_PARAMETER: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}", re.ASCII)
_JSON: Final = re.compile(
    r"application/json\s*(?:;\s*charset\s*=\s*\"?utf-8\"?\s*)?", re.IGNORECASE
)


class RouteMatch(NamedTuple):
    """The protected method that a call is of, and the parameters in its path."""

    method: str
    path_params: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Route:
    """One route of the application that is a protected method.

    Args:
        verb: the HTTP method; ``GET`` and ``HEAD`` stand for each other.
        path: as in ``/hosts/{tag}/kill``: a parameter matches one segment of the path. A line
            break after it is no other path: there are routers that overlook it.
        method: the protected method. Routes that share one must do the same: an approval of one
            runs the other.

    Raises:
        ConfigurationError: the path is none, as ``/hosts/{tag:path}``, which nothing would match.
    """

    verb: str
    path: str
    method: str
    _pattern: re.Pattern[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Prepare the path."""
        if not self.path.startswith("/"):
            raise ConfigurationError(f"The path {self.path} must begin with a slash.")
        parts = _PARAMETER.split(self.path)
        names = parts[1::2]
        if len(set(names)) != len(names):
            raise ConfigurationError(f"The path {self.path} has a parameter twice.")
        pattern = "".join(
            f"(?P<{part}>[^/]+)" if index % 2 else re.escape(part)
            for index, part in enumerate(parts)
        )
        if any("{" in part or "}" in part for part in parts[::2]):
            raise ConfigurationError(f"The path {self.path} has a parameter that is no plain name.")
        # A router whose patterns end in "$", as Starlette's, takes a path with "\n" behind it.
        object.__setattr__(self, "_pattern", re.compile(rf"{pattern}\n?"))

    def match(self, verb: str, path: str) -> RouteMatch | None:
        """The method and its parameters where this is the route of a call."""
        if _answered_as(verb) != _answered_as(self.verb):
            return None
        found = self._pattern.fullmatch(path)
        return None if found is None else RouteMatch(self.method, found.groupdict())


#: Says which protected method a call is of, from its scope; None: it is of none.
Router: TypeAlias = Callable[[Scope], RouteMatch | None]
#: Says who calls, from the scope, as the service authenticates them; None: nobody is known.
CallerOf: TypeAlias = "Callable[[Scope], Caller | Awaitable[Caller | None] | None]"


class ProtectionMiddleware:
    """Lets an application see calls of protected methods only when they may run.

    A call that waits is answered with 409, the code ``approval_required`` and its transaction in
    the header ``x-mpa-txid``. Issued again once it is approved, it is claimed and run, and its
    result recorded: ``ok`` for an answer of status 100 to 399, ``error`` for any other and for an
    exception. A client that goes away changes nothing about that.

    Other answers of the middleware: 400 for a request that cannot be approved as it is written,
    401 where nobody is known to call, 409 ``failed_precondition`` where too few administrators
    could approve, 413 and 415 for a body it does not read, 503 where it is not known whether the
    call may run. They have the shape ``{"error": {"code", "message", "details"?}}``.

    Routes must be named as the application itself resolves them: a call that reaches the
    application by another spelling of its path (one more slash, capitals), or that something
    behind the middleware gives another verb (``X-HTTP-Method-Override``), is not protected here.
    Where that is a worry, use `Guard.protected` on the function that does the work. WebSockets
    and ``lifespan`` pass.

    Args:
        app: the application.
        guard: entered by the application, in its lifespan.
        caller: says who calls; a function or a coroutine function.
        routes: the protected routes, or a function that finds the method of a scope.
        max_body_bytes: the longest body of a protected call.

    Raises:
        ConfigurationError: a route names a method that the guard does not declare.
    """

    def __init__(
        self,
        app: Application,
        *,
        guard: Guard,
        caller: CallerOf,
        routes: Iterable[Route] | Router,
        max_body_bytes: int = DEFAULT_MAX_BODY_BYTES,
    ) -> None:
        self._app = app
        self._guard = guard
        self._caller = caller
        self._route = routes if callable(routes) else _router(guard, tuple(routes))
        self._max_body_bytes = max_body_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        match = self._route(scope) if scope["type"] == "http" else None
        if match is None:
            await self._app(scope, receive, send)
            return
        caller = self._caller(scope)
        if inspect.isawaitable(caller):
            caller = await caller
        if caller is None:
            await _answer(send, 401, "unauthorized", "It is not known who calls.")
        elif self._guard.local(match.method, caller) is not None:
            await self._app(scope, receive, send)
        else:
            await self._check(match, caller, scope, receive, send)

    async def _check(
        self, match: RouteMatch, caller: Caller, scope: Scope, receive: Receive, send: Send
    ) -> None:
        body = await _body(scope, receive, send, self._max_body_bytes)
        if body is None:
            return
        try:
            request = _request(scope, match, body, max_bytes=self._max_body_bytes)
            verdict = await self._guard.check(match.method, caller, request)
        except QuorumkeyError as error:
            await _refuse(send, error)
            return
        if isinstance(verdict, Wait):
            await _refuse(send, verdict.error())
        elif isinstance(verdict, Proceed):
            await self._app(scope, _replayed(body, receive), send)
        else:
            await self._run(verdict.claim, scope, _replayed(body, receive), send)

    async def _run(self, claim: Claim, scope: Scope, receive: Receive, send: Send) -> None:
        answered = _Answered(send)
        try:
            await self._app(scope, receive, answered.send)
        except BaseException:
            # What the call did stands, where it is only that nobody took the answer.
            await claim.record(ok=answered.undeliverable and answered.well)
            raise
        await claim.record(ok=answered.well)


class _Answered:
    """Passes an answer on and keeps how it began."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self.well = False
        self.undeliverable = False

    async def send(self, event: Event) -> None:
        """Pass one event on."""
        if event["type"] == "http.response.start":
            self.well = event["status"] < _FIRST_ERROR
        try:
            await self._send(event)
        except OSError:
            self.undeliverable = True
            raise


def _answered_as(verb: str) -> str:
    verb = verb.upper()
    return "GET" if verb == "HEAD" else verb


def _router(guard: Guard, routes: tuple[Route, ...]) -> Router:
    unknown = sorted({route.method for route in routes if not guard.declares(route.method)})
    if unknown:
        raise ConfigurationError(f"The guard does not declare {', '.join(unknown)}.")

    def find(scope: Scope) -> RouteMatch | None:
        path = _path(scope)
        return next(
            (found for route in routes if (found := route.match(scope["method"], path))), None
        )

    return find


def _path(scope: Scope) -> str:
    """The path as the application's own routes see it: below the path that it is mounted at."""
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if not root or not path.startswith(root):
        return path
    below = path[len(root) :]
    return below if below.startswith("/") else path


async def _body(scope: Scope, receive: Receive, send: Send, most: int) -> bytes | None:
    """The whole body; None where the client went away, or was told that it is not taken."""
    body = bytearray()
    while True:
        event = await receive()
        if event["type"] != "http.request":
            return None
        body += event.get("body", b"")
        if len(body) > most:
            await _answer(send, 413, "payload_too_large", f"The body is over {most} bytes.")
            return None
        if not event.get("more_body", False):
            break
    if body and not _is_json(scope):
        message = "A call that can wait for approval needs an uncompressed application/json body."
        await _answer(send, 415, "unsupported_media_type", message)
        return None
    return bytes(body)


def _is_json(scope: Scope) -> bool:
    types = [value for name, value in scope["headers"] if name.lower() == b"content-type"]
    encodings = [value for name, value in scope["headers"] if name.lower() == b"content-encoding"]
    return (
        len(types) == 1
        and _JSON.fullmatch(types[0].decode("latin-1").strip()) is not None
        and all(value.strip().lower() == b"identity" for value in encodings)
    )


def _request(
    scope: Scope, match: RouteMatch, body: bytes, *, max_bytes: int
) -> dict[str, JsonValue]:
    """What is approved; see the module's text."""
    request = read_json(body, max_bytes=max_bytes) if body else {}
    if not isinstance(request, dict):
        raise RequestRefused("The body of a call that can wait for approval is a JSON object.")
    for name in (_PATH, _QUERY):
        if name in request:
            raise RequestRefused(f"The body has a member {name}, which is the middleware's own.")
    if match.path_params:
        request[_PATH] = dict(match.path_params)
    query = _query(scope.get("query_string", b""))
    if query:
        request[_QUERY] = query
    return request


def _query(text: bytes) -> dict[str, JsonValue]:
    try:
        pairs = parse_qsl(
            text.decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=_MAX_QUERY_PARAMETERS,
        )
    except ValueError:
        message = f"The query is not readable, or has more than {_MAX_QUERY_PARAMETERS} parameters."
        raise RequestRefused(message) from None
    values: dict[str, list[JsonValue]] = {}
    for name, value in pairs:
        values.setdefault(name, []).append(value)
    return {name: value[0] if len(value) == 1 else value for name, value in values.items()}


def _replayed(body: bytes, receive: Receive) -> Receive:
    """Gives the body once, then what the server says, which can only be that the client left."""
    events: list[Event] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Event:
        return events.pop() if events else await receive()

    return replay


async def _refuse(send: Send, error: QuorumkeyError) -> None:
    """Answer a call that does not run."""
    if isinstance(error, ApprovalRequired):
        details: dict[str, JsonValue] = {
            "txid": error.txid,
            "method": error.transaction.method,
            "state": error.transaction.state.value,
        }
        header = (TXID_HEADER.encode(), error.txid.encode("latin-1"))
        await _answer(send, 409, "approval_required", str(error), details, header)
    elif isinstance(error, RequestRefused):
        await _answer(send, 400, "invalid_request", str(error))
    elif isinstance(error, NobodyCanApproveError):
        await _answer(send, 409, "failed_precondition", str(error))
    else:
        # Why is in the service's log; a caller need not know what stands between it and the relay.
        message = "Whether this call may run is not known now, so it did not; try again later."
        await _answer(send, 503, "protection_unavailable", message)


async def _answer(
    send: Send,
    status: int,
    code: str,
    message: str,
    details: dict[str, JsonValue] | None = None,
    *headers: tuple[bytes, bytes],
) -> None:
    error: dict[str, JsonValue] = {"code": code, "message": message}
    if details is not None:
        error["details"] = details
    body = dumps({"error": error})
    always = [
        (b"content-type", b"application/json"),
        (b"content-length", str(len(body)).encode()),
        (b"cache-control", b"no-store"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": [*always, *headers]})
    await send({"type": "http.response.body", "body": body})
