"""Answers and lookups under the egress guard: cut, ended in time, remembered, bounded."""

from __future__ import annotations

import asyncio
from socket import EAI_AGAIN, EAI_NONAME, gaierror
from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.egress_parts import (
    HOST,
    PUBLIC,
    Names,
    Routes,
    post,
    refusal,
)
from tests.relay.delivery.receiver import answer, receiving
from tests.relay.simulator import ManualClock

from quorumkey_relay.delivery import egress as module
from quorumkey_relay.delivery.egress import Egress, EgressRefused
from quorumkey_relay.delivery.transport import MAX_ANSWER_BYTES, TransportFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.anyio

# Answers


@pytest.fixture
async def plain(anyio_backend: object) -> Egress:
    """A guard that lets localhost pass."""
    del anyio_backend
    return Egress(clock=ManualClock(), unsafe_hosts=frozenset({"localhost"}))


async def test_a_long_answer_is_cut_and_its_connection_closed(plain: Egress) -> None:
    """Of a mebibyte 64 KiB are read; nobody waits for the rest."""
    body = b"x" * 1_048_576
    async with receiving() as receiver:
        receiver.answers = [answer(200, body=body * 16)]

        found = await post(plain, receiver.url)
        await receiver.cut_off()
        await plain.close()

    assert (200, MAX_ANSWER_BYTES) == (found.status, len(found.body))


@pytest.mark.parametrize(
    "beginning",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\nx-a: ",
        b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nx",
    ],
    ids=["nothing", "status", "headers", "body"],
)
async def test_an_answer_that_does_not_end_is_a_timeout(plain: Egress, beginning: bytes) -> None:
    """Whatever part of an answer is held back, the call ends in its time."""

    async def hold(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(beginning)
        await asyncio.Event().wait()

    async with receiving() as receiver:
        receiver.by_hand = hold

        with pytest.raises(TransportFailed, match="timeout"):
            await post(plain, receiver.url, timeout_seconds=0.05)
        await plain.close()


async def test_a_slow_trickle_is_a_timeout(plain: Egress) -> None:
    """Bytes that go on coming do not prolong the call (slow loris)."""

    async def trickle(_: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-a: ")
        while True:
            writer.write(b"b")
            await writer.drain()
            await asyncio.sleep(0)

    async with receiving() as receiver:
        receiver.by_hand = trickle

        with pytest.raises(TransportFailed, match="timeout"):
            await post(plain, receiver.url, timeout_seconds=0.05)
        await plain.close()


async def test_a_closed_connection_is_broken(plain: Egress) -> None:
    """Who hangs up without an answer may have acted on the request."""

    async def hang_up(_: object, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async with receiving() as receiver:
        receiver.by_hand = hang_up

        with pytest.raises(TransportFailed) as caught:
            await post(plain, receiver.url)
        await plain.close()

    assert ("broken", None) == (caught.value.reason, caught.value.processed)


# Lookups


async def test_a_name_that_is_not_known_is_unreachable() -> None:
    """A failed lookup is remembered for five seconds, then asked again."""
    names, clock = Names([]), ManualClock()
    egress = Egress(clock=clock, resolve=names)

    for seconds in (0, 4, 1):
        clock.advance(seconds)
        with pytest.raises(TransportFailed, match="unreachable"):
            await post(egress, f"https://{HOST}/")

    assert [HOST] * 2 == names.asked


async def test_one_lookup_serves_all_who_wait_for_it() -> None:
    """A hundred calls to a new host ask for it once."""
    names = Names(["127.0.0.1"])
    async with receiving() as receiver:
        egress = Egress(clock=ManualClock(), unsafe_hosts=frozenset({"localhost"}), resolve=names)

        await asyncio.gather(*(post(egress, receiver.url) for _ in range(100)))
        await egress.close()

    assert (100, ["localhost"]) == (len(receiver.received), names.asked)


async def test_a_lookup_that_does_not_end_is_a_timeout() -> None:
    """The time of a call holds for its lookup too, and nothing was sent."""

    async def never(host: str) -> Sequence[str]:
        await asyncio.Event().wait()
        return [host]

    egress = Egress(clock=ManualClock(), resolve=never)

    with pytest.raises(TransportFailed) as caught:
        await post(egress, f"https://{HOST}/", timeout_seconds=0.02)
    await egress.close()

    assert ("timeout", False) == (caught.value.reason, caught.value.processed)


async def test_addresses_are_called_on_while_no_newer_answer_comes() -> None:
    """A resolver that says "try again" silences no host that was judged in the last hour."""
    asked: list[str] = []

    async def once(host: str) -> Sequence[str]:
        asked.append(host)
        if len(asked) > 1:
            raise gaierror(EAI_AGAIN, "try again")
        return ["127.0.0.1"]

    clock = ManualClock()
    async with receiving() as receiver:
        egress = Egress(clock=clock, unsafe_hosts=frozenset({"localhost"}), resolve=once)
        for seconds in (0, 30, 4, 1):
            clock.advance(seconds)
            await post(egress, receiver.url)
        clock.advance(3_600)
        with pytest.raises(TransportFailed, match="unreachable"):
            await post(egress, receiver.url)
        await egress.close()

    assert (4, 4) == (len(receiver.received), len(asked))


async def test_a_resolver_that_hangs_is_not_waited_for_where_addresses_are_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Others' names that nobody answers for, as many as they may be, leave known hosts alone."""
    monkeypatch.setattr(module, "LOOKUP_BESIDE_STALE_SECONDS", 0.02)
    asked: list[str] = []

    async def once(host: str) -> Sequence[str]:
        asked.append(host)
        if len(asked) > 1:
            await asyncio.Event().wait()
        return ["127.0.0.1"]

    clock = ManualClock()
    async with receiving() as receiver:
        egress = Egress(clock=clock, unsafe_hosts=frozenset({"localhost"}), resolve=once)
        await post(egress, receiver.url)
        clock.advance(30)

        found = await post(egress, receiver.url)
        await egress.close()

    assert (200, 2) == (found.status, len(asked))


async def test_a_name_that_is_gone_is_not_called_on() -> None:
    """Where the answer is that there is no such name, what it meant before counts no more."""
    asked: list[str] = []

    async def once(host: str) -> Sequence[str]:
        asked.append(host)
        if len(asked) > 1:
            raise gaierror(EAI_NONAME, "no such name")
        return ["127.0.0.1"]

    clock = ManualClock()
    async with receiving() as receiver:
        egress = Egress(clock=clock, unsafe_hosts=frozenset({"localhost"}), resolve=once)
        await post(egress, receiver.url)
        clock.advance(30)
        with pytest.raises(TransportFailed, match="unreachable"):
            await post(egress, receiver.url)
        await egress.close()

    assert 1 == len(receiver.received)


async def test_a_name_without_an_address_is_unreachable() -> None:
    """A resolver that answers nothing, or nonsense, leads nowhere."""

    async def nothing(host: str) -> Sequence[str]:
        return () if host == HOST else ("nonsense",)

    egress = Egress(clock=ManualClock(), resolve=nothing)

    for host in (HOST, "other.example"):
        with pytest.raises(TransportFailed, match="unreachable"):
            await post(egress, f"https://{host}/")


async def test_without_time_nothing_is_called() -> None:
    """Who has no time left makes no connection."""
    routes = Routes("none")
    egress = Egress(clock=ManualClock(), resolve=Names([PUBLIC]), connect=routes)
    with pytest.raises(TransportFailed, match="unreachable"):
        await post(egress, f"https://{HOST}:1024/")
    called = list(routes.called)

    with pytest.raises(TransportFailed, match="timeout"):
        await post(egress, f"https://{HOST}:1025/", timeout_seconds=0)
    await egress.close()

    assert [PUBLIC] == called == routes.called


async def test_hosts_that_are_remembered_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The host that was asked for the longest time ago is forgotten first."""
    monkeypatch.setattr(module, "MAX_KNOWN_HOSTS", 2)
    names = Names(["10.0.0.1"])
    egress = Egress(clock=ManualClock(), resolve=names)

    for host in ("a", "b", "c", "c", "a"):
        await refusal(egress, f"https://{host}.example/")

    assert ["a.example", "b.example", "c.example", "a.example"] == names.asked


async def test_a_refusal_says_nothing_of_the_url(plain: Egress) -> None:
    """Neither path nor query, which may hold secrets, stands in what is raised."""
    with pytest.raises(EgressRefused) as caught:
        await post(plain, "https://10.0.0.1/c4n4ry?c4n4ry")

    assert "c4n4ry" not in repr(caught.value)
