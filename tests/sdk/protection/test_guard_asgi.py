from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount
from starlette.routing import Route as WebRoute
from tests.sdk.protection.gate_double import ALICE, CHECK, METHODS, GateDouble, guard_of, until
from tests.sdk.relay_double import failure

from quorumkey.errors import ConfigurationError
from quorumkey.protection import Caller, Guard, ProtectionMiddleware, Route
from quorumkey.protection.asgi import RouteMatch

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, MutableMapping

    from starlette.requests import Request

    from quorumkey.protection.asgi import Application, Event, Scope

JSON = [(b"content-type", b"application/json")]
ROUTES = (
    Route("POST", "/hosts/{tag}/kill", "KillProcess"),
    Route("GET", "/hosts/{tag}/rename", "RenameHost"),
)


def caller_of(scope: Scope) -> Caller | None:
    """Whoever says so in a header."""
    names = [value.decode() for name, value in scope["headers"] if name == b"x-user"]
    return Caller("person", names[0]) if names else ALICE


@dataclass
class Answer:
    """What a client was sent."""

    events: list[MutableMapping[str, Any]] = field(
        default_factory=list[Any]  # ASGI's own type of events
    )

    @property
    def status(self) -> int:
        """The status; 0 where there was no answer."""
        return int(self.events[0]["status"]) if self.events else 0

    @property
    def headers(self) -> dict[str, str]:
        """The headers."""
        return {name.decode(): value.decode() for name, value in self.events[0]["headers"]}

    @property
    def body(self) -> bytes:
        """The body."""
        return b"".join(event.get("body", b"") for event in self.events[1:])

    @property
    def code(self) -> str:
        """The code of an error."""
        return str(json.loads(self.body)["error"]["code"])


@dataclass
class Service:
    """An application behind the middleware, with the guard's relay."""

    relay: GateDouble
    guard: Guard
    app: Application
    seen: list[bytes] = field(default_factory=list[bytes])

    async def call(  # noqa: PLR0913 - the parts of a call
        self,
        path: str = "/hosts/web/kill",
        body: bytes | list[bytes] = b'{"pid": 1}',
        *,
        verb: str = "POST",
        query: bytes = b"",
        headers: list[tuple[bytes, bytes]] | None = None,
        stays: bool = True,
        root_path: str = "",
        deaf: bool = False,
    ) -> Answer:
        """One HTTP call; a client that does not stay leaves before its last piece of the body."""
        answer = Answer()
        pieces = [body] if isinstance(body, bytes) else body
        events: list[Event] = [
            {"type": "http.request", "body": piece, "more_body": index + 1 < len(pieces)}
            for index, piece in enumerate(pieces)
        ]
        if not stays:
            events[-1] = {"type": "http.disconnect"}

        async def receive() -> Event:
            return events.pop(0) if events else {"type": "http.disconnect"}

        async def send(event: Event) -> None:
            if deaf:
                raise BrokenPipeError
            answer.events.append(event)

        scope: Scope = {
            "type": "http",
            "method": verb,
            "path": path,
            "raw_path": path.encode(),
            "root_path": root_path,
            "query_string": query,
            "headers": JSON if headers is None else headers,
        }
        await self.app(scope, receive, send)
        return answer

    async def approved(self, **call: Any) -> str:  # noqa: ANN401 - the arguments of `call`
        """Have a call approved; answers the txid."""
        waiting = await self.call(**call)
        assert (409, "approval_required") == (waiting.status, waiting.code)
        txid = waiting.headers["x-mpa-txid"]
        self.relay.approve(txid, "bob")
        return txid


def serving(
    act: Callable[[Service], Awaitable[None]],
    handler: Callable[[Request], Awaitable[Response]] | None = None,
) -> None:
    """Run a scene in which KillProcess is protected."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            seen: list[bytes] = []

            async def kill(request: Request) -> Response:
                seen.append(await request.body())
                return JSONResponse({"killed": request.path_params.get("tag")})

            used = handler or kill
            app = Starlette(
                routes=[
                    WebRoute("/hosts/{tag}/kill", used, methods=["POST"]),
                    WebRoute("/hosts/{tag}/rename", used, methods=["GET"]),
                    WebRoute("/free", used, methods=["POST"]),
                ]
            )
            guarded = ProtectionMiddleware(app, guard=guard, caller=caller_of, routes=ROUTES)
            await act(Service(relay, guard, guarded, seen))

    asyncio.run(run())


def test_a_waiting_call_is_answered_with_its_txid() -> None:
    """A protected call does not reach the application: 409, a code, and the txid in the header."""

    async def act(service: Service) -> None:
        answer = await service.call()

        error = json.loads(answer.body)["error"]
        (txid,) = service.relay.gated
        assert (409, txid) == (answer.status, answer.headers["x-mpa-txid"])
        assert {"txid": txid, "method": "KillProcess", "state": "requested"} == error["details"]
        assert "no-store" == answer.headers["cache-control"]
        assert str(len(answer.body)) == answer.headers["content-length"]
        assert [] == service.seen

    serving(act)


def test_an_approved_call_runs_once() -> None:
    """Issued again it reaches the application with its whole body, is recorded, and is used up."""

    async def act(service: Service) -> None:
        txid = await service.approved()

        answer = await service.call(body=[b'{"pi', b'd": 1}'])
        again = await service.call()

        assert (200, b'{"killed":"web"}') == (answer.status, answer.body)
        assert [b'{"pid": 1}'] == service.seen
        assert [(txid, "ok")] == service.relay.results
        assert (409, False) == (again.status, again.headers["x-mpa-txid"] == txid)

    serving(act)


@pytest.mark.parametrize(
    ("status", "result"), [(204, "ok"), (303, "ok"), (400, "error"), (409, "error"), (500, "error")]
)
def test_the_status_is_the_result(status: int, result: str) -> None:
    """2xx and 3xx are recorded as ok, everything else as an error."""

    async def handler(_: Request) -> Response:
        return Response(status_code=status)

    async def act(service: Service) -> None:
        txid = await service.approved()
        await service.call()

        assert [(txid, result)] == service.relay.results

    serving(act, handler)


def test_an_exception_is_an_error() -> None:
    """An application that raises is recorded as failed, and its exception goes on."""

    async def handler(_: Request) -> Response:
        raise LookupError

    async def act(service: Service) -> None:
        txid = await service.approved()
        with pytest.raises(LookupError):
            await service.call()

        assert [(txid, "error")] == service.relay.results

    serving(act, handler)


def test_a_streamed_answer_is_recorded_at_its_end() -> None:
    """A stream that breaks off is an error, though its status was good; a whole one is ok."""
    broken = True

    async def pieces() -> AsyncGenerator[bytes]:
        yield b"some"
        if broken:
            raise LookupError
        yield b"thing"

    async def handler(_: Request) -> Response:
        return StreamingResponse(pieces())

    async def act(service: Service) -> None:
        nonlocal broken
        first = await service.approved()
        with pytest.raises(LookupError):
            await service.call()
        broken = False
        second = await service.approved()
        answer = await service.call()

        assert b"something" == answer.body
        assert [(first, "error"), (second, "ok")] == service.relay.results

    serving(act, handler)


def test_a_client_that_does_not_take_the_answer_changes_nothing() -> None:
    """A call that was done is recorded as done, where only its answer could not be delivered."""

    async def act(service: Service) -> None:
        txid = await service.approved()
        with pytest.raises(BrokenPipeError):
            await service.call(deaf=True)

        assert [(txid, "ok")] == service.relay.results

    serving(act)


def test_a_client_that_leaves_before_its_body_is_whole() -> None:
    """Half a request is asked about nowhere, and answered by nobody."""

    async def act(service: Service) -> None:
        answer = await service.call(body=[b"{", b"}"], stays=False)

        assert (0, 0) == (answer.status, service.relay.count(CHECK))

    serving(act)


def test_the_request_that_is_approved() -> None:
    """Body, path and query make the request; a repeated parameter is a list."""

    async def act(service: Service) -> None:
        await service.call(query=b"force=yes&only=a&only=b%20c&empty=")
        await service.call(body=b"", headers=[])

        assert [
            {
                "pid": 1,
                "path_params": {"tag": "web"},
                "query_params": {"force": "yes", "only": ["a", "b c"], "empty": ""},
            },
            {"path_params": {"tag": "web"}},
        ] == [
            body["request"]["json"]  # type: ignore[index,call-overload]  # what the guard sends
            for body in service.relay.bodies(CHECK)
        ]

    serving(act)


@pytest.mark.parametrize(
    "changed",
    [
        {"body": b'{"pid": 2}'},
        {"body": b'{"pid": "1"}'},
        {"path": "/hosts/db/kill"},
        {"query": b"pid=1"},
        {"headers": [*JSON, (b"x-user", b"carol")]},
    ],
    ids=["body", "type", "path", "query", "caller"],
)
def test_another_call_does_not_match(changed: dict[str, Any]) -> None:
    """An approval is for the body, the path, the query and the caller that were approved."""

    async def act(service: Service) -> None:
        await service.approved()

        assert 409 == (await service.call(**changed)).status
        assert [] == service.seen

    serving(act)


def test_the_same_call_written_otherwise_matches() -> None:
    """The order of members and of parameters, white space and headers do not matter."""

    async def act(service: Service) -> None:
        await service.approved(body=b'{"pid":1,"tree":true}', query=b"a=1&b=2")
        answer = await service.call(
            body=b' { "tree" : true, "pid" : 1 } ',
            query=b"b=2&a=1",
            headers=[(b"content-type", b"Application/JSON; charset=UTF-8"), (b"x-more", b"1")],
        )

        assert 200 == answer.status

    serving(act)


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        ({"body": b'{"load": 0.5}'}, 400, "invalid_request"),
        ({"body": b'{"a": 1, "a": 1}'}, 400, "invalid_request"),
        ({"body": b"[1]"}, 400, "invalid_request"),
        ({"body": b"{"}, 400, "invalid_request"),
        ({"body": b'{"path_params": {}}'}, 400, "invalid_request"),
        ({"body": b'{"query_params": {}}'}, 400, "invalid_request"),
        ({"query": b"a=%FF"}, 400, "invalid_request"),
        ({"query": b"&".join([b"a=1"] * 257)}, 400, "invalid_request"),
        ({"body": b"x" * 1_048_577}, 413, "payload_too_large"),
        ({"headers": []}, 415, "unsupported_media_type"),
        ({"headers": [(b"content-type", b"text/plain")]}, 415, "unsupported_media_type"),
        ({"headers": JSON * 2}, 415, "unsupported_media_type"),
        ({"headers": [*JSON, (b"content-encoding", b"gzip")]}, 415, "unsupported_media_type"),
    ],
    ids=[
        "float",
        "twice",
        "list",
        "cut",
        "path-member",
        "query-member",
        "query-bytes",
        "query-size",
        "large",
        "untyped",
        "text",
        "two-types",
        "compressed",
    ],
)
def test_a_body_that_cannot_be_approved(call: dict[str, Any], status: int, code: str) -> None:
    """What could be read in two ways is refused before anybody is asked."""

    async def act(service: Service) -> None:
        answer = await service.call(**call)

        assert (status, code) == (answer.status, answer.code)
        assert 0 == service.relay.count(CHECK)
        assert [] == service.seen

    serving(act)


def test_an_unprotected_call_is_not_touched() -> None:
    """A call that proceeds in any case reaches the application unread, whatever its body is."""

    async def act(service: Service) -> None:
        free = await service.call("/free", b"\xff", headers=[])
        renamed = await service.call("/hosts/web/rename", b"\xff", verb="GET", headers=[])

        assert (200, 200) == (free.status, renamed.status)
        assert 0 == service.relay.count(CHECK)

    serving(act)


def test_a_head_is_its_get() -> None:
    """HEAD is protected where GET is, because the application answers it alike."""

    async def act(service: Service) -> None:
        await service.guard.reach(service.relay.protect("RenameHost"))

        answer = await service.call("/hosts/web/rename", b"", verb="HEAD", headers=[])

        assert 409 == answer.status

    serving(act)


def test_a_condition_that_is_false_lets_the_body_through() -> None:
    """A call that was read and may proceed reaches the application with its body."""

    async def act(service: Service) -> None:
        service.relay.never_true.add("KillProcess")

        assert 200 == (await service.call()).status
        assert [b'{"pid": 1}'] == service.seen

    serving(act)


def test_refusals_have_codes() -> None:
    """A silent relay is 503, no approvers 409, a false receipt 503, and none of them runs."""

    async def act(service: Service) -> None:
        service.relay.script(CHECK, *[failure(503, "store_unavailable")] * 3)
        silent = await service.call()
        service.relay.script(CHECK, failure(409, "failed_precondition"))
        alone = await service.call()
        waiting = await service.call()
        service.relay.gated[waiting.headers["x-mpa-txid"]].state = "approved"
        forged = await service.call()
        await until(lambda: len(service.relay.results) == 1)

        assert (503, "protection_unavailable") == (silent.status, silent.code)
        assert (409, "failed_precondition") == (alone.status, alone.code)
        assert "x-mpa-txid" not in alone.headers
        assert (503, "protection_unavailable") == (forged.status, forged.code)
        assert [] == service.seen

    serving(act)


@pytest.mark.parametrize("waits", [False, True], ids=["function", "coroutine"])
def test_nobody_is_refused(waits: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """A call of a protected route by nobody known is 401."""

    async def nobody(_: Scope) -> Caller | None:
        return None

    async def act(service: Service) -> None:
        async def app(_scope: Scope, _receive: object, _send: object) -> None:
            raise AssertionError

        service.app = ProtectionMiddleware(
            app,
            guard=service.guard,
            caller=nobody if waits else lambda _: None,
            routes=ROUTES,
        )
        answer = await service.call()

        assert (401, "unauthorized") == (answer.status, answer.code)

    serving(act)


def test_a_mounted_application() -> None:
    """Routes are of the path below the one that the application is mounted at."""

    async def act(service: Service) -> None:
        service.app = Starlette(routes=[Mount("/v2", service.app)])

        assert 409 == (await service.call("/v2/hosts/web/kill")).status
        assert 404 == (await service.call("/hosts/web/kill", root_path="/other")).status

    serving(act)


def test_a_router_of_the_applications_own() -> None:
    """A function may say which method a call is of."""

    def router(scope: Scope) -> RouteMatch | None:
        return RouteMatch("KillProcess", {}) if scope["path"].startswith("/hosts") else None

    async def act(service: Service) -> None:
        inner = service.app
        service.app = ProtectionMiddleware(
            inner, guard=service.guard, caller=caller_of, routes=router
        )

        assert 409 == (await service.call("/hosts/anything")).status
        assert 200 == (await service.call("/free")).status

    serving(act)


def test_what_is_no_http_call_passes() -> None:
    """The lifespan and WebSockets are the application's alone."""
    passed: list[str] = []

    async def app(scope: Scope, _receive: object, _send: object) -> None:
        passed.append(scope["type"])

    async def nothing(*_: object) -> dict[str, object]:
        return {}

    async def run() -> None:
        async with guard_of(GateDouble()) as guard:
            guarded = ProtectionMiddleware(app, guard=guard, caller=caller_of, routes=ROUTES)
            for kind in ("lifespan", "websocket"):
                await guarded({"type": kind, "path": "/hosts/web/kill"}, nothing, nothing)  # type: ignore[arg-type]  # never used

    asyncio.run(run())

    assert ["lifespan", "websocket"] == passed


def test_routes_are_checked_when_they_are_made() -> None:
    """A route of an undeclared method, or one that cannot match as it reads, is refused."""
    guard = guard_of(GateDouble(), methods=METHODS)

    async def app(*_: object) -> None:
        raise AssertionError

    with pytest.raises(ConfigurationError, match="Other"):
        ProtectionMiddleware(
            app, guard=guard, caller=caller_of, routes=[Route("POST", "/x", "Other")]
        )
    with pytest.raises(ConfigurationError, match="slash"):
        Route("POST", "hosts", "KillProcess")
    with pytest.raises(ConfigurationError, match="twice"):
        Route("POST", "/{a}/{a}", "KillProcess")


def test_a_route_matches_segments() -> None:
    """A parameter is one segment of the path, and nothing in a path is a pattern."""
    route = Route("post", "/a.b/{tag}/x", "KillProcess")

    assert RouteMatch("KillProcess", {"tag": "é"}) == route.match("POST", "/a.b/é/x")
    for path in ("/a.b/1/2/x", "/a.b//x", "/aXb/1/x", "/a.b/1/x/", "/a.b/1/x\n\n"):
        assert route.match("POST", path) is None
    assert route.match("GET", "/a.b/1/x") is None


@pytest.mark.parametrize(
    ("verb", "path"),
    [("POST", "/hosts/web/kill\n"), ("post", "/hosts/web/kill")],
    ids=["line-break", "lower-case"],
)
def test_another_spelling_of_a_call_is_that_call(verb: str, path: str) -> None:
    """What routers take for the same call waits: a line break behind the path, a verb in small."""

    async def act(service: Service) -> None:
        answer = await service.call(path, verb=verb)

        assert (409, "approval_required") == (answer.status, answer.code)
        assert [] == service.seen

    serving(act)


def test_a_route_for_head_is_its_get() -> None:
    """A route whose verb is HEAD stands for GET too, as the other way round."""
    route = Route("HEAD", "/x", "KillProcess")

    assert RouteMatch("KillProcess", {}) == route.match("HEAD", "/x") == route.match("GET", "/x")


@pytest.mark.parametrize(
    "path", ["/hosts/{id:int}", "/hosts/{rest:path}", "/hosts/{id", "/a/{b c}"]
)
def test_a_path_that_nothing_would_match_is_refused(path: str) -> None:
    """A parameter with a converter, which would make a route that protects nothing, is told."""
    with pytest.raises(ConfigurationError, match="no plain name"):
        Route("POST", path, "KillProcess")
