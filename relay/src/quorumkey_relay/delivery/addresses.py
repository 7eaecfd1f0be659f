"""Push addresses, opened: the directory holds them sealed, the latest are kept open in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol import (
    ApnsAddress,
    FcmAddress,
    WebPushAddress,
    parse_push_address,
    strict_json,
)
from quorumkey_relay.identity.vault import VaultError

if TYPE_CHECKING:
    from quorumkey.protocol import PushAddress
    from quorumkey_relay.identity.vault import Vault

MAX_KEPT_ADDRESSES: Final = 20_000
# More than the longest endpoint and its keys.
MAX_ADDRESS_BYTES: Final = 16_384
# Channels that need to know where a device is; on the others it is known by its fingerprint.
ADDRESSED_CHANNELS: Final = frozenset(
    {ApnsAddress.channel, FcmAddress.channel, WebPushAddress.channel}
)


class Addresses:
    """Opens sealed addresses; one that is sealed again is another one."""

    def __init__(self, vault: Vault) -> None:
        """Open with ``vault``."""
        self._vault = vault
        self._kept: dict[bytes, PushAddress] = {}

    def open(self, sealed: bytes) -> PushAddress | None:
        """Return the address, or None for one that cannot be read with this directory's key."""
        kept = self._kept.get(sealed)
        if kept is not None:
            return kept
        try:
            address = parse_push_address(
                strict_json.loads(self._vault.open(sealed), max_bytes=MAX_ADDRESS_BYTES)
            )
        except (VaultError, ProtocolError):
            return None
        self._kept[sealed] = address
        if len(self._kept) > MAX_KEPT_ADDRESSES:
            del self._kept[next(iter(self._kept))]
        return address
