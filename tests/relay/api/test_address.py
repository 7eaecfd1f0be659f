"""Which address a call is counted for."""

from __future__ import annotations

import ipaddress
from typing import Any

import pytest

from quorumkey_relay.api.address import NO_ADDRESS, ClientAddresses, bucket_of

PROXIES = (ipaddress.ip_network("10.0.0.0/8"), ipaddress.ip_network("2001:db8:1::/48"))


def scope(peer: str | None, *forwarded: str) -> dict[str, Any]:
    """An ASGI scope with a peer and ``X-Forwarded-For`` headers."""
    headers = [(b"x-forwarded-for", value.encode("latin-1")) for value in forwarded]
    return {"client": None if peer is None else (peer, 40_000), "headers": headers}


def test_without_proxies_the_header_means_nothing() -> None:
    """X-Forwarded-For of anybody is not believed."""
    assert ClientAddresses(()).of(scope("192.0.2.1", "198.51.100.9")) == "192.0.2.1"


def test_a_stranger_is_not_believed() -> None:
    """X-Forwarded-For counts from the configured proxies only."""
    assert ClientAddresses(PROXIES).of(scope("192.0.2.1", "198.51.100.9")) == "192.0.2.1"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (("198.51.100.9",), "198.51.100.9"),
        (("203.0.113.7, 198.51.100.9",), "198.51.100.9"),
        (("203.0.113.7", "198.51.100.9"), "198.51.100.9"),
        (("198.51.100.9, 10.1.2.3",), "198.51.100.9"),
        (("198.51.100.9:4711",), "198.51.100.9"),
        (("[2001:db8::9]:4711",), "2001:db8::9"),
        (("2001:db8::9",), "2001:db8::9"),
        (("::ffff:198.51.100.9",), "198.51.100.9"),
        (("10.9.9.9",), "10.9.9.9"),
        (("198.51.100.9, nonsense",), "10.0.0.1"),
        (("nonsense, 10.2.2.2",), "10.2.2.2"),
        (("",), "10.0.0.1"),
        ((), "10.0.0.1"),
    ],
)
def test_the_last_address_that_is_no_proxy(forwarded: tuple[str, ...], client: str) -> None:
    """Of a proxy's list, the last address that is not itself a proxy is the client."""
    assert ClientAddresses(PROXIES).of(scope("10.0.0.1", *forwarded)) == client


def test_a_long_list_is_cut() -> None:
    """Only the end of a very long list is read."""
    assert (
        ClientAddresses(PROXIES).of(scope("10.0.0.1", "1.2.3.4," * 10_000 + "198.51.100.9"))
        == "198.51.100.9"
    )


def test_no_peer() -> None:
    """A call without an address, as of a Unix socket, has a bucket of its own."""
    assert ClientAddresses(PROXIES).of(scope(None)) == NO_ADDRESS
    assert bucket_of(NO_ADDRESS) == NO_ADDRESS


@pytest.mark.parametrize(
    ("address", "bucket"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:0:1:2:3:4:5", "2001:db8:0:1::/64"),
        ("2001:DB8:0:1::", "2001:db8:0:1::/64"),
        ("::1", "::/64"),
    ],
)
def test_buckets(address: str, bucket: str) -> None:
    """An IPv4 address has its own bucket; IPv6 is counted by /64."""
    assert bucket_of(address) == bucket
