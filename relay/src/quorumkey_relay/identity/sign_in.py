"""Signing in with a browser: OpenID Connect's authorization code flow with PKCE (RFC 7636).

The state of a sign-in that is under way travels in a cookie of the browser that began it, under a
key that lives as long as this process. So an answer of the provider counts only there, once, and
for ten minutes, and whoever begins sign-ins fills no memory of the relay.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from base64 import b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote_plus, urlencode

import msgspec

from quorumkey.protocol import b64url_encode
from quorumkey_relay.delivery.transport import TransportFailed
from quorumkey_relay.identity.browser_sessions import SESSION_SECONDS, BrowserSessions
from quorumkey_relay.identity.cached import Unavailable
from quorumkey_relay.identity.cookies import Cookie
from quorumkey_relay.identity.published import TIMEOUT_SECONDS
from quorumkey_relay.identity.signed_tokens import TokenRefused
from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.oidc import Endpoints, OidcIdentity, Provider
    from quorumkey_relay.identity.published import Web
    from quorumkey_relay.mint import Mint

CALLBACK_PATH: Final = "/jit/callback"
HOME: Final = "/jit/"
#: How long somebody may take to sign in at the provider.
SIGN_IN_SECONDS: Final = 600
MAX_RETURN_CHARS: Final = 3_000  # a cookie has 4,096 at most

_STATE_BYTES: Final = 32
_CODE: Final = re.compile(r"[ -~]{1,4096}")  # RFC 6749, appendix A.11
_RETURN_TO: Final = re.compile(r"/jit/(?:\?[A-Za-z0-9._~%=&:@/+-]*)?")
_AGAIN: Final = "Please sign in again."
_UNAVAILABLE: Final = "The identity provider does not answer as it should; try again later."


@dataclass(frozen=True, slots=True)
class SignInAnswer:
    """What a browser gets: an address to go to, or a sentence to show, and its cookies.

    ``cookies`` are whole values of ``Set-Cookie``.
    """

    status: int
    location: str | None = None
    cookies: tuple[str, ...] = ()
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInClient:
    """Who the relay is to the provider; without a secret it is a public client."""

    issuer: str
    client_id: str
    client_secret: str | None = field(repr=False)
    public_url: str

    @property
    def redirect_uri(self) -> str:
        """Return where the provider sends browsers back to."""
        return self.public_url + CALLBACK_PATH

    def token_request(
        self, code: str, verifier: str, *, takes_basic: bool
    ) -> tuple[dict[str, str], bytes]:
        """Return headers and form that redeem a code (RFC 6749, sections 2.3.1 and 4.1.3)."""
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
        }
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self.redirect_uri,
            "client_id": self.client_id,
            "code_verifier": verifier,
        }
        if self.client_secret is not None and takes_basic:
            pair = f"{quote_plus(self.client_id)}:{quote_plus(self.client_secret)}"
            headers["authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        elif self.client_secret is not None:
            form["client_secret"] = self.client_secret
        return headers, urlencode(form).encode()


class _Granted(msgspec.Struct, frozen=True):
    id_token: str


@dataclass(frozen=True, slots=True)
class _Begun:
    """A sign-in that a browser has begun."""

    state: str
    return_to: str


class SignIn:
    """Leads browsers to the provider and back, and gives them a session."""

    def __init__(  # noqa: PLR0913 - the parts that it is made of
        self,
        client: SignInClient,
        *,
        provider: Provider,
        identity: OidcIdentity,
        sessions: BrowserSessions,
        session_cookie: Cookie,
        web: Web,
        clock: Clock,
        mint: Mint,
    ) -> None:
        """Start with a new key: what browsers hold of an earlier process counts no more."""
        self._client = client
        self._provider = provider
        self._identity = identity
        self._sessions = sessions
        self._session_cookie = session_cookie
        self._cookie = Cookie("quorumkey-jit-sign-in", session_cookie.is_secure)
        self._web = web
        self._clock = clock
        self._mint = mint
        self._key = mint.random(_STATE_BYTES)

    async def begin(
        self, *, query: Mapping[str, str], headers: Mapping[bytes, bytes]
    ) -> SignInAnswer:
        """Send a browser to the provider; ``return_to`` is the page that it wants to see then."""
        del headers
        try:
            endpoints = await self._provider.endpoints()
        except Unavailable:
            return SignInAnswer(HTTPStatus.BAD_GATEWAY, message=_UNAVAILABLE)
        state = b64url_encode(self._mint.random(_STATE_BYTES))
        challenge = hashlib.sha256(self._verifier(state).encode()).digest()
        asked = urlencode(
            {
                "response_type": "code",
                "client_id": self._client.client_id,
                "redirect_uri": self._client.redirect_uri,
                "scope": "openid email",
                "state": state,
                "nonce": self._nonce(state),
                "code_challenge": b64url_encode(challenge),
                "code_challenge_method": "S256",
            }
        )
        joint = "&" if "?" in endpoints.authorization else "?"
        begun = self._sealed(state, query.get("return_to", HOME))
        return SignInAnswer(
            HTTPStatus.SEE_OTHER,
            f"{endpoints.authorization}{joint}{asked}",
            (self._cookie.given(begun, seconds=SIGN_IN_SECONDS),),
        )

    async def callback(
        self, *, query: Mapping[str, str], headers: Mapping[bytes, bytes]
    ) -> SignInAnswer:
        """Take what the provider sends a browser back with, and open a session."""
        begun = self._begun(headers)
        state, code = query.get("state", ""), query.get("code", "")
        if begun is None or not hmac.compare_digest(begun.state.encode(), state.encode()):
            message = f"This sign-in was not begun in this browser, or too long ago. {_AGAIN}"
            return self._failed(message)
        is_issuer = query.get("iss", self._client.issuer) == self._client.issuer  # RFC 9207
        if not is_issuer or _CODE.fullmatch(code) is None:
            return self._failed(f"The identity provider has not signed you in. {_AGAIN}")
        now = self._clock.now()
        try:
            endpoints = await self._provider.endpoints()
            token = await self._redeemed(endpoints, code, self._verifier(begun.state))
            person = await self._identity.signed_in(
                token, client_id=self._client.client_id, nonce=self._nonce(begun.state), now=now
            )
        except Unavailable as error:
            logs.get().warning("sign_in_failed", reason=error.reason)
            return self._failed(_UNAVAILABLE, HTTPStatus.BAD_GATEWAY)
        except TokenRefused as error:
            logs.get().info("sign_in_failed", reason=error.reason)
            return self._failed(
                f"What the identity provider says of you cannot be used here. {_AGAIN}"
            )
        self._close_session(headers)  # the browser forgets it, so nobody else may remember it
        session = self._sessions.open(person, now)
        cookies = (
            self._session_cookie.given(session, seconds=SESSION_SECONDS),
            self._cookie.taken(),
        )
        return SignInAnswer(HTTPStatus.SEE_OTHER, begun.return_to, cookies)

    async def sign_out(self, *, headers: Mapping[bytes, bytes]) -> SignInAnswer:
        """End the session of a browser; the provider's own goes on."""
        self._close_session(headers)
        return SignInAnswer(
            HTTPStatus.OK, None, (self._session_cookie.taken(),), "You are signed out."
        )

    def _close_session(self, headers: Mapping[bytes, bytes]) -> None:
        token = self._session_cookie.read(headers)
        if token is not None:
            self._sessions.close(token)

    def _failed(self, message: str, status: int = HTTPStatus.BAD_REQUEST) -> SignInAnswer:
        return SignInAnswer(status, None, (self._cookie.taken(),), message)

    async def _redeemed(self, endpoints: Endpoints, code: str, verifier: str) -> str:
        """Return the ID token that a code stands for; raises `Unavailable` or `TokenRefused`."""
        headers, form = self._client.token_request(
            code, verifier, takes_basic=endpoints.takes_basic
        )
        try:
            answer = await self._web.post(
                endpoints.token, headers=headers, body=form, timeout_seconds=TIMEOUT_SECONDS
            )
        except TransportFailed as error:
            raise Unavailable(error.reason) from None
        if answer.status == HTTPStatus.BAD_REQUEST:  # RFC 6749, section 5.2: as for a used code
            raise TokenRefused("code")
        if answer.status != HTTPStatus.OK:
            raise Unavailable(f"status_{answer.status}")
        try:
            return msgspec.json.decode(answer.body, type=_Granted).id_token
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise Unavailable("malformed") from None

    # ------------------------------------------------------------ the state in the cookie

    def _nonce(self, state: str) -> str:
        return self._derived("nonce", state)

    def _verifier(self, state: str) -> str:
        return self._derived("verifier", state)

    def _derived(self, purpose: str, text: str) -> str:
        return b64url_encode(hmac.digest(self._key, f"{purpose}:{text}".encode(), "sha256"))

    def _sealed(self, state: str, return_to: str) -> str:
        is_own = len(return_to) <= MAX_RETURN_CHARS and _RETURN_TO.fullmatch(return_to)
        expires_at = self._clock.now() + SIGN_IN_SECONDS
        text = f"{state}.{expires_at}.{return_to if is_own else HOME}"
        return f"{self._derived('cookie', text)}.{text}"

    def _begun(self, headers: Mapping[bytes, bytes]) -> _Begun | None:
        seal, _, text = (self._cookie.read(headers) or "").partition(".")
        if not hmac.compare_digest(seal.encode(), self._derived("cookie", text).encode()):
            return None
        state, expires_at, return_to = text.split(".", 2)  # as it was sealed
        return _Begun(state, return_to) if self._clock.now() < int(expires_at) else None
