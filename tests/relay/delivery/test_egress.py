"""The egress guard against real servers on loopback: what is called, and what never is."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from tests.relay.delivery.egress_parts import (
    HOST,
    OTHER_PUBLIC,
    PUBLIC,
    Names,
    Routes,
    post,
    refusal,
)
from tests.relay.delivery.receiver import answer, certified, receiving
from tests.relay.simulator import ManualClock

from quorumkey_relay.delivery import pinned_clients
from quorumkey_relay.delivery.egress import Egress, EgressRefused
from quorumkey_relay.delivery.transport import TransportFailed, pinned_client

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.delivery.transport import HttpClient

pytestmark = pytest.mark.anyio

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
    monkeypatch.setattr(pinned_clients, "MAX_CLIENTS", 2)
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


async def test_a_client_is_made_once_and_off_the_event_loop() -> None:
    """Of many first calls to a host one makes a client, in a thread beside the loop's."""
    made_in: list[threading.Thread] = []

    def connect(*, host: str, address: str, roots: bytes | None) -> HttpClient:
        made_in.append(threading.current_thread())
        return pinned_client(host=host, address=address, roots=roots)

    async with receiving() as receiver:
        egress = Egress(
            clock=ManualClock(),
            unsafe_hosts=frozenset({"localhost"}),
            resolve=Names(["127.0.0.1"]),
            connect=connect,
        )
        await asyncio.gather(*(post(egress, receiver.url) for _ in range(20)))
        await egress.close()

    assert (20, 1) == (len(receiver.received), len(made_in))
    assert made_in[0] is not threading.current_thread()


async def test_a_client_that_takes_too_long_to_make_is_a_timeout() -> None:
    """The time of a call holds for making its client too; others find it made."""
    may_go = threading.Event()

    def connect(*, host: str, address: str, roots: bytes | None) -> HttpClient:
        may_go.wait()
        return pinned_client(host=host, address=address, roots=roots)

    async with receiving() as receiver:
        egress = Egress(
            clock=ManualClock(),
            unsafe_hosts=frozenset({"localhost"}),
            resolve=Names(["127.0.0.1"]),
            connect=connect,
        )
        with pytest.raises(TransportFailed, match="timeout") as caught:
            await post(egress, receiver.url, timeout_seconds=0.2)
        may_go.set()
        found = await post(egress, receiver.url)
        await egress.close()

    assert (False, 200, 1) == (caught.value.processed, found.status, len(receiver.received))


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
