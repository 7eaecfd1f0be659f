"""Sessions of devices: opaque bearer tokens that only read and acknowledge (PROTOCOL §6).

They live in memory. After a restart a device opens a new one; nothing is lost with them.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from quorumkey.protocol import b64url_encode

if TYPE_CHECKING:
    from quorumkey_relay.mint import Mint

TOKEN_BYTES: Final = 32
SESSION_LIFETIME_SECONDS: Final = 900
MAX_SESSIONS: Final = 200_000
MAX_SESSIONS_PER_DEVICE: Final = 8


class Sessions:
    """Tokens by their SHA-256; a device has a few at most, the oldest gives way."""

    def __init__(self, mint: Mint) -> None:
        """Start with none."""
        self._mint = mint
        self._live: OrderedDict[bytes, tuple[str, int]] = OrderedDict()
        self._of_device: dict[str, list[bytes]] = {}

    def open(self, device: str, now: int) -> tuple[str, int]:
        """Return a new token for a device and when it expires."""
        token = b64url_encode(self._mint.random(TOKEN_BYTES))
        digest = hashlib.sha256(token.encode()).digest()
        self._live[digest] = (device, now + SESSION_LIFETIME_SECONDS)
        own = self._of_device.setdefault(device, [])
        own.append(digest)
        if len(own) > MAX_SESSIONS_PER_DEVICE:
            self._drop(own[0])
        self._make_room(now)
        return token, now + SESSION_LIFETIME_SECONDS

    def device(self, token: str, now: int) -> str | None:
        """Return whose token this is, or None when it is unknown or expired."""
        digest = hashlib.sha256(token.encode()).digest()
        found = self._live.get(digest)
        if found is None:
            return None
        device, expires_at = found
        if now >= expires_at:
            self._drop(digest)
            return None
        return device

    def close_all(self, device: str) -> None:
        """Void every session of a device."""
        for digest in list(self._of_device.get(device, ())):
            self._drop(digest)

    def _make_room(self, now: int) -> None:
        while self._live:
            digest, (_, expires_at) = next(iter(self._live.items()))
            if expires_at > now and len(self._live) <= MAX_SESSIONS:
                return
            self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        device, _ = self._live.pop(digest)
        own = self._of_device[device]
        own.remove(digest)
        if not own:
            del self._of_device[device]
