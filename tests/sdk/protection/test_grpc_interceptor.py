from __future__ import annotations

import asyncio
import importlib
import sys
from typing import TYPE_CHECKING

import grpc
import pytest
from google.protobuf.wrappers_pb2 import StringValue
from grpc import aio
from tests.sdk.protection.grpc_service import ALICE, TXID, World, world

from quorumkey.errors import ConfigurationError, ReceiptRefused, RefusalReason
from quorumkey.protection import (
    NobodyCanApproveError,
    ProtectionUnavailable,
    ProtobufMessage,
    RequestRefused,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey.protection import Caller
    from quorumkey.protection.grpc import Context


def play(scene: Callable[[World], Awaitable[None]]) -> None:
    """Play a scene in a world of its own."""

    async def inside() -> None:
        async with world() as made:
            await scene(made)

    asyncio.run(inside())


async def refused(call: Awaitable[object]) -> aio.AioRpcError:
    """How a call fails."""
    with pytest.raises(aio.AioRpcError) as caught:
        await call
    return caught.value


async def told(streaming: aio.UnaryStreamCall[StringValue, StringValue]) -> list[str]:
    """The answers of a stream."""
    return [answer.value async for answer in streaming]


SAY = StringValue(value="hello")


def test_a_call_that_waits_ends_before_its_handler() -> None:
    """It is FAILED_PRECONDITION with the transaction in the trailers, and nothing ran."""

    async def scene(at: World) -> None:
        at.guard.wait()

        error = await refused(at.method()(SAY))

        assert grpc.StatusCode.FAILED_PRECONDITION == error.code()
        assert TXID == dict(error.trailing_metadata())["x-mpa-txid"]
        assert TXID in (error.details() or "")
        assert ([], []) == (at.echo.ran, at.guard.results.said)

    play(scene)


def test_the_guard_is_asked_for_the_message_and_its_caller() -> None:
    """The method is the path's last part; the request its deterministic bytes and its view."""

    async def scene(at: World) -> None:
        await at.method()(SAY)

        assert [
            ("Say", ALICE, ProtobufMessage(SAY.SerializeToString(), {"value": "hello"}))
        ] == at.guard.asked

    play(scene)


@pytest.mark.parametrize("name", ["Say", "Count", "Write"])
@pytest.mark.parametrize(
    ("request_text", "result"),
    [("hello", "ok"), ("raise", "error"), ("abort", "error"), ("code", "error")],
    ids=["answers", "raises", "aborts", "sets-a-code"],
)
def test_what_became_of_a_claimed_call_is_recorded(
    name: str, request_text: str, result: str
) -> None:
    """A handler runs once under its claim: ok where it answers, error however else it ends."""

    async def scene(at: World) -> None:
        at.guard.run()
        request = StringValue(value=request_text)
        call = at.method()(request) if name == "Say" else told(at.streaming(name)(request))

        if result == "ok":
            answered = await call
            assert answered in (StringValue(value="HELLO"), ["1", "HELLO"])
        else:
            await refused(call)
        await at.guard.results.seen.wait()  # the client hears of an abort before the handler ends

        assert ([request_text], [result]) == (at.echo.ran, at.guard.results.said)

    play(scene)


@pytest.mark.parametrize("name", ["Say", "Count"])
def test_a_cancelled_call_is_recorded_as_an_error(name: str) -> None:
    """A client that gives up in the middle of a claimed call leaves an error behind."""

    async def scene(at: World) -> None:
        at.guard.run()
        request = StringValue(value="hang")
        call = at.method()(request) if name == "Say" else at.streaming()(request)
        await call.initial_metadata() if name == "Count" else None
        await at.echo.started.wait()
        call.cancel()
        await at.guard.results.seen.wait()

        assert ["error"] == at.guard.results.said

    play(scene)


def test_a_stream_that_nobody_reads_to_its_end_is_recorded_as_an_error() -> None:
    """Where the client goes between two answers, the generator is closed and an error recorded."""

    async def scene(at: World) -> None:
        at.guard.run()
        call = at.streaming()(StringValue(value="hang"))
        assert StringValue(value="1") == await call.read()
        call.cancel()
        await at.guard.results.seen.wait()

        assert ["error"] == at.guard.results.said

    play(scene)


@pytest.mark.parametrize("name", ["Count", "Write"])
def test_streams_wait_and_proceed_like_other_calls(name: str) -> None:
    """A stream that waits yields nothing; one that proceeds has no claim to record."""

    async def scene(at: World) -> None:
        proceeding = await told(at.streaming(name)(SAY))
        at.guard.wait()
        error = await refused(told(at.streaming(name)(SAY)))

        assert ["1", "HELLO"] == proceeding
        assert grpc.StatusCode.FAILED_PRECONDITION == error.code()
        assert (["hello"], []) == (at.echo.ran, at.guard.results.said)

    play(scene)


def test_a_call_that_cannot_wait_is_not_looked_at() -> None:
    """Where the guard lets a method pass, and where it does not declare it, it is not asked."""

    async def scene(at: World) -> None:
        await at.method("Undeclared")(SAY)
        at.guard.passes = True
        await at.method()(SAY)
        await told(at.streaming()(SAY))

        assert (3, []) == (len(at.echo.ran), at.guard.asked)

    play(scene)


@pytest.mark.parametrize("answers", [False, True], ids=["one-answer", "answers"])
def test_streams_of_requests_are_refused_where_they_are_protected(answers: bool) -> None:  # noqa: FBT001 - a parameter
    """A method that takes a stream never runs while it is protected, and runs while it is not."""

    async def scene(at: World) -> None:
        code, details = await at.unsent(answers=answers)
        at.guard.passes = True
        answered = await at.gathering("a", "b", answers=answers)

        assert grpc.StatusCode.FAILED_PRECONDITION == code
        assert "takes a stream of requests" in details
        assert ["a", "b"] == at.echo.ran
        assert "ab" == "".join(answered)
        assert [] == at.guard.asked

    play(scene)


@pytest.mark.parametrize(
    ("raised", "status", "text"),
    [
        (RequestRefused("Change it."), grpc.StatusCode.INVALID_ARGUMENT, "Change it."),
        (NobodyCanApproveError("Too few."), grpc.StatusCode.FAILED_PRECONDITION, "Too few."),
        (ProtectionUnavailable("10.0.0.1 is down"), grpc.StatusCode.UNAVAILABLE, "not known now"),
        (
            ReceiptRefused(RefusalReason.QUORUM_NOT_MET, "One is missing.", 7),
            grpc.StatusCode.UNAVAILABLE,
            "not known now",
        ),
    ],
    ids=["refused", "nobody", "unavailable", "unproven"],
)
def test_without_a_verdict_nothing_runs(
    raised: Exception, status: grpc.StatusCode, text: str
) -> None:
    """What a check raises ends the call; what is behind the service is not told its caller."""

    async def scene(at: World) -> None:
        at.guard.verdict = raised

        error = await refused(at.method()(SAY))

        assert status == error.code()
        assert text in (error.details() or "")
        assert "10.0.0.1" not in (error.details() or "")
        assert [] == at.echo.ran

    play(scene)


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("AtOnce", grpc.StatusCode.INTERNAL),
        ("RawAsync", grpc.StatusCode.INVALID_ARGUMENT),
    ],
    ids=["no-coroutine", "no-message"],
)
def test_handlers_that_cannot_be_protected_are_refused(name: str, status: grpc.StatusCode) -> None:
    """A declared method whose handler is no coroutine, or takes no message, never runs."""

    async def scene(at: World) -> None:
        error = await refused(at.method(name)(SAY))

        assert status == error.code()
        assert [] == at.echo.ran

    play(scene)


def test_a_method_that_the_server_does_not_have_is_unimplemented() -> None:
    """The interceptor leaves it to the server."""

    async def scene(at: World) -> None:
        error = await refused(at.method("Nothing")(SAY))

        assert grpc.StatusCode.UNIMPLEMENTED == error.code()

    play(scene)


def test_who_calls_may_be_looked_up_in_a_coroutine() -> None:
    """The caller's metadata is at hand, and nobody known is UNAUTHENTICATED."""

    async def caller_of(details: grpc.HandlerCallDetails, _context: Context) -> Caller | None:
        return ALICE if ("authorization", "alice") in tuple(details.invocation_metadata) else None

    async def inside() -> None:
        async with world(caller_of) as at:
            await at.method()(SAY, metadata=(("authorization", "alice"),))
            error = await refused(at.method()(SAY))

            assert grpc.StatusCode.UNAUTHENTICATED == error.code()
            assert ["hello"] == at.echo.ran

    asyncio.run(inside())


def test_methods_may_have_other_names_in_the_catalogue() -> None:
    """A mapping of its own decides under which name a method is protected."""

    async def inside() -> None:
        async with world(method_of=lambda path: path.strip("/").replace("/", ".")) as at:
            await at.method()(SAY)

            assert ["quorumkey.tests.Echo.Say"] == [method for method, _, _ in at.guard.asked]

    asyncio.run(inside())


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """Importing the interceptor without grpcio is a ConfigurationError that names the extra."""
    monkeypatch.setitem(sys.modules, "grpc", None)
    monkeypatch.delitem(sys.modules, "quorumkey.protection.grpc")

    with pytest.raises(ConfigurationError, match=r"pip install 'quorumkey\[grpc\]'"):
        importlib.import_module("quorumkey.protection.grpc")
