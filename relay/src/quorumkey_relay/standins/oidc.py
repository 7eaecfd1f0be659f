"""An OpenID Connect provider, and a proxy that signs whom it lets in, for tests and for trying out.

=========================================  =====================================================
``GET /.well-known/openid-configuration``  where everything is
``GET /jwks``                              the keys of ID tokens
``GET /authorize``                         signs ``user`` in at once, else shows a form
``POST /token``                            redeems a code: once, in a minute, by its client, PKCE
``GET /iap/public_key-jwk``                the keys of the proxy's header
=========================================  =====================================================

Tokens are real ones: signed with keys that are made anew in each process.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import hmac
import html
import json
import secrets
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal
from urllib.parse import parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from quorumkey_relay.standins.exchange import Reply, Request, json_reply
from quorumkey_relay.standins.faults import Faults
from quorumkey_relay.standins.ledger import Ledger, Numbers, Received
from quorumkey_relay.standins.listener import Front

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

Algorithm = Literal["ES256", "RS256"]

CLIENT_ID: Final = "quorumkey-stand-in"
PROXY_ISSUER: Final = "https://cloud.google.com/iap"
TOKEN_SECONDS: Final = 3_600
PROXY_TOKEN_SECONDS: Final = 600
CODE_SECONDS: Final = 60

_FORM: Final = "application/x-www-form-urlencoded"
_RSA_BITS: Final = 2_048
_RSA_EXPONENT: Final = 65_537
_PAGE: Final = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<h1>Sign in</h1><form method="post" action="/authorize?{query}">
<label>E-mail <input name="email" type="email" required autofocus></label>
<button>Sign in</button></form></html>
"""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key that signs tokens, and its name."""

    kid: str
    algorithm: Algorithm
    private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey

    @classmethod
    def make(cls, algorithm: Algorithm) -> SigningKey:
        """Return a new key."""
        private: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey = (
            ec.generate_private_key(ec.SECP256R1())
            if algorithm == "ES256"
            else rsa.generate_private_key(_RSA_EXPONENT, _RSA_BITS)
        )
        return cls(secrets.token_hex(8), algorithm, private)

    def sign(self, claims: Mapping[str, object], **headers: object) -> str:
        """Return a token with exactly these claims; a claim that is None is left out."""
        said = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(
            said, self.private, algorithm=self.algorithm, headers={"kid": self.kid} | headers
        )

    def jwk(self) -> dict[str, object]:
        """Return the public half as it is published."""
        public = self.private.public_key()
        members = (
            ECAlgorithm.to_jwk(public)
            if isinstance(public, ec.EllipticCurvePublicKey)
            else RSAAlgorithm.to_jwk(public)
        )
        named = {"kid": self.kid, "alg": self.algorithm, "use": "sig"}
        return {**json.loads(members), **named}


@dataclass(frozen=True, slots=True)
class _Code:
    """Somebody who signed in, for whom a token can be had."""

    email: str
    redirect_uri: str
    nonce: str | None
    challenge: str
    good_until: float


class OidcStandIn:
    """The provider as tests hold it.

    Attributes:
        user: who is signed in at once by ``/authorize``; None shows a form.
        faults: ``is_down``, ``delay_seconds``, ``answer_status`` (of documents) and
            ``token_status``.
        overrides: whole answers by path, instead of its own.
        calls: how often each path was called.
        keys: what ID tokens are signed with (the first), and what else is published.
        proxy_key: what the proxy signs with.
        token_headers: the headers of the last call of ``/token``.
        token_form: its form.
    """

    def __init__(self, key: SigningKey, now: Callable[[], float]) -> None:
        """Prepare; nothing listens yet."""
        self.issuer = ""
        self.client_id = CLIENT_ID
        self.client_secret = secrets.token_urlsafe(24)
        self.user: str | None = None
        self.faults = Faults()
        self.overrides: dict[str, Reply] = {}
        self.calls: Counter[str] = Counter()
        self.keys = [key]
        self.proxy_key = SigningKey.make("ES256")
        self.token_headers: Mapping[str, str] = {}
        self.token_form: Mapping[str, str] = {}
        self._now = now
        self._codes: dict[str, _Code] = {}

    @property
    def jwks_url(self) -> str:
        """Where the keys of ID tokens are."""
        return f"{self.issuer}/jwks"

    @property
    def proxy_jwks_url(self) -> str:
        """Where the key of the proxy is."""
        return f"{self.issuer}/iap/public_key-jwk"

    def rotate(self) -> None:
        """Sign with a new key from now on; the old ones stay published."""
        self.keys.insert(0, SigningKey.make(self.keys[0].algorithm))

    def retire_old_keys(self) -> None:
        """Publish the newest key alone."""
        del self.keys[1:]

    # ------------------------------------------------------------ tokens

    def id_token(self, email: str | None, /, **changes: object) -> str:
        """Return an ID token for this client; ``changes`` are other claims, None for none."""
        now = int(self._now())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "sub": hashlib.sha256(str(email).encode()).hexdigest()[:21],
            "aud": self.client_id,
            "iat": now,
            "exp": now + TOKEN_SECONDS,
            "email": email,
            "email_verified": True,
        }
        return self.keys[0].sign(claims | changes)

    def proxy_assertion(
        self,
        email: str | None,
        /,
        *,
        audience: str,
        device_id: str | None = None,
        access_levels: tuple[str, ...] = (),
        **changes: object,
    ) -> str:
        """Return what the proxy's header says; ``changes`` as for ``id_token``."""
        now = int(self._now())
        claims: dict[str, object] = {
            "iss": PROXY_ISSUER,
            "sub": f"accounts.google.com:{hashlib.sha256(str(email).encode()).hexdigest()[:21]}",
            "aud": audience,
            "iat": now,
            "exp": now + PROXY_TOKEN_SECONDS,
            "email": email,
            "google": {"device_id": device_id, "access_levels": list(access_levels)},
        }
        return self.proxy_key.sign(claims | changes)

    # ------------------------------------------------------------ answers

    def answer(self, request: Request) -> Reply:
        """Answer a call."""
        path = urlsplit(request.path).path
        self.calls[path] += 1
        if path in self.overrides:
            return self.overrides[path]
        if request.method == "GET" and self.faults.answer_status is not None:
            return Reply(self.faults.answer_status)
        documents: dict[str, Callable[[], object]] = {
            "/.well-known/openid-configuration": self._configuration,
            "/jwks": lambda: {"keys": [key.jwk() for key in self.keys]},
            "/iap/public_key-jwk": lambda: {"keys": [self.proxy_key.jwk()]},
        }
        if request.method == "GET" and path in documents:
            return json_reply(200, documents[path]())
        if path == "/authorize" and request.method in ("GET", "POST"):
            return self._authorize(request)
        if path == "/token" and request.method == "POST":
            return self._token(request)
        return json_reply(404, {"error": "not_found"})

    def _configuration(self) -> dict[str, object]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": self.jwks_url,
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": [self.keys[0].algorithm],
            "scopes_supported": ["openid", "email"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "code_challenge_methods_supported": ["S256"],
        }

    def _authorize(self, request: Request) -> Reply:
        """Sign somebody in (OpenID Connect Core, 3.1.2)."""
        query = urlsplit(request.path).query
        asked = dict(parse_qsl(query))
        redirect_uri, challenge = asked.get("redirect_uri", ""), asked.get("code_challenge", "")
        is_known = asked.get("client_id") == self.client_id and redirect_uri
        if not is_known or asked.get("response_type") != "code":
            return _page(400, "<p>This client, or what it asks for, is not known.</p>")
        if not challenge or asked.get("code_challenge_method") != "S256":
            return _page(400, "<p>A code challenge of method S256 is required.</p>")
        if "openid" not in asked.get("scope", "").split():
            return _page(400, "<p>The scope must have openid.</p>")
        email = self.user
        if request.method == "POST":
            email = dict(parse_qsl(request.body.decode("latin-1"))).get("email")
        if email is None:
            return _page(200, _PAGE.format(query=html.escape(query)))
        code = secrets.token_urlsafe(24)
        self._codes[code] = _Code(
            email, redirect_uri, asked.get("nonce"), challenge, self._now() + CODE_SECONDS
        )
        joint = "&" if "?" in redirect_uri else "?"
        answer = urlencode({"code": code, "state": asked.get("state", "")})
        return Reply(302, (("location", f"{redirect_uri}{joint}{answer}"),))

    def _token(self, request: Request) -> Reply:
        """Redeem a code (OpenID Connect Core, 3.1.3; RFC 7636, 4.6)."""
        if self.faults.token_status is not None:
            return json_reply(self.faults.token_status, {"error": "temporarily_unavailable"})
        if request.headers.get("content-type") != _FORM:
            return json_reply(400, {"error": "invalid_request"})
        form = dict(parse_qsl(request.body.decode("latin-1")))
        self.token_headers, self.token_form = request.headers, form
        if not self._is_client(request, form):
            return json_reply(401, {"error": "invalid_client"})
        if form.get("grant_type") != "authorization_code":
            return json_reply(400, {"error": "unsupported_grant_type"})
        code = self._codes.pop(form.get("code", ""), None)
        digest = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        challenge = base64.urlsafe_b64encode(digest).decode().rstrip("=")
        if (
            code is None
            or self._now() >= code.good_until
            or code.redirect_uri != form.get("redirect_uri")
            or code.challenge != challenge
        ):
            return json_reply(400, {"error": "invalid_grant"})
        granted = {
            "access_token": secrets.token_urlsafe(24),
            "token_type": "Bearer",
            "expires_in": TOKEN_SECONDS,
            "id_token": self.id_token(code.email, nonce=code.nonce),
        }
        return json_reply(200, granted, ("cache-control", "no-store"))

    def _is_client(self, request: Request, form: Mapping[str, str]) -> bool:
        scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            pair = base64.b64decode(encoded).decode()
            given = [unquote_plus(part) for part in pair.split(":", 1)]
        else:
            given = [form.get("client_id", ""), form.get("client_secret", "")]
        expected = [self.client_id, self.client_secret]
        return hmac.compare_digest(json.dumps(given), json.dumps(expected))


def _page(status: int, text: str) -> Reply:
    return Reply(status, (("content-type", "text/html; charset=utf-8"),), text.encode())


def _nobody(_push: Received) -> None:
    """Tell nobody: a provider receives no push."""


@contextlib.asynccontextmanager
async def start_oidc(
    *,
    algorithm: Algorithm = "RS256",
    key: SigningKey | None = None,
    now: Callable[[], float] = time.time,
    host: str = "127.0.0.1",
    port: int = 0,
) -> AsyncGenerator[OidcStandIn, None]:
    """Serve a provider by plain http on loopback until the block ends; port 0 takes a free one.

    It signs with ``key``, else with a new one for ``algorithm``. ``now`` is the clock of its
    tokens, in seconds since the epoch. Raises ``OSError`` where the port cannot be taken.
    """
    provider = OidcStandIn(key or SigningKey.make(algorithm), now)
    front = Front(provider, Ledger(Numbers(), _nobody), provider.faults, None)
    await front.open(host, port)
    provider.issuer = f"http://{host}:{front.port}"
    try:
        yield provider
    finally:
        await front.close()
