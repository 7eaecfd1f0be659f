"""Which IP addresses belong to the public internet: a table, and nothing that may change meaning.

The rows are those of the IANA special-purpose address registries
(https://www.iana.org/assignments/iana-ipv4-special-registry,
https://www.iana.org/assignments/iana-ipv6-special-registry) and of the multicast, site-local and
unallocated spaces around them, with the document that sets each aside. ``ipaddress.is_global``
is no base for a guard: what it says of an address has changed between releases of Python.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Address = IPv4Address | IPv6Address
AddressReason = Literal[
    "benchmark_address",
    "broadcast_address",
    "documentation_address",
    "link_local_address",
    "loopback_address",
    "metadata_address",
    "multicast_address",
    "private_address",
    "reserved_address",
    "shared_address",
    "tunnel_address",
    "unspecified_address",
]

#: Network, why it is refused, and where that is said. The first row that holds an address counts.
REFUSED_NETWORKS: Final[tuple[tuple[str, AddressReason, str], ...]] = (
    # What clouds serve a machine's own credentials from; the last one lies in public space.
    ("169.254.169.254/32", "metadata_address", "AWS, Azure, Google Cloud and others"),
    ("169.254.170.2/32", "metadata_address", "AWS ECS task credentials"),
    ("169.254.170.23/32", "metadata_address", "AWS EKS pod identity"),
    ("100.100.100.200/32", "metadata_address", "Alibaba Cloud"),
    ("192.0.0.192/32", "metadata_address", "Oracle Cloud, classic"),
    ("168.63.129.16/32", "metadata_address", "Azure WireServer"),
    ("fd00:ec2::254/128", "metadata_address", "AWS"),
    ("fd00:ec2::23/128", "metadata_address", "AWS EKS pod identity"),
    ("fd00:c1::a9fe:a9fe/128", "metadata_address", "Oracle Cloud"),
    ("fd00:42::42/128", "metadata_address", "Scaleway"),
    ("fd20:ce::254/128", "metadata_address", "Google Cloud"),
    # IPv4
    ("0.0.0.0/8", "unspecified_address", "RFC 791 section 3.2: this network"),
    ("10.0.0.0/8", "private_address", "RFC 1918"),
    ("100.64.0.0/10", "shared_address", "RFC 6598: behind carrier-grade NAT"),
    ("127.0.0.0/8", "loopback_address", "RFC 1122 section 3.2.1.3"),
    ("169.254.0.0/16", "link_local_address", "RFC 3927"),
    ("172.16.0.0/12", "private_address", "RFC 1918"),
    ("192.0.0.0/24", "reserved_address", "RFC 6890: IETF protocol assignments"),
    ("192.0.2.0/24", "documentation_address", "RFC 5737: TEST-NET-1"),
    ("192.31.196.0/24", "reserved_address", "RFC 7535: AS112"),
    ("192.52.193.0/24", "reserved_address", "RFC 7450: multicast tunnelling"),
    ("192.88.99.0/24", "tunnel_address", "RFC 7526: relays of 6to4"),
    ("192.168.0.0/16", "private_address", "RFC 1918"),
    ("192.175.48.0/24", "reserved_address", "RFC 7534: AS112"),
    ("198.18.0.0/15", "benchmark_address", "RFC 2544"),
    ("198.51.100.0/24", "documentation_address", "RFC 5737: TEST-NET-2"),
    ("203.0.113.0/24", "documentation_address", "RFC 5737: TEST-NET-3"),
    ("224.0.0.0/4", "multicast_address", "RFC 5771"),
    ("255.255.255.255/32", "broadcast_address", "RFC 919"),
    ("240.0.0.0/4", "reserved_address", "RFC 1112 section 4"),
    # IPv6; the forms of IPv4 addresses in `_EMBEDDED` are taken out before
    ("::/128", "unspecified_address", "RFC 4291 section 2.5.2"),
    ("::1/128", "loopback_address", "RFC 4291 section 2.5.3"),
    ("::/96", "tunnel_address", "RFC 4291 section 2.5.5.1: IPv4-compatible"),
    ("::ffff:0:0:0/96", "tunnel_address", "RFC 2765: IPv4-translated"),
    ("64:ff9b:1::/48", "private_address", "RFC 8215: local NAT64"),
    ("100::/64", "reserved_address", "RFC 6666: discard"),
    ("100:0:0:1::/64", "reserved_address", "RFC 9780: dummy prefix"),
    ("2001::/32", "tunnel_address", "RFC 4380: Teredo"),
    ("2001:2::/48", "benchmark_address", "RFC 5180"),
    ("2001:db8::/32", "documentation_address", "RFC 3849"),
    ("2001::/23", "reserved_address", "RFC 2928: IETF protocol assignments"),
    ("2002::/16", "tunnel_address", "RFC 3056: 6to4"),
    ("2620:4f:8000::/48", "reserved_address", "RFC 7534: AS112"),
    ("3ffe::/16", "reserved_address", "RFC 3701: 6bone"),
    ("3fff::/20", "documentation_address", "RFC 9637"),
    ("5f00::/16", "reserved_address", "RFC 9602: segment routing"),
    ("fc00::/7", "private_address", "RFC 4193: unique local"),
    ("fe80::/10", "link_local_address", "RFC 4291 section 2.5.6"),
    ("fec0::/10", "private_address", "RFC 3879: site-local"),
    ("ff00::/8", "multicast_address", "RFC 4291 section 2.7"),
    # RFC 4291 section 2.4: global unicast addresses are given out of 2000::/3 alone.
    ("::/3", "reserved_address", "RFC 4291 section 2.4"),
    ("4000::/2", "reserved_address", "RFC 4291 section 2.4"),
    ("8000::/1", "reserved_address", "RFC 4291 section 2.4"),
)

#: IPv6 networks whose last 32 bits are the IPv4 address that is really reached.
_EMBEDDED: Final = (
    IPv6Network("::ffff:0:0/96"),  # RFC 4291 section 2.5.5.2: IPv4-mapped
    IPv6Network("64:ff9b::/96"),  # RFC 6052: NAT64, which is how IPv6-only networks reach IPv4
)
# RFC 5214 section 6.1: an ISATAP address ends in 0000:5efe or 0200:5efe and an IPv4 address.
_ISATAP: Final = 0x0000_5EFE
_ISATAP_MASK: Final = 0xFDFF_FFFF
_IPV4_MASK: Final = 0xFFFF_FFFF


_Row = tuple[IPv4Network | IPv6Network, AddressReason]
_TABLE: Final[tuple[_Row, ...]] = tuple(
    (ip_network(network), reason) for network, reason, _ in REFUSED_NETWORKS
)
_FOUR: Final = tuple(row for row in _TABLE if isinstance(row[0], IPv4Network))
_SIX: Final = tuple(row for row in _TABLE if isinstance(row[0], IPv6Network))


def refusal_of(address: Address) -> AddressReason | None:
    """Say why an address must not be called; None for one of the public internet.

    An IPv6 address that stands for an IPv4 address is judged as that one.
    """
    if isinstance(address, IPv4Address):
        return _first(_FOUR, address)
    bits = int(address)
    embedded = IPv4Address(bits & _IPV4_MASK)
    if any(address in network for network in _EMBEDDED):
        return refusal_of(embedded)
    reason = _first(_SIX, address)
    if reason is None and (bits >> 32) & _ISATAP_MASK == _ISATAP:
        return refusal_of(embedded)
    return reason


def _first(rows: Sequence[_Row], address: Address) -> AddressReason | None:
    for network, reason in rows:
        if address in network:
            return reason
    return None
