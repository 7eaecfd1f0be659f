"""Finding out who calls, from what an identity provider or a proxy has signed.

The most specific credential of a call decides alone, and one that is refused is not made good by
another: the proxy's header, else a bearer token, else the cookie of a sign-in. What bears no
signature, such as ``x-goog-authenticated-user-email``, is never read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.refusal import Refusal
from quorumkey_relay.identity.browser_sessions import BrowserSessions
from quorumkey_relay.identity.cached import Unavailable
from quorumkey_relay.identity.cookies import Cookie
from quorumkey_relay.identity.files import UnsafeFileError, read_private
from quorumkey_relay.identity.identity_problems import identity_problems
from quorumkey_relay.identity.oidc import OidcIdentity, Provider
from quorumkey_relay.identity.proxy_header import ProxyIdentity
from quorumkey_relay.identity.sign_in import SignIn, SignInClient
from quorumkey_relay.identity.signed_tokens import TokenRefused
from quorumkey_relay.observe import logs
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.usecases.jit.ports import NOT_SIGNED_IN

if TYPE_CHECKING:
    from collections.abc import Awaitable, Mapping

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.published import Web
    from quorumkey_relay.jit_settings import IdentitySettings, OidcSettings
    from quorumkey_relay.mint import Mint
    from quorumkey_relay.usecases.jit.ports import People, Person

_BEARER: Final = b"bearer"

_REFUSED: Final = Refusal(
    "unauthorized", "What says who you are does not hold, or not any more; sign in again."
)
_NO_KEYS: Final = Refusal(
    "backend_failed", "The keys of the identity provider cannot be read now; try again later."
)


@dataclass(frozen=True, slots=True)
class Identity:
    """Who finds out who calls, and how browsers sign in, where that is set up."""

    people: People
    sign_in: SignIn | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedPeople:
    """Knows people by the credentials that the settings turn on."""

    clock: Clock
    proxy: ProxyIdentity | None = None
    proxy_header: bytes = b""
    oidc: OidcIdentity | None = None
    sessions: BrowserSessions | None = None
    session_cookie: Cookie

    async def identify(self, headers: Mapping[bytes, bytes]) -> Person | Refusal:
        """Return who calls; refused with ``unauthorized``, or ``backend_failed`` without keys."""
        now = self.clock.now()
        if self.proxy is not None and self.proxy_header in headers:
            text = headers[self.proxy_header].decode("latin-1")
            return await _judged("proxy", self.proxy.person(text, now=now))
        if self.oidc is not None and b"authorization" in headers:
            scheme, _, token = headers[b"authorization"].partition(b" ")
            if scheme.lower() != _BEARER:
                return NOT_SIGNED_IN
            text = token.strip().decode("latin-1")
            return await _judged("oidc", self.oidc.bearer(text, now=now))
        session = self.session_cookie.read(headers)
        if self.sessions is None or session is None:
            return NOT_SIGNED_IN
        return self.sessions.person(session, now) or NOT_SIGNED_IN


async def _judged(kind: str, judging: Awaitable[Person]) -> Person | Refusal:
    try:
        return await judging
    except TokenRefused as error:
        logs.get().info("identity_refused", kind=kind, reason=error.reason)
        return _REFUSED
    except Unavailable:
        return _NO_KEYS


def open_identity(
    settings: IdentitySettings, *, public_url: str, clock: Clock, mint: Mint, client: Web
) -> Identity:
    """Return what the settings turn on; ``client`` is closed by who made it.

    Raises `ConfigError`, with a sentence for each problem.
    """
    problems = tuple(identity_problems(settings))
    if problems:
        raise ConfigError(problems)
    cookie = Cookie("quorumkey-jit", public_url.startswith("https:"))
    proxy = None if settings.proxy is None else ProxyIdentity(settings.proxy, client, clock)
    header = b"" if settings.proxy is None else settings.proxy.header.lower().encode()
    oidc, sessions, sign_in = None, None, None
    if settings.oidc is not None:
        provider = Provider(settings.oidc, client, clock)
        oidc = OidcIdentity(settings.oidc, provider, client, clock)
        known_as = _client_of(settings.oidc, public_url)
        if known_as is not None:
            sessions = BrowserSessions(mint)
            sign_in = SignIn(
                known_as,
                provider=provider,
                identity=oidc,
                sessions=sessions,
                session_cookie=cookie,
                web=client,
                clock=clock,
                mint=mint,
            )
    people = SignedPeople(
        clock=clock,
        proxy=proxy,
        proxy_header=header,
        oidc=oidc,
        sessions=sessions,
        session_cookie=cookie,
    )
    return Identity(people, sign_in)


def _client_of(settings: OidcSettings, public_url: str) -> SignInClient | None:
    if settings.client_id is None:
        return None
    secret = None
    if settings.client_secret_file is not None:
        try:
            secret = read_private(settings.client_secret_file).decode().strip()
        except UnsafeFileError as error:
            raise ConfigError((f"{error}.",)) from None
        except UnicodeDecodeError:
            secret = ""
        if not secret:
            raise ConfigError((f"{settings.client_secret_file} must hold the client's secret.",))
    return SignInClient(
        issuer=settings.issuer,
        client_id=settings.client_id,
        client_secret=secret,
        public_url=public_url,
    )
