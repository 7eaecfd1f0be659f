from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest
from tests.sdk.protection.gate_double import ALICE, CHECK, GateDouble, guard_of

from quorumkey.protection import (
    Method,
    ProtobufMessage,
    RequestRefused,
    Run,
    UnsafeTrustRelay,
    Wait,
    read_json,
)
from quorumkey.protocol import b64encode, canonical_json, request_binding
from quorumkey.protocol.limits import MAX_REQUEST_VIEW_BYTES

if TYPE_CHECKING:
    from quorumkey.protection import Guard, Request, Resource
    from quorumkey.protection.declarations import Resolver
    from quorumkey.protocol import JsonValue


def asked(request: Request, *, resource: Resource | None = None) -> dict[str, JsonValue]:
    """What the relay is asked about a call with this request."""
    return asked_with(None, request, resource=resource)


def asked_with(
    resolver: Resolver | None, request: Request, *, resource: Resource | None = None
) -> dict[str, JsonValue]:
    """The same of a method with this resolver."""

    async def run() -> dict[str, JsonValue]:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay, methods=(Method("KillProcess", resolver=resolver),)) as guard:
            verdict = await guard.check("KillProcess", ALICE, request, resource=resource)
            assert isinstance(verdict, Wait)
            (body,) = relay.bodies(CHECK)
            # What was asked can be approved, and runs: both sides make the same of it.
            relay.approve(verdict.txid, "bob")
            again = await guard.check("KillProcess", ALICE, request, resource=resource)
            assert isinstance(again, Run)
            return body

    return asyncio.run(run())


def test_what_the_relay_is_asked() -> None:
    """Method, caller, request and a key of 128 random bits; what is absent is not sent."""
    body = asked({"pid": 1})
    key = body.pop("claim_key")

    assert isinstance(key, str)
    assert 32 == len(key)
    assert {
        "method": "KillProcess",
        "caller": {"kind": "person", "id": "alice", "name": "Alice"},
        "request": {"json": {"pid": 1}},
    } == body


def test_a_request_need_not_be_an_object() -> None:
    """Any JSON value is a request."""
    assert {"json": [1, "a", True, None]} == asked([1, "a", True, None])["request"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"load": 0.5}, "load is a number that is not an integer; send it as a string"),
        ({"pids": [1, 2.0]}, r"pids\[1\] is a number that is not an integer"),
        ({"n": 2**53}, "beyond"),
        ({"data": b"x"}, "no JSON value but a bytes"),
        ({"pids": (1, 2)}, "no JSON value but a tuple"),
        ({1: "x"}, "name is not a string"),
        ({"s": "\ud800"}, "lone surrogate"),
    ],
    ids=["float", "float-in-a-list", "large", "bytes", "tuple", "member", "surrogate"],
)
def test_a_request_with_two_spellings_is_refused(request_: Request, said: str) -> None:
    """A request that could be written in two ways is refused, and the text says where and why."""

    async def run() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay) as guard:
            with pytest.raises(RequestRefused, match=said):
                await guard.check("KillProcess", ALICE, request_)
            assert 0 == relay.count(CHECK)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b'{"load": 0.5}', "not an integer.* [Ss]end other numbers as strings|string"),
        (b'{"load": 1e3}', "string"),
        (b'{"a": 1, "a": 1}', "twice"),
        (b'{"a": NaN}', "string"),
        (b"{", "malformed"),
        (b'"' + b"x" * 100 + b'"', "larger than 64 bytes"),
    ],
    ids=["float", "exponent", "twice", "nan", "cut", "large"],
)
def test_a_body_with_two_readings_is_refused(text: bytes, said: str) -> None:
    """A JSON body is read strictly; the text says what to change."""
    with pytest.raises(RequestRefused, match=said):
        read_json(text, max_bytes=64)


def test_a_large_request_is_sent_as_its_digest() -> None:
    """Over 64 KiB the digest and the size are sent, and that is what is approved."""
    request: JsonValue = {"blob": "x" * MAX_REQUEST_VIEW_BYTES}
    canonical = canonical_json(request)

    expected = {"digest": request_binding(canonical), "size": len(canonical)}
    assert expected == asked({"blob": "x" * MAX_REQUEST_VIEW_BYTES})["request"]


def test_the_largest_request_that_is_shown() -> None:
    """At 64 KiB the request itself is sent."""
    request: Request = {"b": "x" * (MAX_REQUEST_VIEW_BYTES - len('{"b":""}'))}

    assert {"json": request} == asked(request)["request"]


@pytest.mark.parametrize(("depth", "form"), [(30, "json"), (31, "digest")])
def test_a_deep_request_is_sent_as_its_digest(depth: int, form: str) -> None:
    """What is nested too deep to travel inside a body is sent as its digest."""
    value: JsonValue = 1
    for _ in range(depth):
        value = [value]
    sent = asked(value)["request"]

    assert isinstance(sent, dict)
    assert form in sent


def test_a_protobuf_message_is_sent_with_its_view() -> None:
    """The bytes are what is compared, the view what people and conditions see."""
    message = ProtobufMessage(b"\x08\x01", {"pid": 1})

    assert {"protobuf": b64encode(b"\x08\x01"), "view": {"pid": 1}} == asked(message)["request"]


@pytest.mark.parametrize(
    "message",
    [
        ProtobufMessage(b"\x08\x01"),
        ProtobufMessage(b"x" * (MAX_REQUEST_VIEW_BYTES + 1), {"pid": 1}),
        ProtobufMessage(b"\x08\x01", {"s": "x" * MAX_REQUEST_VIEW_BYTES}),
    ],
    ids=["without-view", "large", "large-view"],
)
def test_a_protobuf_message_without_a_usable_view(message: ProtobufMessage) -> None:
    """Without a view, or where one is too large, the digest of the bytes is sent."""
    expected = {"digest": request_binding(message.canonical), "size": len(message.canonical)}

    assert expected == asked(message)["request"]


def test_a_view_with_a_float_is_refused() -> None:
    """A view is read as strictly as a request."""
    view: dict[str, JsonValue] = {"load": 0.5}  # type: ignore[dict-item]  # a float on purpose
    with pytest.raises(RequestRefused, match="string"):
        asked(ProtobufMessage(b"\x08\x01", view))


# ---------------------------------------------------------------- what a call acts on


def _sync(request: JsonValue) -> Resource:
    return {"of": request, "tag": "global"}


async def _async(request: JsonValue) -> Resource:
    await asyncio.sleep(0)
    return {"of": request, "tag": "global"}


@pytest.mark.parametrize("resolver", [_sync, _async], ids=["function", "coroutine"])
def test_a_resolver_finds_the_resource(resolver: Resolver) -> None:
    """A resolver is given the request as approvers see it, and what it finds is sent."""
    body = asked_with(resolver, {"id": "r1"})

    assert {"of": {"id": "r1"}, "tag": "global"} == body["resource"]
    assert "resource_failed" not in body


def test_a_given_resource_goes_before_the_resolver() -> None:
    """A caller that knows the resource already names it, and no resolver runs."""
    body = asked_with(_raising, {"id": "r1"}, resource={"tag": "local"})

    assert {"tag": "local"} == body["resource"]


def _raising(_: JsonValue) -> Resource:
    raise LookupError


async def _raising_later(_: JsonValue) -> Resource:
    raise LookupError


def _nothing(_: JsonValue) -> None:
    return None


def _float(_: JsonValue) -> Resource:
    return {"load": 0.5}  # type: ignore[dict-item]  # a float on purpose


def _large(_: JsonValue) -> Resource:
    return {"blob": "x" * MAX_REQUEST_VIEW_BYTES}


def _no_mapping(_: JsonValue) -> Resource:
    return 7  # type: ignore[return-value]  # on purpose


@pytest.mark.parametrize(
    "resolver", [_raising, _raising_later, _nothing, _float, _large, _no_mapping]
)
def test_a_resolver_that_fails_makes_the_call_wait(resolver: Resolver) -> None:
    """Whatever goes wrong in a resolver, the relay is told that it failed, and the call waits."""
    body = asked_with(resolver, {"id": "r1"})

    assert body["resource_failed"] is True
    assert "resource" not in body


def test_a_failed_resolver_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """The log names the method and has the trace."""
    with caplog.at_level(logging.ERROR, "quorumkey.protection"):
        asked_with(_raising, {"id": "r1"})

    assert all("The resolver of KillProcess failed" in each.message for each in caplog.records)
    assert all(each.exc_info is not None for each in caplog.records)
    assert caplog.records


def test_a_message_without_a_view_has_no_resource() -> None:
    """Where there is nothing to show a resolver, it counts as failed."""
    assert asked_with(_sync, ProtobufMessage(b"\x08\x01"))["resource_failed"] is True


def test_a_given_resource_is_read_strictly() -> None:
    """A resource that cannot be approved is refused like a request."""

    async def run(guard: Guard, resource: Resource) -> None:
        with pytest.raises(RequestRefused):
            await guard.check("KillProcess", ALICE, {}, resource=resource)

    async def both() -> None:
        relay = GateDouble()
        relay.protected.add("KillProcess")
        async with guard_of(relay, administrators=UnsafeTrustRelay()) as guard:
            await run(guard, {"load": 0.5})  # type: ignore[dict-item]  # a float on purpose
            await run(guard, {"blob": "x" * MAX_REQUEST_VIEW_BYTES})

    asyncio.run(both())
