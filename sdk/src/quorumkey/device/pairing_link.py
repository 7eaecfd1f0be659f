"""Pairing links and typed codes: where the relay is, and what is known of it beforehand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from quorumkey.client.address import RelayAddress
from quorumkey.errors import ConfigurationError, ProtocolError
from quorumkey.protocol.encoding import b64url_decode
from quorumkey.protocol.keys import check_fingerprint
from quorumkey.protocol.limits import PAIRING_SECRET_BYTES
from quorumkey.protocol.pairing import normalise_pairing_code

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = ["PairingLink"]

_PAGE: Final = "/app/pair"
_MAX_LINK_CHARS: Final = 2048


@dataclass(frozen=True, slots=True, kw_only=True)
class PairingLink:
    """What a person was given to pair a device.

    Attributes:
        address: the relay.
        code: the pairing code, 12 characters.
        relay: fingerprint of the relay's key; None with a typed code.
        secret: the integrator's 32 bytes that the relay does not know; None with a typed code.
    """

    address: RelayAddress
    code: str = field(repr=False)
    relay: str | None = None
    secret: bytes | None = field(default=None, repr=False)

    @staticmethod
    def parse(
        text: str, *, relay_url: str | None = None, http_hosts: Collection[str] = ()
    ) -> PairingLink:
        """Read a pairing link, or a typed code together with the relay's address.

        Args:
            text: ``<relay URL>/app/pair#code=…&relay=…&secret=…`` or ``XXXX-XXXX-XXXX``.
            relay_url: the relay's address; needed with a code, and with a link whose page is
                served by somebody else than the relay.
            http_hosts: see `RelayAddress.parse`.

        Raises:
            ConfigurationError: neither a link nor a code with an address.
        """
        if len(text) > _MAX_LINK_CHARS:
            raise ConfigurationError("The pairing link is too long.")
        try:
            if "://" in text:
                return _link(text.strip(), relay_url, http_hosts)
            code = normalise_pairing_code(text)
        except ProtocolError as error:
            raise ConfigurationError(f"The pairing link is not usable: {error}") from None
        if relay_url is None:
            raise ConfigurationError("A typed pairing code needs the relay's address: --relay URL.")
        return PairingLink(address=RelayAddress.parse(relay_url, http_hosts=http_hosts), code=code)


def _link(text: str, relay_url: str | None, http_hosts: Collection[str]) -> PairingLink:
    page, _, fragment = text.partition("#")
    members = dict(parse_qsl(fragment, keep_blank_values=True))
    if "code" not in members or "relay" not in members:
        raise ConfigurationError("The pairing link has no code or names no relay.")
    if relay_url is None:
        if not page.endswith(_PAGE):
            raise ConfigurationError(f"The pairing link must lead to {_PAGE} on the relay.")
        relay_url = page.removesuffix(_PAGE)
    secret = None
    if "secret" in members:
        secret = b64url_decode(members["secret"], field="secret", length=PAIRING_SECRET_BYTES)
    return PairingLink(
        address=RelayAddress.parse(relay_url, http_hosts=http_hosts),
        code=normalise_pairing_code(members["code"]),
        relay=check_fingerprint(members["relay"], field="relay"),
        secret=secret,
    )
