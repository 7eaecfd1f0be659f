"""Where a relay is: which addresses are acceptable, and the origin that a device signs.

PROTOCOL §3: addresses are https, except loopback and, in development, named hosts. The audience
of a signed statement is the origin that was dialled: scheme and host in lower case, the default
port left out.
"""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final
from urllib.parse import SplitResult, urlsplit

from quorumkey.errors import ConfigurationError, ProtocolError
from quorumkey.protocol.origin import origin_of

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["RelayAddress"]

_SOCKET_SCHEMES: Final = {"http": "ws", "https": "wss"}


@dataclass(frozen=True, slots=True)
class RelayAddress:
    """A checked relay address.

    Attributes:
        base: the address without a slash at its end; paths of the API are appended to it.
        origin: ``scheme://host[:port]``, what a statement's ``audience`` is.
        loopback: whether it is this machine, which needs no https and no proxy.
    """

    base: str
    origin: str
    loopback: bool

    @staticmethod
    def parse(text: str, *, http_hosts: Collection[str] = ()) -> RelayAddress:
        """Check an address that a person or a setting gave.

        Args:
            text: the address, such as ``https://approvals.example.com``.
            http_hosts: host names that may be called without TLS, in development only.

        Raises:
            ConfigurationError: not an absolute http(s) address, plain http to another machine,
                or one with user information, query or fragment.
        """
        parts = _split(text)
        host = (parts.hostname or "").lower()
        if parts.scheme not in _SOCKET_SCHEMES or not host:
            raise ConfigurationError(
                "The relay's address must start with https:// and name a host."
            )
        if parts.username is not None or parts.query or parts.fragment or "\\" in text:
            raise ConfigurationError(
                "The relay's address must have no user information, query or fragment."
            )
        loopback = _is_loopback(host)
        if parts.scheme == "http" and not loopback and host not in http_hosts:
            raise ConfigurationError(
                f"The relay at {host} must be called over https; plain http is for this machine."
            )
        try:
            origin = origin_of(text)
        except ProtocolError as error:
            raise ConfigurationError(f"The relay's address is not usable: {error}") from None
        return RelayAddress(base=origin + parts.path.rstrip("/"), origin=origin, loopback=loopback)

    @property
    def socket(self) -> str:
        """The same address with the WebSocket's scheme."""
        scheme, rest = self.base.split(":", 1)
        return f"{_SOCKET_SCHEMES[scheme]}:{rest}"


def _split(text: str) -> SplitResult:
    try:
        return urlsplit(text)
    except ValueError:
        raise ConfigurationError("The relay's address is not a well-formed URL.") from None


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
