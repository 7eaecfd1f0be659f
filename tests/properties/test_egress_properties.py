"""Whatever address or URL is tried: what is not public is not called."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyreqwest.http import Url

from quorumkey_relay.clock import SystemClock
from quorumkey_relay.delivery.egress import MAX_TRIED_ADDRESSES, Egress
from quorumkey_relay.delivery.egress_url import EgressRefused, read_url
from quorumkey_relay.delivery.public_addresses import REFUSED_NETWORKS, refusal_of
from quorumkey_relay.delivery.transport import HttpClient, TransportFailed, pinned_client

if TYPE_CHECKING:
    from collections.abc import Sequence

NETWORKS = [ip_network(text) for text, _, _ in REFUSED_NETWORKS]
FOUR = [network for network in NETWORKS if network.version == 4]
SIX = [network for network in NETWORKS if network.version == 6]

# Written down here once more, by hand, so that a row that is lost from the table is missed.
NEVER = [
    *("0.0.0.0", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200", "127.0.0.1"),  # noqa: S104 - an address to refuse
    *("127.255.255.254", "168.63.129.16", "169.254.1.1", "169.254.169.254", "172.16.0.1"),
    *("172.31.255.255", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.0.1"),
    *("198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1"),
    *("239.255.255.255", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::8.8.8.8", "::ffff:10.0.0.1", "::ffff:0:8.8.8.8", "64:ff9b::10.0.0.1"),
    *("64:ff9b:1::8.8.8.8", "100::1", "2001::1", "2001:db8::1", "2001:10::1", "2001:20::1"),
    *("2002:a00:1::", "2002:808:808::1", "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254"),
    *("fdff::1", "fe80::1", "fec0::1", "ff02::1", "4000::1", "8000::1", "1fff::1"),
    *("2606:4700::5efe:10.0.0.1", "2606:4700::200:5efe:127.0.0.1"),
]
ALWAYS = [
    *("1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.0", "100.63.255.255", "100.128.0.0"),
    *("126.255.255.255", "128.0.0.0", "169.253.255.255", "169.255.0.0", "172.15.255.255"),
    *("172.32.0.0", "192.0.1.0", "192.167.255.255", "192.169.0.0", "198.17.255.255"),
    *("198.20.0.0", "223.255.255.255"),
    *("2000::1", "2001:200::1", "2606:4700:4700::1111", "2a00:1450:4001:80f::200e"),
    *("::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2606:4700::5efe:8.8.8.8"),
]


def address(text: str) -> IPv4Address | IPv6Address:
    """An address by its text."""
    return IPv6Address(text) if ":" in text else IPv4Address(text)


def edges(network: object) -> list[int]:
    """The numbers at both edges of a network, and of its neighbours."""
    assert network in NETWORKS
    found = ip_network(str(network))
    first, last = int(found.network_address), int(found.broadcast_address)
    most = 2**found.max_prefixlen - 1
    return [max(0, first - 1), first, last, min(most, last + 1)]


FOUR_EDGES = [IPv4Address(number) for network in FOUR for number in edges(network)]
SIX_EDGES = [IPv6Address(number) for network in SIX for number in edges(network)]
FOURS = st.one_of(st.integers(0, 2**32 - 1).map(IPv4Address), st.sampled_from(FOUR_EDGES))
SIXES = st.one_of(
    st.integers(0, 2**128 - 1).map(IPv6Address),
    st.integers(0x2000 << 112, (0x4000 << 112) - 1).map(IPv6Address),
    st.sampled_from(SIX_EDGES),
)
REFUSED_FOURS = st.one_of(
    st.integers(10 << 24, (11 << 24) - 1).map(IPv4Address),
    st.sampled_from([one for one in FOUR_EDGES if refusal_of(one) is not None]),
)


@pytest.mark.parametrize("text", NEVER)
def test_addresses_that_are_never_called(text: str) -> None:
    """Each kind of address that is not of the public internet."""
    assert refusal_of(address(text)) is not None


@pytest.mark.parametrize("text", ALWAYS)
def test_addresses_that_are_called(text: str) -> None:
    """Public addresses, beside the networks that are refused too."""
    assert refusal_of(address(text)) is None


@given(FOURS)
def test_no_ipv4_address_passes_that_python_thinks_private(found: IPv4Address) -> None:
    """The table is no more generous than the standard library of any release."""
    if refusal_of(found) is None:
        assert found.is_global
        assert not found.is_multicast | found.is_reserved | found.is_loopback


@given(SIXES)
def test_no_ipv6_address_passes_that_python_thinks_private(found: IPv6Address) -> None:
    """The same for IPv6, but for what stands for an IPv4 address."""
    if refusal_of(found) is None and found.ipv4_mapped is None:
        assert found.is_global
        assert not (found.is_multicast | found.is_site_local | found.is_link_local)
        assert found.teredo is None
        assert found.sixtofour is None


@given(FOURS)
def test_an_embedded_address_is_judged_as_itself(found: IPv4Address) -> None:
    """IPv4-mapped, NAT64 and ISATAP forms are refused exactly where the IPv4 address is."""
    bits = int(found)
    expected = refusal_of(found)

    for prefix in (
        0xFFFF << 32,
        0x64FF9B << 96,
        0x26064700 << 96 | 0x5EFE << 32,
        0x26064700 << 96 | 0x2005EFE << 32,
    ):
        assert expected == refusal_of(IPv6Address(prefix | bits))


@given(FOURS)
def test_tunnels_are_refused_whatever_they_lead_to(found: IPv4Address) -> None:
    """6to4, Teredo and IPv4-compatible addresses are of no use to anybody who is reachable."""
    bits = int(found)

    for number in (
        0x2002 << 112 | bits << 80 | 1,
        0x20010000 << 96 | bits << 64,
        0x20010000 << 96 | bits ^ 0xFFFF_FFFF,
        bits,
    ):
        assert refusal_of(IPv6Address(number)) is not None


URL_ALPHABET = st.sampled_from(list("ah0x1279.:/?#@[]%\\ \t-_ü１。ef&=;"))
URLS = st.one_of(
    st.text(URL_ALPHABET, max_size=30).map("https://{}".format),
    st.text(URL_ALPHABET, max_size=30).map("https://example.com{}".format),
    st.tuples(
        st.lists(
            st.one_of(
                st.integers(0, 300).map(str),
                st.integers(0, 300).map(hex),
                st.integers(0, 300).map("0{:o}".format),
                st.sampled_from(["a", "xn--1-", "xn--a", "example", "com", ""]),
            ),
            min_size=1,
            max_size=5,
        ).map(".".join),
        st.sampled_from(["", ":443", ":80", ":8443", ":0", ":", "@b", "\\@b"]),
        st.sampled_from(["", "/", "/a?b", "#", "?"]),
    ).map("https://{0[0]}{0[1]}{0[2]}".format),
)


@given(URLS)
def test_a_url_that_is_read_has_one_meaning(url: str) -> None:
    """Ours, the client's and the standard library's parser find the same host in it."""
    try:
        target = read_url(url)
    except EgressRefused:
        return

    assert (target.host, target.port) == (
        urlsplit(url).hostname,
        urlsplit(url).port or 443,
    )
    assert target.host == Url(url).host_str == Url(target.url).host_str
    assert target == read_url(target.url)


@given(REFUSED_FOURS, st.data())
def test_no_spelling_of_a_refused_address_passes(found: IPv4Address, data: st.DataObject) -> None:
    """Decimal, octal, hexadecimal, short, dotted: refused as a spelling, or as the address."""
    parts = [str(byte) for byte in found.packed]
    spelt = [
        [text, hex(int(text)), f"0{int(text):o}", text.zfill(3), f"0X{int(text):X}"]
        for text in parts
    ]
    dotted = ".".join(data.draw(st.sampled_from(choices)) for choices in spelt)
    whole = int(found)
    host = data.draw(
        st.sampled_from(
            [
                dotted,
                f"{dotted}.",
                str(whole),
                hex(whole),
                f"0{whole:o}",
                f"{parts[0]}.{whole & 0xFFFFFF}",
                f"{parts[0]}.{parts[1]}.{whole & 0xFFFF}",
                f"[::ffff:{found}]",
                f"[::ffff:{whole >> 16:x}:{whole & 0xFFFF:x}]",
                f"[64:ff9b::{found}]",
                f"[::{found}]",
            ]
        )
    )

    try:
        target = read_url(f"https://{host}/")
    except EgressRefused:
        return
    assert target.literal is not None
    assert refusal_of(target.literal) is not None


PUBLIC = st.one_of(
    st.integers(1 << 24, (10 << 24) - 1).map(IPv4Address),
    st.integers(0x2400 << 112, (0x2402 << 112) - 1).map(IPv6Address),
    st.sampled_from([one for one in FOUR_EDGES if refusal_of(one) is None]),
    st.sampled_from([one for one in SIX_EDGES if refusal_of(one) is None]),
)
REFUSED = st.one_of(
    REFUSED_FOURS,
    st.integers(0x4000 << 112, 2**128 - 1).map(IPv6Address),
    st.sampled_from([one for one in SIX_EDGES if refusal_of(one) is not None]),
)


def called(found: Sequence[str]) -> list[str]:
    """The addresses that clients are made for, where a name leads to ``found``."""
    made: list[str] = []

    def connect(*, host: str, address: str, roots: bytes | None) -> HttpClient:
        made.append(address)
        # Nobody listens there: the next address is tried.
        return pinned_client(host=host, address="127.0.0.2", roots=roots)

    async def resolve(_: str) -> Sequence[str]:
        return found

    async def call() -> None:
        egress = Egress(clock=SystemClock(), resolve=resolve, connect=connect)
        with suppress(EgressRefused, TransportFailed):
            await egress.post(
                "https://hooks.example:1024/", headers={}, body=b"", timeout_seconds=10
            )
        await egress.close()

    asyncio.run(call())
    return made


@settings(max_examples=25)
@given(st.lists(PUBLIC, max_size=3), REFUSED, st.lists(PUBLIC, max_size=3))
def test_one_refused_address_among_others_is_enough(
    before: list[IPv4Address | IPv6Address],
    refused: IPv4Address | IPv6Address,
    after: list[IPv4Address | IPv6Address],
) -> None:
    """Wherever it stands among a name's addresses, none of them is called."""
    assert [] == called([str(one) for one in (*before, refused, *after)])


@settings(max_examples=10)
@given(st.lists(PUBLIC, min_size=1, max_size=5, unique=True))
def test_public_addresses_are_called_in_order(found: list[IPv4Address | IPv6Address]) -> None:
    """Nothing but what the resolver answered, as it answered it."""
    assert [str(one) for one in found[:MAX_TRIED_ADDRESSES]] == called([str(one) for one in found])
