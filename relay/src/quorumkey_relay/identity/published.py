"""Fetching what identity providers publish: JSON over https, from addresses of the settings.

These addresses are the operator's own choice, and a company's identity provider often has a
private one. So the guard for addresses that others supply does not stand before them; redirects
are not followed all the same, and plain http is for this machine only.
"""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

from quorumkey_relay.config_conflicts import is_loopback
from quorumkey_relay.delivery.transport import TransportFailed
from quorumkey_relay.identity.cached import Unavailable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.delivery.transport import Answer

TIMEOUT_SECONDS: Final = 5.0
MAX_URL_CHARS: Final = 2_048

_PRINTABLE: Final = re.compile(r"[!-~]+")
_ACCEPT: Final = {"accept": "application/json"}


class Web(Protocol):
    """An HTTP client, such as `delivery.transport.HttpClient`; raises ``TransportFailed``."""

    async def get(self, url: str, *, headers: Mapping[str, str], timeout_seconds: float) -> Answer:
        """Ask for what is at an address."""
        ...

    async def post(
        self, url: str, *, headers: Mapping[str, str], body: bytes, timeout_seconds: float
    ) -> Answer:
        """Send a form."""
        ...


def is_trustworthy(url: str) -> bool:
    """Say whether an address may be called: https, or http at this machine; no fragment."""
    if len(url) > MAX_URL_CHARS or _PRINTABLE.fullmatch(url) is None or "#" in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


async def fetch(client: Web, url: str) -> bytes:
    """Return what is at an address; raises `Unavailable`."""
    try:
        answer = await client.get(url, headers=_ACCEPT, timeout_seconds=TIMEOUT_SECONDS)
    except TransportFailed as error:
        raise Unavailable(error.reason) from None
    if answer.status != HTTPStatus.OK:
        raise Unavailable(f"status_{answer.status}")
    return answer.body
