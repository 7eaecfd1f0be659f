"""Origins: the ``audience`` of a statement (protocol section 3).

``https://host[:port]``, lower case, the default port omitted; for a socket the matching http(s)
form. Whether plain http is accepted is for the caller to say.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from quorumkey.protocol._members import refuse
from quorumkey.protocol.limits import MAX_ORIGIN_CHARS, MAX_PORT

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["check_origin", "origin_of"]

_HOST: Final = r"[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?|\[[0-9a-f:.]+\]"
_ORIGIN: Final = re.compile(rf"(https?)://(?:{_HOST})(?::([1-9][0-9]{{0,4}}))?", re.ASCII)
_ADDRESS: Final = re.compile(
    rf"(https?|wss?)://({_HOST})(?::([0-9]{{1,5}}))?(?:[/?#].*)?",
    re.ASCII | re.IGNORECASE | re.DOTALL,
)
_SCHEMES: Final[Mapping[str, str]] = MappingProxyType(
    {"https": "https", "http": "http", "wss": "https", "ws": "http"}
)
_DEFAULT_PORTS: Final[Mapping[str, int]] = MappingProxyType({"https": 443, "http": 80})


def check_origin(value: object, *, field: str) -> str:
    """Check that `value` is an origin in its one spelling; answers it.

    Raises:
        ProtocolError: ``invalid_request``.
    """
    match = _ORIGIN.fullmatch(value) if type(value) is str else None
    if match is not None and len(match[0]) <= MAX_ORIGIN_CHARS:
        port = match[2]
        if port is None or (int(port) <= MAX_PORT and int(port) != _DEFAULT_PORTS[match[1]]):
            return match[0]
    message = f"{field} must be an origin like https://relay.example.com, in lower case."
    raise refuse(message)


def origin_of(url: str) -> str:
    """The origin of an http(s) or ws(s) address, as it goes into ``audience``.

    Raises:
        ProtocolError: ``invalid_request``; not such an address, or one with user information.
    """
    match = _ADDRESS.fullmatch(url)
    if match is None:
        message = "The address must be an http(s) or ws(s) URL without user information."
        raise refuse(message)
    scheme = _SCHEMES[match[1].lower()]
    port = match[3]
    suffix = "" if port is None or int(port) == _DEFAULT_PORTS[scheme] else f":{int(port)}"
    return check_origin(f"{scheme}://{match[2].lower()}{suffix}", field="The address")
