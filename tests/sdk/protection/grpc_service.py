"""A gRPC server and its client in one process, before a guard that says what it is told to."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import grpc
from google.protobuf.wrappers_pb2 import StringValue
from grpc import aio
from tests.sdk.clock import START

from quorumkey.protection import Caller, Claim, ClaimState, Transaction, TransactionState
from quorumkey.protection.grpc import ProtectionInterceptor, last_path_part
from quorumkey.protection.verdicts import Proceed, Run, Wait

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from typing import Literal

    from quorumkey.protection import Guard, Request, Verdict
    from quorumkey.protection.grpc import CallerOf, Context, MethodOf

SERVICE: Final = "quorumkey.tests.Echo"
TXID: Final = "01a1fb5c-6c3d-7e5c-95cc-52144387310f"
ALICE: Final = Caller("person", "alice", "Alice")
#: Seconds after which a call that hangs fails the test.
PATIENCE: Final = 20

Method = aio.UnaryUnaryMultiCallable[StringValue, StringValue]
Streaming = aio.UnaryStreamMultiCallable[StringValue, StringValue]


def transaction(txid: str = TXID) -> Transaction:
    """A call that waits."""
    return Transaction(
        txid=txid,
        method="Say",
        caller_kind="person",
        caller_id="alice",
        state=TransactionState.REQUESTED,
        request_digest="sha256:" + "0" * 64,
        condition="",
        approvals_required=1,
        votes=(),
        created_at=START,
        expires_at=START + 60,
    )


@dataclass
class Results:
    """What was recorded of each claim, in order; `seen` is set with each."""

    said: list[str] = field(default_factory=list[str])
    seen: asyncio.Event = field(default_factory=asyncio.Event)

    async def report(
        self, claim: ClaimState, result: Literal["ok", "error"], result_digest: str | None
    ) -> None:
        """Keep it; nothing here says what the answer was."""
        assert result_digest is None
        assert TXID == claim.txid
        self.said.append(result)
        self.seen.set()


class ScriptedGuard:
    """A guard whose verdicts a test sets; it keeps what it was asked."""

    def __init__(self) -> None:
        self.verdict: Verdict | Exception = Proceed("unprotected")
        self.passes = False
        self.results = Results()
        self.asked: list[tuple[str, Caller, Request]] = []

    def run(self) -> None:
        """Let the next calls run under a claim."""
        state = ClaimState(claim_id=TXID, txid=TXID, claimed_at=START, result_by=START + 60)
        claim = Claim(state, self.results)
        self.verdict = Run(claim=claim, transaction=transaction(), approval=None)

    def wait(self) -> None:
        """Let the next calls wait."""
        self.verdict = Wait(transaction())

    def declares(self, method: str) -> bool:
        """As `Guard.declares`; only ``Undeclared`` is not."""
        return method != "Undeclared"

    def may_wait(self, _method: str, _caller: Caller) -> bool:
        """As `Guard.may_wait`."""
        return not self.passes

    async def check(self, method: str, caller: Caller, request: Request) -> Verdict:
        """As `Guard.check`."""
        self.asked.append((method, caller, request))
        if isinstance(self.verdict, Exception):
            raise self.verdict
        return self.verdict


class Echo:
    """Handlers of every shape; `ran` has what each got."""

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.started = asyncio.Event()

    async def say(self, request: StringValue, context: Context) -> StringValue:
        """Answer, raise, abort, set a code or hang, as the request says."""
        self.ran.append(request.value)
        self.started.set()
        match request.value:
            case "raise":
                raise LookupError
            case "abort":
                await context.abort(grpc.StatusCode.NOT_FOUND, "there is none")
            case "code":
                context.set_code(grpc.StatusCode.DATA_LOSS)
            case "hang":
                await asyncio.Event().wait()
            case _:
                pass
        return StringValue(value=request.value.upper())

    def say_at_once(self, request: StringValue, _context: Context) -> StringValue:
        """No coroutine."""
        self.ran.append(request.value)
        return request

    async def count(self, request: StringValue, context: Context) -> AsyncGenerator[StringValue]:
        """Answer with two messages, and what `say` does between them."""
        yield StringValue(value="1")
        yield await self.say(request, context)

    async def write(self, request: StringValue, context: Context) -> None:
        """Answer with two messages by the context."""
        await context.write(StringValue(value="1"))
        await context.write(await self.say(request, context))

    async def gather(self, requests: AsyncGenerator[StringValue], _context: Context) -> StringValue:
        """Answer a stream of requests with one message."""
        values = [request.value async for request in requests]
        self.ran += values
        return StringValue(value="".join(values))

    async def relay(
        self, requests: AsyncGenerator[StringValue], _context: Context
    ) -> AsyncGenerator[StringValue]:
        """Answer each request."""
        async for request in requests:
            self.ran.append(request.value)
            yield request


@dataclass
class World:
    """A server, its guard and a channel to it."""

    guard: ScriptedGuard
    echo: Echo
    channel: aio.Channel

    def method(self, name: str = "Say") -> Method:
        """A method with one request and one answer."""
        return cast("Method", self.channel.unary_unary(*self._of(name)))

    def streaming(self, name: str = "Count") -> Streaming:
        """A method with one request and a stream of answers."""
        return cast("Streaming", self.channel.unary_stream(*self._of(name)))

    def _of(self, name: str) -> tuple[str, Callable[..., bytes], Callable[[bytes], StringValue]]:
        return f"/{SERVICE}/{name}", StringValue.SerializeToString, StringValue.FromString

    async def gathering(self, *values: str, answers: bool = False) -> list[str]:
        """Send a stream of requests; return the answers."""
        call: Any = self._stream(answers=answers)(
            iter([StringValue(value=value) for value in values])
        )
        return [one.value async for one in call] if answers else [(await call).value]

    async def unsent(self, *, answers: bool = False) -> tuple[grpc.StatusCode, str]:
        """Open a stream of requests and send none; return how it ends.

        A client that still sends when the server ends the call can be told of that instead.
        """
        call: Any = self._stream(answers=answers)()
        return await call.code(), await call.details()

    def _stream(self, *, answers: bool) -> Callable[..., object]:
        make = self.channel.stream_stream if answers else self.channel.stream_unary
        return cast("Callable[..., object]", make(*self._of("Relay" if answers else "Gather")))


def handlers(echo: Echo) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
    """The methods of the service."""
    wire: Any = (StringValue.FromString, StringValue.SerializeToString)
    unary, stream = grpc.unary_unary_rpc_method_handler, grpc.unary_stream_rpc_method_handler
    return {
        "Say": unary(echo.say, *wire),
        "Undeclared": unary(echo.say, *wire),
        "AtOnce": unary(echo.say_at_once, *wire),
        "Raw": unary(echo.say_at_once, None, StringValue.SerializeToString),
        "RawAsync": unary(echo.say),
        "Count": stream(echo.count, *wire),
        "Write": stream(echo.write, *wire),
        "Gather": grpc.stream_unary_rpc_method_handler(echo.gather, *wire),
        "Relay": grpc.stream_stream_rpc_method_handler(echo.relay, *wire),
    }


@asynccontextmanager
async def world(
    caller_of: CallerOf = lambda _details, _context: ALICE,
    method_of: MethodOf = last_path_part,
) -> AsyncGenerator[World]:
    """A server on a free port of this machine, and a channel to it."""
    guard, echo = ScriptedGuard(), Echo()
    interceptor = ProtectionInterceptor(cast("Guard", guard), caller_of, method_of=method_of)
    server = aio.server(interceptors=(interceptor,))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(SERVICE, handlers(echo)),)
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with asyncio.timeout(PATIENCE), aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield World(guard, echo, channel)
    finally:
        await server.stop(None)
