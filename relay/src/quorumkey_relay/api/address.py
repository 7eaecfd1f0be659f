"""Whose call this is, as an address, and the bucket it is counted in (PROTOCOL §11)."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from starlette.types import Scope

    from quorumkey_relay.option_kinds import Network

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

#: The bucket of callers without an address, such as those of a Unix socket.
NO_ADDRESS: Final = "local"

_IPV6_BUCKET_BITS: Final = 64
_CACHED_ADDRESSES: Final = 4_096
_MAX_FORWARDED_CHARS: Final = 2_000


class ClientAddresses:
    """Finds the address a call comes from; ``X-Forwarded-For`` counts from trusted proxies only."""

    def __init__(self, trusted_proxies: Iterable[Network]) -> None:
        """Trust these networks to say whom they forward for."""
        self._trusted = tuple(trusted_proxies)

    def of(self, scope: Scope) -> str:
        """Return the client's address as text."""
        peer = scope.get("client")
        if peer is None:
            return NO_ADDRESS
        address = str(peer[0])
        return self._forwarded_for(address, scope) if self._trusted else address

    def _forwarded_for(self, peer: str, scope: Scope) -> str:
        """Walk the proxies' list from the right to the first address that is not one of them."""
        client = peer
        if not self._is_trusted(client):
            return client
        values = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        listed = b",".join(values)[-_MAX_FORWARDED_CHARS:].decode("latin-1").split(",")
        for text in reversed(listed):
            address = _parsed(_without_port(text.strip()))
            if address is None:
                break
            client = str(address)
            if not self._is_trusted(client):
                break
        return client

    def _is_trusted(self, text: str) -> bool:
        address = _parsed(text)
        return address is not None and any(address in network for network in self._trusted)


@lru_cache(maxsize=_CACHED_ADDRESSES)
def bucket_of(address: str) -> str:
    """Return the key of the address's bucket: an IPv4 address, or an IPv6 /64."""
    parsed = _parsed(address)
    if not isinstance(parsed, ipaddress.IPv6Address):
        return address if parsed is None else str(parsed)
    return f"{ipaddress.IPv6Address(int(parsed) >> _IPV6_BUCKET_BITS << _IPV6_BUCKET_BITS)}/64"


def _parsed(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def _without_port(text: str) -> str:
    """Drop the port that some proxies add: ``192.0.2.1:8080`` or ``[2001:db8::1]:8080``."""
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.partition(":")[0] if text.count(":") == 1 else text
