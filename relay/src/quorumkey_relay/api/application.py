"""The relay as one ASGI application: request ids, metrics, access log, and the last 500."""

from __future__ import annotations

from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol.limits import MAX_REQUEST_BODY_BYTES
from quorumkey_relay.api.answers import (
    NO_CONTENT,
    Answer,
    EventStream,
    Headers,
    Refused,
    as_refusal,
    encode,
    nothing,
)
from quorumkey_relay.api.bodies import ClientGone
from quorumkey_relay.api.cors import Cors
from quorumkey_relay.api.dialect import REST
from quorumkey_relay.api.documents import document_routes
from quorumkey_relay.api.endpoint import Call
from quorumkey_relay.api.gate import FAILURE_CODES, Gate
from quorumkey_relay.api.jit_dialect import API_PATH, JIT_ANYONE
from quorumkey_relay.api.jit_routes import JIT_ROUTES
from quorumkey_relay.api.queries import read_query
from quorumkey_relay.api.router import UNMATCHED, Router, method_not_allowed
from quorumkey_relay.api.routes import ROUTES
from quorumkey_relay.api.rpc import CONNECT, SERVICE_PREFIX, no_such_method
from quorumkey_relay.api.rpc_routes import RPC_ROUTES
from quorumkey_relay.api.shutdown import Shutdown
from quorumkey_relay.api.stream import Streams
from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.observe import logs
from quorumkey_relay.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import Receive, Scope, Send

    from quorumkey_relay.api.dialect import Dialect
    from quorumkey_relay.api.endpoint import Endpoint, Result
    from quorumkey_relay.api.gate import Auth
    from quorumkey_relay.api.ports import RelayPort
    from quorumkey_relay.api.router import Match, Resource, Route

_CALL_ID_BYTES: Final = 12
_EMPTY_OBJECT: Final = b"{}"
_STREAM_HEADERS: Final[Headers] = (
    (b"content-type", b"text/event-stream"),
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-accel-buffering", b"no"),  # nginx would hold events back
)


class Application:
    """Plain ASGI: HTTP through the table of routes, WebSockets through `Streams`."""

    def __init__(self, relay: RelayPort) -> None:
        """Bind the table of routes to this relay."""
        self._relay = relay
        self._monotonic = relay.clock.monotonic
        self._random = relay.mint.random
        self._shutdown = Shutdown()
        self._gate = Gate(relay)
        self._cors = Cors(relay.settings.app_origin)
        described = ROUTES if relay.jit is None else (*ROUTES, *JIT_ROUTES)
        routes = (*described, *RPC_ROUTES, *document_routes(described))
        self._router = Router(routes, relay.metrics)
        #: How calls of unknown paths are answered, by how the path begins.
        self._dialects = {SERVICE_PREFIX: CONNECT}
        if relay.jit is not None:
            self._dialects[f"{API_PATH}/"] = JIT_ANYONE
        self._streams = Streams(relay, self._gate, self._shutdown)
        self._log = logs.get().bind()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        identifier = self._random(_CALL_ID_BYTES).hex()
        logs.call_id.set(identifier)
        call_header = (b"x-request-id", identifier.encode())
        if scope["type"] == "http":
            await self._serve_http(scope, receive, send, call_header)
        elif scope["type"] == "websocket":
            await self._streams.serve(scope, receive, send, (call_header,))
        else:
            message = f"The relay does not speak ASGI {scope['type']}."
            raise RuntimeError(message)

    async def drain(self) -> None:
        """End streams, long polls and sockets; returns when every socket is closed."""
        self._shutdown.begin()
        self._streams.close_all()
        await self._streams.all_closed()

    async def _serve_http(
        self, scope: Scope, receive: Receive, send: Send, call_header: tuple[bytes, bytes]
    ) -> None:
        started = self._monotonic()
        path: str = scope["path"]
        method: str = scope["method"]
        headers: dict[bytes, bytes] = dict(scope["headers"])
        match = resource, route, _ = self._router.find(path, method)
        try:
            answer = await self._answer(scope, receive, headers, match)
        except ClientGone:
            return
        if isinstance(answer, Answer) and answer.code in FAILURE_CODES:
            self._note_failure(scope, route)
        more = (call_header, *self._cors.headers(path, headers))
        status = await _send_answer(send, answer, more)
        seconds = self._monotonic() - started
        (self._router.unmatched if route is None else route.metrics).answered(status, seconds)
        self._log_call(scope, resource, method, status, seconds)
        if isinstance(answer, EventStream):
            await self._send_events(send, answer)

    def _log_call(
        self, scope: Scope, resource: Resource | None, method: str, status: int, seconds: float
    ) -> None:
        if not logs.wants_lines():
            return
        duration_ms = round(seconds * 1000, 3)
        client = self._gate.address(scope)
        if resource is not None and method in resource.methods and client:
            line = logs.CallLine(
                event="request",
                method=method,
                route=resource.path,
                status=status,
                duration_ms=duration_ms,
                client=client,
            )
            logs.info_line(line)
            return
        # What a caller made up (a method, an address that is none) goes through the list.
        self._log.info(
            "request",
            method=method,
            route=UNMATCHED if resource is None else resource.path,
            status=status,
            duration_ms=duration_ms,
            client=client,
        )

    async def _answer(
        self, scope: Scope, receive: Receive, headers: dict[bytes, bytes], match: Match
    ) -> Answer | EventStream:
        """Return the answer of a call, whatever happens; raises only ClientGone."""
        resource, route, path_ids = match
        dialect = self._dialect_at(scope["path"], resource, route)
        try:
            if route is None:
                return self._answer_without_route(scope, headers, resource)
            return await self._answer_of_route(scope, receive, headers, route, path_ids)
        except Refused as refused:
            return dialect.refuse(refused.refusal, refused.headers)
        except (ProtocolError, StoreUnavailable) as error:
            return dialect.refuse(as_refusal(error))
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - the last resort: logged, and told as 500
            self._log.error("call_failed", exc_info=error)
            return dialect.refuse(Refused("internal_error").refusal)

    def _dialect_at(self, path: str, resource: Resource | None, route: Route | None) -> Dialect:
        """Return how a call is answered; one that no route takes as its neighbours are."""
        if route is not None:
            return route.endpoint.dialect
        if resource is not None:
            return next(iter(resource.methods.values())).endpoint.dialect
        for prefix, dialect in self._dialects.items():
            if path.startswith(prefix):
                return dialect
        return REST

    def _note_failure(self, scope: Scope, route: Route | None) -> None:
        """Count a wrong code, nonce or signature; a wrong token was counted at the gate."""
        if route is not None and route.endpoint.auth.can_fail:
            self._gate.failed(scope)

    def _answer_without_route(
        self, scope: Scope, headers: Mapping[bytes, bytes], resource: Resource | None
    ) -> Answer:
        if resource is None:
            if scope["path"].startswith(SERVICE_PREFIX):
                return no_such_method()
            raise Refused("not_found")
        if scope["method"] != "OPTIONS":
            raise method_not_allowed(resource)
        preflight = self._cors.preflight(resource.path, headers, resource.allow)
        return nothing((b"allow", resource.allow), *preflight)

    async def _answer_of_route(
        self,
        scope: Scope,
        receive: Receive,
        headers: dict[bytes, bytes],
        route: Route,
        path_ids: tuple[str, ...],
    ) -> Answer | EventStream:
        """Check a call in the order of PROTOCOL §2 and hand it to its handler."""
        endpoint = route.endpoint
        auth, body = endpoint.auth, endpoint.body
        read_body = partial(endpoint.dialect.read_body, headers, receive, max_bytes=body.max_bytes)
        is_large = body.max_bytes > MAX_REQUEST_BODY_BYTES
        raw_body = b"" if is_large else await read_body()
        principal = auth.check(self._gate, scope, headers)
        if auth.waits:
            principal = await principal
        if is_large:  # so much is taken in from those alone who may call this
            _permit(auth, self._gate, headers)
            raw_body = await read_body()
        value = body.read(raw_body)
        query = scope["query_string"]
        values = read_query(query, route.parameters, is_open=endpoint.is_open) if query else {}
        for pattern, path_id in zip(route.id_patterns, path_ids, strict=True):
            if pattern.fullmatch(path_id) is None:
                raise Refused("not_found")
        if not is_large:
            _permit(auth, self._gate, headers)
        call: Call[Any, Any] = Call(
            self._relay,
            self._shutdown,
            principal,
            value,
            raw_body,
            scope["path"],
            path_ids,
            values,
            headers,
            receive,
        )
        return _as_answer(endpoint, await endpoint.handle(call))

    async def _send_events(self, send: Send, stream: EventStream) -> None:
        try:
            async with aclosing(stream.chunks) as chunks:
                async for chunk in chunks:
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except Exception as error:  # noqa: BLE001 - the head has gone out; all that is left is to end
            self._log.error("event_stream_failed", exc_info=error)
        await send({"type": "http.response.body", "body": b""})


def _permit(auth: Auth[Any], gate: Gate, headers: Mapping[bytes, bytes]) -> None:
    if auth.permit is not None:
        auth.permit(gate, headers)


def _as_answer(endpoint: Endpoint[Any, Any], result: Result) -> Answer | EventStream:
    if isinstance(result, Refusal):
        return endpoint.dialect.refuse(result)
    if isinstance(result, bytes):
        return Answer(endpoint.success, result)
    if result is None:
        return nothing() if endpoint.success == NO_CONTENT else Answer(200, _EMPTY_OBJECT)
    if isinstance(result, Answer | EventStream):
        return result
    return Answer(endpoint.success, encode(result))


async def _send_answer(send: Send, answer: Answer | EventStream, more: Headers) -> int:
    """Send an answer, or the head of a stream; return its status."""
    if isinstance(answer, EventStream):
        head = [*_STREAM_HEADERS, *more]
        await send({"type": "http.response.start", "status": 200, "headers": head})
        return 200
    body = answer.body
    head = [*answer.headers, *more]
    if answer.status != NO_CONTENT:
        head.append((b"content-length", str(len(body)).encode()))
    await send({"type": "http.response.start", "status": answer.status, "headers": head})
    await send({"type": "http.response.body", "body": body})
    return answer.status
