"""The egress guard against real servers on loopback: what is called, and what never is."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.receiver import answer, certified, receiving
from tests.relay.simulator import ManualClock

from quorumkey_relay.delivery import egress as module
from quorumkey_relay.delivery.egress import Egress, EgressRefused
from quorumkey_relay.delivery.transport import MAX_ANSWER_BYTES, TransportFailed, pinned_client

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quorumkey_relay.delivery.transport import Answer, HttpClient

pytestmark = pytest.mark.anyio

PUBLIC = "93.184.216.34"
OTHER_PUBLIC = "2606:2800:220:1:248:1893:25c8:1946"
HOST = "hooks.example"


class Names:
    """A resolver: its answers are given in turn, the last for ever."""

    def __init__(self, *answers: Sequence[str]) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Sequence[str]:
        """The next answer."""
        self.asked.append(host)
        found = self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)
        if not found:
            raise OSError(host)
        return found


class Routes:
    """Leads connections to public addresses to loopback, as a network in a box would."""

    def __init__(self, *reachable: str) -> None:
        self.reachable = reachable
        self.called: list[str] = []

    def __call__(self, *, host: str, address: str, roots: bytes | None) -> HttpClient:
        """A client for an address; one that is not reachable leads to where nobody listens."""
        self.called.append(address)
        is_there = not self.reachable or address in self.reachable
        return pinned_client(
            host=host, address="127.0.0.1" if is_there else "127.0.0.2", roots=roots
        )


async def post(egress: Egress, url: str, *, timeout_seconds: float = 10) -> Answer:
    """A call that is closed afterwards."""
    return await egress.post(
        url, headers={"x-test": "1"}, body=b"hello", timeout_seconds=timeout_seconds
    )


async def refusal(egress: Egress, url: str) -> str:
    """Why a call is refused."""
    with pytest.raises(EgressRefused) as caught:
        await post(egress, url)
    return caught.value.reason


# What is called


async def test_the_checked_address_is_called_and_tls_asks_for_the_name(tmp_path: Path) -> None:
    """The connection goes to the address that was judged, under the name's own certificate."""
    context, root = certified(tmp_path, HOST)
    routes = Routes()
    async with receiving(context) as receiver:
        egress = Egress(clock=ManualClock(), roots=root, resolve=Names([PUBLIC]), connect=routes)

        found = await post(egress, f"https://{HOST}:{receiver.port}/hooks?a=b")
        await egress.close()

    (received,) = receiver.received
    assert (200, b"ok", [PUBLIC]) == (found.status, found.body, routes.called)
    assert ("/hooks?a=b", b"hello", "1", f"{HOST}:{receiver.port}") == (
        received.target,
        received.body,
        received.headers["x-test"],
        received.headers["host"],
    )


async def test_another_names_certificate_is_no_connection(tmp_path: Path) -> None:
    """Who listens at the address, but is not the host, gets no request."""
    context, root = certified(tmp_path, "other.example")
    async with receiving(context) as receiver:
        egress = Egress(clock=ManualClock(), roots=root, resolve=Names([PUBLIC]), connect=Routes())

        with pytest.raises(TransportFailed) as caught:
            await post(egress, f"https://{HOST}:{receiver.port}/")
        await egress.close()

    assert ("unreachable", False, []) == (
        caught.value.reason,
        caught.value.processed,
        receiver.received,
    )


async def test_addresses_are_tried_in_order(tmp_path: Path) -> None:
    """Where the first address does not answer the next one is called, and from then on first."""
    context, root = certified(tmp_path, HOST)
    routes = Routes(OTHER_PUBLIC)
    async with receiving(context) as receiver:
        egress = Egress(
            clock=ManualClock(),
            roots=root,
            resolve=Names([PUBLIC, OTHER_PUBLIC]),
            connect=routes,
        )
        url = f"https://{HOST}:{receiver.port}/"

        await post(egress, url)
        await post(egress, url)
        await egress.close()

    assert [PUBLIC, OTHER_PUBLIC] == routes.called
    assert (2, 1) == (len(receiver.received), receiver.connections)


async def test_no_more_than_four_addresses_are_tried() -> None:
    """A name with a thousand addresses is not called a thousand times."""
    routes = Routes("none")
    many = [f"93.184.216.{number}" for number in range(100)]
    egress = Egress(clock=ManualClock(), resolve=Names(many), connect=routes)

    with pytest.raises(TransportFailed, match="unreachable"):
        await post(egress, f"https://{HOST}:1111/")
    await egress.close()

    assert many[:4] == routes.called


async def test_an_unsafe_host_may_be_plain_and_anywhere() -> None:
    """In development a named host is called by http on loopback."""
    async with receiving() as receiver:
        egress = Egress(clock=ManualClock(), unsafe_hosts=frozenset({"localhost"}))

        found = await post(egress, receiver.url)
        await egress.close()

    assert (200, 1) == (found.status, len(receiver.received))


async def test_connections_are_kept() -> None:
    """A hundred calls one after the other share one connection and one lookup."""
    names = Names(["127.0.0.1"])
    async with receiving() as receiver:
        egress = Egress(clock=ManualClock(), unsafe_hosts=frozenset({"localhost"}), resolve=names)

        for _ in range(100):
            await post(egress, receiver.url)
        await egress.close()

    assert (100, 1, 1) == (len(receiver.received), receiver.connections, len(names.asked))


async def test_the_clients_kept_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was not used for the longest time goes first."""
    monkeypatch.setattr(module, "MAX_CLIENTS", 2)
    hosts = frozenset({"a.test", "b.test", "c.test"})
    routes = Routes()
    async with receiving() as receiver:
        egress = Egress(
            clock=ManualClock(),
            unsafe_hosts=hosts,
            resolve=Names(["127.0.0.1"]),
            connect=routes,
        )

        for host in ("a.test", "b.test", "a.test", "c.test", "a.test", "b.test"):
            await post(egress, f"http://{host}:{receiver.port}/")
        await egress.close()

    # a, b and c once each, and b again: c had pushed it out.
    assert (6, 4, 4) == (len(receiver.received), receiver.connections, len(routes.called))


# What never is


@pytest.mark.parametrize(
    ("addresses", "reason"),
    [
        (["127.0.0.1"], "loopback_address"),
        (["::1"], "loopback_address"),
        (["::ffff:127.0.0.1"], "loopback_address"),
        (["64:ff9b::7f00:1"], "loopback_address"),
        (["169.254.169.254"], "metadata_address"),
        (["fe80::1%1"], "link_local_address"),
        ([PUBLIC, "127.0.0.1"], "loopback_address"),
        ([*[f"93.184.216.{number}" for number in range(20)], "10.0.0.1"], "private_address"),
    ],
    ids=["v4", "v6", "mapped", "nat64", "metadata", "zone", "one-of-two", "last-of-many"],
)
async def test_a_name_with_any_refused_address_is_not_called(
    addresses: list[str], reason: str
) -> None:
    """Every address must be public, whichever would be tried."""
    async with receiving() as receiver:
        egress = Egress(clock=ManualClock(), resolve=Names(addresses))

        found = await refusal(egress, f"https://{HOST}:{receiver.port}/")
        await egress.close()

    assert (reason, 0) == (found, receiver.connections)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "[0:0:0:0:0:ffff:7f00:1]", "[64:ff9b::127.0.0.1]"],
)
async def test_a_refused_address_in_the_url_is_not_called(host: str) -> None:
    """No resolver is asked about an address, and it is judged all the same."""
    names = Names([PUBLIC])
    async with receiving() as receiver:
        egress = Egress(clock=ManualClock(), resolve=names)
        url = f"https://{host}:{receiver.port}/"

        found = await refusal(egress, url)
        with pytest.raises(EgressRefused):
            egress.check_url(url)
        await egress.close()

    assert ("loopback_address", 0, []) == (found, receiver.connections, names.asked)


async def test_the_machines_own_resolver_is_no_way_around() -> None:
    """The name localhost leads to loopback, and is refused."""
    async with receiving() as receiver:
        egress = Egress(clock=ManualClock())

        found = await refusal(egress, f"https://localhost:{receiver.port}/")
        await egress.close()

    assert ("loopback_address", 0) == (found, receiver.connections)


async def test_a_name_that_turns_private_is_refused_from_then_on(tmp_path: Path) -> None:
    """DNS rebinding: while the first answer is fresh its address is called, then nothing is."""
    context, root = certified(tmp_path, HOST)
    names, clock, routes = Names([PUBLIC], ["127.0.0.1"]), ManualClock(), Routes()
    async with receiving(context) as receiver:
        egress = Egress(clock=clock, roots=root, resolve=names, connect=routes)
        url = f"https://{HOST}:{receiver.port}/"
        await post(egress, url)
        clock.advance(29)
        await post(egress, url)
        clock.advance(1)

        found = await refusal(egress, url)
        again = await refusal(egress, url)
        await egress.close()

    assert (["loopback_address"] * 2, 2, [PUBLIC]) == (
        [found, again],
        len(receiver.received),
        routes.called,
    )
    assert [HOST] * 2 == names.asked


async def test_a_redirect_is_an_answer(tmp_path: Path) -> None:
    """Nobody follows ``Location``; the caller sees the 3xx."""
    context, root = certified(tmp_path, HOST)
    async with receiving() as inside, receiving(context) as receiver:
        receiver.answers = [answer(307, f"location: http://127.0.0.1:{inside.port}/")]
        egress = Egress(clock=ManualClock(), roots=root, resolve=Names([PUBLIC]), connect=Routes())

        found = await post(egress, f"https://{HOST}:{receiver.port}/")
        await egress.close()

    assert (307, 1, 0) == (found.status, len(receiver.received), inside.connections)


async def test_no_proxy_of_the_environment_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the environment says of proxies leads nobody elsewhere."""
    async with receiving() as proxy, receiving() as receiver:
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        egress = Egress(clock=ManualClock(), unsafe_hosts=frozenset({"localhost"}))

        await post(egress, receiver.url)
        await egress.close()

    assert (0, 1) == (proxy.connections, len(receiver.received))


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

        with pytest.raises(TransportFailed) as caught:
            await post(plain, receiver.url, timeout_seconds=0.05)
        await plain.close()

    assert ("timeout", None) == (caught.value.reason, caught.value.processed)


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
