"""Who somebody is by a proxy that stands before the relay and signs whom it let in.

The header is a JWT, as Google's Identity-Aware Proxy sends it (cloud.google.com/iap/docs,
"Securing your app with signed headers"): ES256, ``iss``, ``aud``, ``exp``, ``iat``, ``email`` and,
where they are known, ``google.device_id`` and ``google.access_levels``. The headers beside it that
bear no signature are never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_relay.identity.email_address import email_address
from quorumkey_relay.identity.jwks_feed import JwksFeed
from quorumkey_relay.identity.signed_tokens import SignedToken, TokenRefused
from quorumkey_relay.identity.token_claims import audiences_of, check_issuer, check_times
from quorumkey_relay.usecases.jit.ports import Person

if TYPE_CHECKING:
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.published import Web
    from quorumkey_relay.identity.signed_tokens import Claim
    from quorumkey_relay.jit_settings import ProxySettings

#: Google: allow 30 seconds for a clock that is ahead.
AHEAD_SECONDS: Final = 30
MAX_DEVICE_ID_CHARS: Final = 256
MAX_ACCESS_LEVELS: Final = 50


class ProxyIdentity:
    """Judges the header that one proxy signs for one audience."""

    def __init__(self, settings: ProxySettings, client: Web, clock: Clock) -> None:
        """Use the keys at the address of the settings."""
        self._settings = settings
        self._feed = JwksFeed(self._jwks_url, client, clock)

    async def person(self, text: str, *, now: int) -> Person:
        """Return whom the proxy let in.

        Raises `TokenRefused`, or `Unavailable` without the proxy's keys.
        """
        token = SignedToken.parse(text, algorithms=self._settings.algorithms)
        claims = token.claims(await self._feed.keys(token.kid))
        check_issuer(claims, self._settings.issuer)
        if audiences_of(claims) != (self._settings.audience,):
            raise TokenRefused("audience")
        if "iat" not in claims:
            raise TokenRefused("claims")
        check_times(claims, now, ahead_seconds=AHEAD_SECONDS)
        address = email_address(claims.get("email"))
        if address is None:
            raise TokenRefused("no_email")
        if claims.get("email_verified", True) is not True:
            raise TokenRefused("email_unverified")
        device_id, access_levels = _machine(claims.get("google"))
        return Person(email=address, device_id=device_id, access_levels=access_levels)

    async def _jwks_url(self) -> str:
        return self._settings.jwks_url


def _machine(said: Claim) -> tuple[str | None, tuple[str, ...]]:
    """Return what is said of the machine that somebody sits at; it is for the audit log alone."""
    if not isinstance(said, dict):
        return None, ()
    device, levels = said.get("device_id"), said.get("access_levels")
    device_id = device if isinstance(device, str) else None
    listed = levels if isinstance(levels, list) else []
    names = tuple(level for level in listed if isinstance(level, str))
    return device_id and device_id[:MAX_DEVICE_ID_CHARS], names[:MAX_ACCESS_LEVELS]
