"""Who somebody is by OpenID Connect: ID tokens of one issuer (OpenID Connect Core 1.0).

An ID token is verified as section 3.1.3.7 says: signature by a key that the issuer publishes,
``iss``, ``aud``, ``azp``, ``exp``, ``iat`` and, after a sign-in, ``nonce``. Then it must carry an
e-mail address that the issuer has verified, for the address is who somebody is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from hmac import compare_digest
from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey_relay.identity.cached import Cached, Unavailable
from quorumkey_relay.identity.email_address import email_address
from quorumkey_relay.identity.jwks_feed import JwksFeed
from quorumkey_relay.identity.published import fetch, is_trustworthy
from quorumkey_relay.identity.signed_tokens import SignedToken, TokenRefused
from quorumkey_relay.identity.token_claims import audiences_of, check_issuer, check_times
from quorumkey_relay.usecases.jit.ports import Person

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.published import Web
    from quorumkey_relay.identity.signed_tokens import Claim
    from quorumkey_relay.jit_settings import OidcSettings

#: How far the clock of an issuer may be ahead of this machine's.
AHEAD_SECONDS: Final = 60
#: The claim whose address the issuer itself vouches for, by ``email_verified`` (section 5.1).
STANDARD_CLAIM: Final = "email"

_DISCOVERY: Final = "/.well-known/openid-configuration"


class _Document(msgspec.Struct, frozen=True):
    """What is read of a provider's configuration (OpenID Connect Discovery 1.0, section 3)."""

    issuer: str
    jwks_uri: str
    authorization_endpoint: str | None = None
    token_endpoint: str | None = None
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Where a provider is asked for codes and tokens, and how a client shows itself."""

    authorization: str
    token: str
    takes_basic: bool


class Provider:
    """The configuration that an issuer publishes."""

    def __init__(self, settings: OidcSettings, client: Web, clock: Clock) -> None:
        """Fetch nothing yet."""
        self._settings = settings
        self._client = client
        self._cached = Cached("configuration", self._load, clock)

    async def jwks_url(self) -> str:
        """Return where the keys are; raises `Unavailable`."""
        return self._settings.jwks_url or (await self._cached.get()).jwks_uri

    async def endpoints(self) -> Endpoints:
        """Return what a sign-in needs; raises `Unavailable`."""
        known = await self._cached.get()
        authorization, token = known.authorization_endpoint, known.token_endpoint
        if authorization is None or token is None:
            raise Unavailable("no_endpoints")
        if not (is_trustworthy(authorization) and is_trustworthy(token)):
            raise Unavailable("address")
        methods = known.token_endpoint_auth_methods_supported
        return Endpoints(authorization, token, "client_secret_basic" in methods)

    async def _load(self) -> _Document:
        issuer = self._settings.issuer
        text = await fetch(self._client, issuer.removesuffix("/") + _DISCOVERY)
        try:
            document = msgspec.json.decode(text, type=_Document)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Unavailable("malformed") from None
        if document.issuer != issuer:
            raise Unavailable("issuer")
        return document


class OidcIdentity:
    """Judges the ID tokens of one issuer."""

    def __init__(
        self, settings: OidcSettings, provider: Provider, client: Web, clock: Clock
    ) -> None:
        """Use the keys that the provider publishes."""
        self._settings = settings
        self._feed = JwksFeed(provider.jwks_url, client, clock)
        self._audiences = frozenset(settings.audiences)

    async def bearer(self, text: str, *, now: int) -> Person:
        """Return who brings an ID token for one of the audiences.

        Raises `TokenRefused`, or `Unavailable` without the issuer's keys.
        """
        return self._person(await self._claims(text, self._audiences, now))

    async def signed_in(self, text: str, *, client_id: str, nonce: str, now: int) -> Person:
        """Return who has signed in: the ID token is this client's and answers this sign-in.

        Raises as ``bearer``.
        """
        claims = await self._claims(text, frozenset({client_id}), now)
        given = claims.get("nonce")
        if not isinstance(given, str) or not compare_digest(given.encode(), nonce.encode()):
            raise TokenRefused("nonce")
        return self._person(claims)

    async def _claims(self, text: str, audiences: frozenset[str], now: int) -> Mapping[str, Claim]:
        token = SignedToken.parse(text, algorithms=self._settings.algorithms)
        claims = token.claims(await self._feed.keys(token.kid))
        check_issuer(claims, self._settings.issuer)
        _check_audience(claims, audiences)
        if "iat" not in claims:
            raise TokenRefused("claims")
        check_times(claims, now, ahead_seconds=AHEAD_SECONDS)
        return claims

    def _person(self, claims: Mapping[str, Claim]) -> Person:
        name = self._settings.email_claim
        address = email_address(claims.get(name))
        if address is None:
            raise TokenRefused("no_email")
        # Another claim has no flag of its own: who names it in the settings vouches for it.
        is_unverified = claims.get("email_verified", name != STANDARD_CLAIM) is not True
        if is_unverified:
            raise TokenRefused("email_unverified")
        return Person(email=address)


def _check_audience(claims: Mapping[str, Claim], audiences: frozenset[str]) -> None:
    """Refuse a token that is not for these alone (3.1.3.7, points 3 to 5)."""
    named = audiences_of(claims)
    if not audiences.issuperset(named):
        raise TokenRefused("audience")
    party = claims.get("azp", named[0] if len(named) == 1 else None)
    if not isinstance(party, str) or party not in audiences:
        raise TokenRefused("authorized_party")
