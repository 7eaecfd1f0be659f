"""Google's token endpoint as far as service accounts use it (RFC 7523, section 2.1)."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import parse_qs

import jwt

from quorumkey_relay.standins.exchange import Reply, Request, json_reply

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from quorumkey_relay.standins.faults import Faults
    from quorumkey_relay.standins.ledger import Ledger

MESSAGING_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
CLOUD_PLATFORM_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
PATH: Final = "/token"
#: Google's own libraries write it whatever the account's ``token_uri`` says.
GOOGLE_AUDIENCE: Final = "https://oauth2.googleapis.com/token"
_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_FORM: Final = "application/x-www-form-urlencoded"
_MAX_LIFETIME_SECONDS: Final = 3_600
_MAX_AHEAD_SECONDS: Final = 60


class TokenEndpoint:
    """Hands out access tokens for assertions of the one service account, and knows them again."""

    def __init__(  # noqa: PLR0913 - what it knows, and what it shares with its stand-in
        self,
        *,
        key: RSAPublicKey,
        client_email: str,
        ledger: Ledger,
        faults: Faults,
        now: Callable[[], float],
        scope: str = MESSAGING_SCOPE,
    ) -> None:
        """Know the account, and the scope of its tokens; ``url`` is set once the port is known."""
        self.path = PATH
        self.url = ""
        self._key = key
        self._client_email = client_email
        self._ledger = ledger
        self._faults = faults
        self._now = now
        self._scope = scope
        self._good_until: dict[str, float] = {}

    def revoke(self) -> None:
        """Take back every access token."""
        self._good_until.clear()

    def is_good(self, token: str) -> bool:
        """Tell whether an access token was given out here and still holds."""
        return self._now() < self._good_until.get(token, 0.0)

    async def answer(self, request: Request) -> Reply:
        """Hand out an access token for a good assertion."""
        self._ledger.counters.token_requests += 1
        self._ledger.changed()
        await asyncio.sleep(self._faults.token_delay_seconds)
        if self._faults.token_status is not None:
            return json_reply(self._faults.token_status, {"error": "temporarily_unavailable"})
        if request.method != "POST" or request.headers.get("content-type") != _FORM:
            return _refused("invalid_request", f"Must be a POST of {_FORM}.")
        form = parse_qs(request.body.decode("latin-1"))
        if form.get("grant_type") != [_GRANT]:
            return _refused("unsupported_grant_type", f"grant_type must be {_GRANT}.")
        fault = self._fault_of(form.get("assertion", [""])[0])
        if fault is not None:
            return _refused("invalid_grant", fault)
        lifetime = self._faults.token_lifetime_seconds
        token = f"ya29.standin-{secrets.token_urlsafe(96)}"
        self._good_until[token] = self._now() + lifetime
        return json_reply(
            200,
            {"access_token": token, "expires_in": max(lifetime - 1, 0), "token_type": "Bearer"},
            is_trusted=True,
        )

    def _fault_of(self, assertion: str) -> str | None:
        """Return what is wrong with an assertion, or None.

        Rules: developers.google.com, "Using OAuth 2.0 for server to server applications".
        """
        try:
            claims = cast(
                "dict[str, object]",
                jwt.decode(  # pyright: ignore[reportUnknownMemberType] - PyJWT leaves a parameter open
                    assertion,
                    self._key,
                    algorithms=["RS256"],
                    audience=[self.url, GOOGLE_AUDIENCE],
                    issuer=self._client_email,
                    options={
                        "require": ["iss", "aud", "exp", "iat", "scope"],
                        "verify_exp": False,
                        "verify_iat": False,
                    },
                ),
            )
        except jwt.PyJWTError as error:
            return f"Invalid JWT: {error}"
        now = self._now()
        issued_at, expires = claims["iat"], claims["exp"]
        if not isinstance(issued_at, int) or not isinstance(expires, int):
            return "Invalid JWT: iat and exp must be whole numbers."
        is_current = issued_at - _MAX_AHEAD_SECONDS <= now < expires
        if not is_current or expires - issued_at > _MAX_LIFETIME_SECONDS:
            return "Invalid JWT: Token must be a short-lived token and in a reasonable timeframe."
        if self._scope not in str(claims["scope"]).split():
            return "Invalid scope."
        return None


def _refused(error: str, description: str) -> Reply:
    return json_reply(400, {"error": error, "error_description": description})
