"""The machine's own resolver, off the loop and within bounds."""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from quorumkey_relay.delivery.resolver import SystemResolver

pytestmark = pytest.mark.anyio


async def test_localhost_is_loopback() -> None:
    """Each address once, as text."""
    found = await SystemResolver()("localhost")

    assert {"127.0.0.1"} <= set(found) <= {"127.0.0.1", "::1"}
    assert len(set(found)) == len(found)


@pytest.mark.parametrize("host", ["nobody.invalid", "a" * 64 + ".example", "\udcff.example"])
async def test_a_name_without_addresses_is_an_oserror(host: str) -> None:
    """Whatever is wrong with a name, there is one kind of failure."""
    with pytest.raises(OSError, match=r".*"):
        await SystemResolver()(host)


async def test_lookups_at_once_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The third of three waits until one of the two before it has ended, asked for or not."""
    begun, release = threading.Semaphore(0), threading.Event()

    def slow(host: str, *_: object, **__: object) -> list[object]:
        begun.release()
        release.wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (f"192.0.2.{host}", 0))]

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = SystemResolver(limit=2)
    lookups = [asyncio.create_task(resolver(str(number))) for number in range(3)]
    for _ in range(2):
        await asyncio.to_thread(begun.acquire)
    lookups[0].cancel()
    await asyncio.gather(lookups[0], return_exceptions=True)
    is_third_under_way = begun.acquire(blocking=False)
    release.set()

    assert not is_third_under_way
    assert [("192.0.2.1",), ("192.0.2.2",)] == await asyncio.gather(*lookups[1:])


async def test_who_has_given_up_is_told_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failure that comes after the caller has gone is nobody's."""
    release = threading.Event()

    def slow(host: str, *_: object, **__: object) -> list[object]:
        release.wait()
        raise OSError(host)

    monkeypatch.setattr(socket, "getaddrinfo", slow)
    resolver = SystemResolver(limit=1)
    lookup = asyncio.create_task(resolver("a"))
    await asyncio.sleep(0)
    lookup.cancel()
    await asyncio.gather(lookup, return_exceptions=True)
    release.set()

    with pytest.raises(OSError, match="b"):
        await resolver("b")
