"""Reading a URL that somebody else supplied, once, so that no two readers can differ about it.

Only one spelling of each host is read: what parsers disagree about (white space, backslashes,
percent-signs in hosts, octal, hexadecimal and short IPv4 addresses, a dot at the end, zones of
IPv6, letters beyond ASCII) is refused. What is called is a URL that is built here from the parts
that were judged, and only if the client's own parser finds the same host in it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final

from pyreqwest.http import Url

if TYPE_CHECKING:
    from quorumkey_relay.delivery.public_addresses import Address

MAX_URL_CHARS: Final = 2_048
MAX_HOST_CHARS: Final = 253
MAX_PORT: Final = 65_535
HTTPS_PORT: Final = 443
HTTP_PORT: Final = 80
#: Beside 443; those below belong to services that do not speak HTTPS.
LEAST_OTHER_PORT: Final = 1_024
_CACHED_URLS: Final = 4_096

# RFC 3986 appendix B, with the characters that appendix A allows in each part.
_URL: Final = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)"
    r"(?P<path>(?:/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?)"
    r"(?P<query>(?:\?(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*)?)",
    re.ASCII,
)
_AUTHORITY: Final = re.compile(
    r"(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[1-9][0-9]{0,4}))?", re.ASCII
)
_LABEL: Final = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
# A last label that begins with a digit would make some parsers read an IPv4 address.
_NAME: Final = re.compile(rf"(?:{_LABEL}\.)*[a-z](?:[a-z0-9-]{{0,61}}[a-z0-9])?", re.ASCII)


class EgressRefused(Exception):  # noqa: N818 - says what has happened, as the port names it
    """A URL, or an address that it leads to, must not be called; ``reason`` is a word for logs."""

    def __init__(self, reason: str) -> None:
        """Keep the reason; nothing of the URL, which may hold secrets."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Target:
    """A URL that was read: ``url`` is built anew, and is a secret of whoever supplied it.

    ``host`` is a lower-case name or a canonical IP address without brackets; in the latter case
    ``literal`` is that address.
    """

    host: str
    port: int
    literal: Address | None
    url: str

    def __repr__(self) -> str:
        """Leave out path and query."""
        return f"Target({self.host!r}, {self.port})"


@lru_cache(maxsize=_CACHED_URLS)
def read_url(url: str, unsafe_hosts: frozenset[str] = frozenset()) -> Target:
    """Read a URL by the rules above.

    Args:
        url: https, without user information or fragment, on port 443 or one from 1,024 up.
        unsafe_hosts: hosts that may be http too, on any port (development).

    Raises:
        EgressRefused: ``malformed_url``, ``not_https``, ``user_information``, ``fragment``,
            ``malformed_host`` or ``refused_port``.
    """
    if len(url) > MAX_URL_CHARS or not url.isascii():
        raise EgressRefused("malformed_url")
    scheme, authority, rest = _parts(url)
    found = _AUTHORITY.fullmatch(authority)
    if found is None:
        raise EgressRefused("malformed_host")
    host, literal = _host(found["host"])
    is_unsafe = host in unsafe_hosts
    if scheme != "https" and not (scheme == "http" and is_unsafe):
        raise EgressRefused("not_https")
    default = HTTPS_PORT if scheme == "https" else HTTP_PORT
    port = default if found["port"] is None else int(found["port"])
    if port > MAX_PORT or not (is_unsafe or port == HTTPS_PORT or port >= LEAST_OTHER_PORT):
        raise EgressRefused("refused_port")
    bracketed = f"[{host}]" if isinstance(literal, IPv6Address) else host
    built = f"{scheme}://{bracketed}{'' if port == default else f':{port}'}{rest}"
    _check_same_host(built, bracketed, port)
    return Target(host, port, literal, built)


def host_of(url: str) -> str:
    """Return the host of a URL for a log line, whether or not it may be called; nothing else."""
    try:
        _, authority, _ = _parts(url)
    except EgressRefused:
        return "unknown"
    found = _AUTHORITY.fullmatch(authority)
    return "unknown" if found is None else found["host"].strip("[]")


def _parts(url: str) -> tuple[str, str, str]:
    """Return scheme, authority (both lower-case), and path with query."""
    found = _URL.fullmatch(url)
    if found is None:
        whole, hash_sign, _ = url.partition("#")
        is_else_fine = hash_sign and _URL.fullmatch(whole) is not None
        raise EgressRefused("fragment" if is_else_fine else "malformed_url")
    if "@" in found["authority"]:
        raise EgressRefused("user_information")
    return (
        found["scheme"].lower(),
        found["authority"].lower(),
        (found["path"] or "/") + found["query"],
    )


def _host(text: str) -> tuple[str, Address | None]:
    literal: Address
    try:
        if text.startswith("["):
            literal = IPv6Address(text[1:-1])
            return str(literal), literal
        literal = IPv4Address(text)
    except AddressValueError:
        if len(text) > MAX_HOST_CHARS or _NAME.fullmatch(text) is None:
            raise EgressRefused("malformed_host") from None
        return text, None
    return str(literal), literal


def _check_same_host(url: str, host: str, port: int) -> None:
    """Refuse what the client's parser reads otherwise, as it might a punycode label."""
    try:
        read = Url(url)
    except ValueError:
        raise EgressRefused("malformed_host") from None
    # Both are numbers and letters in one spelling, but for IPv6: there the parser has its own.
    found = read.host_str or ""
    if found.startswith("["):
        found = f"[{IPv6Address(found[1:-1])}]"
    if (found, read.port_or_known_default) != (host, port) or read.username or read.password:
        raise EgressRefused("malformed_host")
