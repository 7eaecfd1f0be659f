"""Origins: the ``audience`` of a statement (protocol section 3).

``https://host[:port]``, lower case, the default port omitted; for a socket the matching http(s)
form. Whether plain http is accepted is for the caller to say.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from quorumkey.protocol._members import refuse
from quorumkey.protocol.limits import MAX_ORIGIN_CHARS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_origin", "origin_of"]

_ORIGIN: Final = re.compile(
    r"(https?)://(?:[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\])(?::([1-9][0-9]{0,4}))?",
    re.ASCII,
)
_SCHEMES: Final[Mapping[str, str]] = MappingProxyType(
    {"https": "https", "http": "http", "wss": "https", "ws": "http"}
)
_DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"https": 443, "http": 80})
_MAX_PORT: Final = 65_535


def check_origin(value: object, *, field: str) -> str:
    """Check that `value` is an origin in its one spelling; answers it.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    if type(value) is str and len(value) <= MAX_ORIGIN_CHARS:
        match = _ORIGIN.fullmatch(value)
        if match is not None:
            port = match[2]
            if port is None or (int(port) <= _MAX_PORT and int(port) != _DEFAULT_PORTS[match[1]]):
                return value
    message = f"{field} must be an origin like https://relay.example.com, in lower case."
    raise refuse(message)


def origin_of(url: str) -> str:
    """The origin of an http(s) or ws(s) address, as it goes into ``audience``.

    Raises:
        ProtocolError: ``invalid_request``; not such an address, or one with user information.
    """
    message = "The address must be an http(s) or ws(s) URL without user information."
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        raise refuse(message) from None
    scheme = _SCHEMES.get(parts.scheme)
    if scheme is None or not host or "@" in parts.netloc:
        raise refuse(message)
    name = f"[{host}]" if ":" in host else host
    suffix = "" if port is None or port == _DEFAULT_PORTS[scheme] else f":{port}"
    return check_origin(f"{scheme}://{name}{suffix}", field="The address")
