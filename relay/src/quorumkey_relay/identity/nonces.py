"""Nonces for self-authenticating envelopes: spent at first presentation (PROTOCOL §3, §4)."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from quorumkey_relay.mint import Mint

NONCE_BYTES: Final = 32
NONCE_LIFETIME_SECONDS: Final = 300
BUSY_RETRY_SECONDS: Final = 5

NONCE_EXPIRED = Refusal(
    "nonce_expired", "This nonce is unknown, used or expired; fetch a new one and sign again."
)
TOO_MANY_NONCES = Refusal(
    "store_unavailable",
    "Too many nonces are waiting to be used; try again in a few seconds.",
    retry_after=BUSY_RETRY_SECONDS,
)


class Nonces:
    """Live nonces in memory, bounded; a restart makes all of them unknown."""

    def __init__(self, mint: Mint, *, limit: int) -> None:
        """Hold at most ``limit`` live nonces."""
        self._mint = mint
        self._limit = limit
        self._live: OrderedDict[bytes, int] = OrderedDict()

    def issue(self, now: int) -> tuple[bytes, int] | Refusal:
        """Return a new nonce and when it expires, or a refusal when too many are live."""
        while self._live:
            oldest, expires_at = next(iter(self._live.items()))
            if expires_at > now:
                break
            del self._live[oldest]
        if len(self._live) >= self._limit:
            return TOO_MANY_NONCES
        nonce = self._mint.random(NONCE_BYTES)
        self._live[nonce] = now + NONCE_LIFETIME_SECONDS
        return nonce, now + NONCE_LIFETIME_SECONDS

    def spend(self, nonce: bytes, now: int) -> bool:
        """Say whether the nonce was good; whatever the answer, it is not good again."""
        expires_at = self._live.pop(nonce, None)
        return expires_at is not None and now < expires_at
