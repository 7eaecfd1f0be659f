"""Protected methods in a gRPC server: `ProtectionInterceptor` for ``grpc.aio``.

Needs the extra ``grpc``. What a protected call carries is compared and approved as the
deterministic bytes of its request message; see `quorumkey.protection.protobuf`.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import TYPE_CHECKING, Final, NoReturn, TypeAlias, TypeVar, cast

from quorumkey.errors import ConfigurationError, QuorumkeyError
from quorumkey.protection.declarations import Caller
from quorumkey.protection.errors import NobodyCanApproveError, RequestRefused
from quorumkey.protection.verdicts import Run, Wait
from quorumkey.protocol.limits import TXID_HEADER

try:
    import grpc
    from google.protobuf.message import Message
    from grpc import aio

    from quorumkey.protection.protobuf import protobuf_message
except ImportError as error:
    raise ConfigurationError(
        "Protecting a gRPC server needs the extra grpc: pip install 'quorumkey[grpc]'."
    ) from error

if TYPE_CHECKING:
    from quorumkey.protection.guard import Guard
    from quorumkey.protection.messages import ProtobufMessage
    from quorumkey.protection.verdicts import Claim

__all__ = ["CallerOf", "MethodOf", "ProtectionInterceptor", "last_path_part"]

Request = TypeVar("Request")
Response = TypeVar("Response")

Context: TypeAlias = "aio.ServicerContext[object, object]"
#: Says who calls, from what the server has authenticated; None: nobody it knows.
CallerOf: TypeAlias = Callable[
    ["grpc.HandlerCallDetails", Context], "Caller | Awaitable[Caller | None] | None"
]
#: Maps a full gRPC method name, ``/package.Service/Method``, to the catalogue's.
MethodOf: TypeAlias = Callable[[str], str]

_Coroutine: TypeAlias = Callable[[object, Context], Awaitable[object]]
_Generator: TypeAlias = Callable[[object, Context], AsyncGenerator[object]]
_LOG: Final = logging.getLogger("quorumkey.protection")
#: Where a handler keeps its behaviour, by whether requests and answers are streams.
_SHAPES: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}
_Make: TypeAlias = Callable[[object, object, object], object]
#: What a handler's context says where it has set no other code; the library answers the number.
_FINE: Final = (None, 0, grpc.StatusCode.OK)


def last_path_part(path: str) -> str:
    """Return ``Method`` of ``/package.Service/Method``."""
    return path.rpartition("/")[2]


class ProtectionInterceptor(aio.ServerInterceptor):
    """Lets a protected call wait for approval, and run once when it has been approved.

    A call that must wait does not reach its handler: it ends with FAILED_PRECONDITION and the
    transaction's id as ``x-mpa-txid`` in the trailers. The identical call by the same caller runs
    once the transaction is approved; what became of it is recorded as an error where the handler
    raised, aborted, was cancelled or set another code than OK, else as ok.

    Methods with one request are protected, whether they answer with one message or a stream.
    A call with a stream of requests has nothing that could be approved before it runs: where its
    method is protected, it ends with FAILED_PRECONDITION, always. Handlers must be coroutines or
    asynchronous generators.

    What is approved is the message, the method and the caller, and nothing else: where a handler
    does something else because of the metadata, that is not what was approved. Put the interceptor
    last in the server's list, after what authenticates: whatever stands behind it may still change
    the request.

    Args:
        guard: open for as long as the server runs.
        caller_of: says who calls; a coroutine's answer is awaited. None ends the call with
            UNAUTHENTICATED, and what it raises ends the call too.
        method_of: maps gRPC's method names to those of the catalogue; methods that share a name
            there must do the same, because an approval of one runs the other. Where a generic
            handler of the server takes other spellings of a name, this has to know them too.
    """

    def __init__(
        self, guard: Guard, caller_of: CallerOf, *, method_of: MethodOf = last_path_part
    ) -> None:
        self._guard = guard
        self._caller_of = caller_of
        self._method_of = method_of

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Request, Response] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Request, Response] | None:
        """Put the gate before the handler of a method that the guard declares."""
        handler = await continuation(handler_call_details)
        method = self._method_of(handler_call_details.method)
        if handler is None or not self._guard.declares(method):
            return handler
        gate = _Gate(self._guard, self._caller_of, method, handler_call_details)
        return gate.before(handler)


class _Gate:
    """The gate before one call."""

    def __init__(
        self,
        guard: Guard,
        caller_of: CallerOf,
        method: str,
        details: grpc.HandlerCallDetails,
    ) -> None:
        self._guard = guard
        self._caller_of = caller_of
        self._method = method
        self._details = details

    def before(
        self, handler: grpc.RpcMethodHandler[Request, Response]
    ) -> grpc.RpcMethodHandler[Request, Response]:
        """Return a handler of the same shape that goes through the gate."""
        takes_stream = handler.request_streaming
        name = _SHAPES[takes_stream, handler.response_streaming]
        behaviour: object = getattr(handler, name)
        gated: _Coroutine | _Generator
        if inspect.isasyncgenfunction(behaviour):
            generator = cast("_Generator", behaviour)
            gated = self._generator(generator, takes_stream=takes_stream)
        elif inspect.iscoroutinefunction(behaviour):
            coroutine = cast("_Coroutine", behaviour)
            gated = self._coroutine(coroutine, takes_stream=takes_stream)
        else:
            gated = self._never
        make: _Make = getattr(grpc, f"{name}_rpc_method_handler")
        made = make(gated, handler.request_deserializer, handler.response_serializer)
        return cast("grpc.RpcMethodHandler[Request, Response]", made)

    def _coroutine(self, behaviour: _Coroutine, *, takes_stream: bool) -> _Coroutine:
        async def gated(request: object, context: Context) -> object:
            claim = await self._enter(request, context, takes_stream=takes_stream)
            if claim is None:
                return await behaviour(request, context)
            async with claim:
                answer = await behaviour(request, context)
                await _say_failed(claim, context)
                return answer

        return gated

    def _generator(self, behaviour: _Generator, *, takes_stream: bool) -> _Generator:
        async def gated(request: object, context: Context) -> AsyncGenerator[object]:
            claim = await self._enter(request, context, takes_stream=takes_stream)
            if claim is None:
                async with aclosing(behaviour(request, context)) as answers:
                    async for answer in answers:
                        yield answer
                return
            async with claim, aclosing(behaviour(request, context)) as answers:
                async for answer in answers:
                    yield answer
                await _say_failed(claim, context)

        return gated

    async def _never(self, _request: object, context: Context) -> NoReturn:
        await context.abort(
            grpc.StatusCode.INTERNAL,
            f"{self._method} is declared for protection, so its handler must be a coroutine or an"
            " asynchronous generator.",
        )

    async def _enter(
        self, request: object, context: Context, *, takes_stream: bool
    ) -> Claim | None:
        """Return the claim to run under, None where none is needed; a call that waits ends here."""
        caller = await self._caller(context)
        try:
            if not self._guard.may_wait(self._method, caller):
                return None
            if takes_stream:
                await self._refuse_stream(context)
            verdict = await self._guard.check(self._method, caller, _message(request))
        except QuorumkeyError as error:
            await context.abort(*_status_of(error, self._method))
        if isinstance(verdict, Wait):
            await context.abort(
                grpc.StatusCode.FAILED_PRECONDITION,
                str(verdict.error()),
                trailing_metadata=((TXID_HEADER, verdict.txid),),
            )
        return verdict.claim if isinstance(verdict, Run) else None

    async def _caller(self, context: Context) -> Caller:
        found = self._caller_of(self._details, context)
        caller = found if found is None or isinstance(found, Caller) else await found
        if caller is None:
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "The caller is not known.")
        return caller

    async def _refuse_stream(self, context: Context) -> NoReturn:
        await context.abort(
            grpc.StatusCode.FAILED_PRECONDITION,
            f"{self._method} is protected and takes a stream of requests, which nobody can approve"
            " before it runs; the service has to offer it with a single request.",
        )


def _message(request: object) -> ProtobufMessage:
    if isinstance(request, Message):
        return protobuf_message(request)
    raise RequestRefused("A protected method takes a protobuf message; this request is none.")


async def _say_failed(claim: Claim, context: Context) -> None:
    """Record an error where the handler did not raise and yet set another code than OK."""
    if context.code() not in _FINE:
        await claim.record(ok=False)


def _status_of(error: QuorumkeyError, method: str) -> tuple[grpc.StatusCode, str]:
    """Return how a call ends whose check did not come to a verdict."""
    if isinstance(error, RequestRefused):
        return grpc.StatusCode.INVALID_ARGUMENT, str(error)
    if isinstance(error, NobodyCanApproveError):
        return grpc.StatusCode.FAILED_PRECONDITION, str(error)
    # A caller need not know what stands between the service and its relay.
    _LOG.warning("%s did not run: %s", method, error)
    message = f"Whether {method} may run is not known now, so it did not; try again later."
    return grpc.StatusCode.UNAVAILABLE, message
