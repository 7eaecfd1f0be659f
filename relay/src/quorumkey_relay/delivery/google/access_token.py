"""Who the relay is to Google: a service account, and the access tokens that it is given.

Rules: developers.google.com, "Using OAuth 2.0 for Server to Server Applications" (RFC 7523). An
assertion that the account's key signs is exchanged for a token, which is good for an hour.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

import jwt
import msgspec
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from quorumkey_relay.config_conflicts import is_loopback
from quorumkey_relay.identity.files import UnsafeFileError, read_private
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.delivery.reconnecting import ReconnectingClient
    from quorumkey_relay.delivery.transport import Answer

#: What a token is good for: https://developers.google.com/identity/protocols/oauth2/scopes
MESSAGING_SCOPE: Final = "https://www.googleapis.com/auth/firebase.messaging"
CLOUD_PLATFORM_SCOPE: Final = "https://www.googleapis.com/auth/cloud-platform"
ASSERTION_SECONDS: Final = 3_600  # the most that Google takes, and how long its tokens are good
REFRESH_AFTER_SECONDS: Final = 3_000  # 50 minutes
EXPIRES_AFTER_SECONDS: Final = 3_540  # a minute before Google says so
LEAST_SECONDS_BETWEEN: Final = 10
TOKEN_TIMEOUT_SECONDS: Final = 10.0
MAX_TOKEN_CHARS: Final = 4_096

_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_PROJECT: Final = re.compile(r"[a-z0-9.:-]{1,100}", re.ASCII)  # old ids: domain.example:name
_VISIBLE: Final = re.compile(rf"[!-~]{{1,{MAX_TOKEN_CHARS}}}", re.ASCII)
#: RFC 6749, section 5.2: what is wrong with the account, or with the clock of this machine.
_ERRORS: Final = frozenset(
    {
        "invalid_client",
        "invalid_grant",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)


class TokenRefused(Exception):  # noqa: N818 - says what happened, as the outcomes do
    """Google gives this account no token; ``reason`` is a word of RFC 6749, or ``refused``."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


class TokenUnavailable(Exception):  # noqa: N818 - says what happened, as the outcomes do
    """The token endpoint cannot answer now."""


class _AccountFile(msgspec.Struct, frozen=True):
    """The members that are read of Google's file; it has more."""

    project_id: str
    private_key_id: str
    private_key: str
    client_email: str
    token_uri: str
    type: str = ""


class _Granted(msgspec.Struct, frozen=True):
    access_token: str


class _Refusal(msgspec.Struct, frozen=True):
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceAccount:
    """A Google service account, as its JSON file says."""

    project_id: str
    client_email: str
    token_uri: str
    key_id: str
    key: rsa.RSAPrivateKey = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> ServiceAccount:
        """Read the file; raises ``ConfigError``."""
        try:
            content = read_private(path)
        except UnsafeFileError as error:
            raise ConfigError((f"{error}.",)) from None
        try:
            said = msgspec.json.decode(content, type=_AccountFile)
        except msgspec.ValidationError as error:
            # The library names the member, and repeats no value.
            raise ConfigError((f"{path} is no service account: {error}.",)) from None
        except (msgspec.MsgspecError, UnicodeDecodeError):
            raise ConfigError((f"{path} must hold a Google service account as JSON.",)) from None
        if said.type != "service_account":
            raise ConfigError(
                (f'{path} is no service account: its type is not "service_account".',)
            )
        if _PROJECT.fullmatch(said.project_id) is None:
            raise ConfigError((f"{path} is no service account: its project_id is none.",))
        _check_token_uri(path, said.token_uri)
        return cls(
            project_id=said.project_id,
            client_email=said.client_email,
            token_uri=said.token_uri,
            key_id=said.private_key_id,
            key=_key(path, said.private_key),
        )

    def assertion(self, now: int, scope: str) -> str:
        """Return the signed claim to be this account, for the token endpoint and one scope."""
        claims = {
            "iss": self.client_email,
            "scope": scope,
            "aud": self.token_uri,
            "iat": now,
            "exp": now + ASSERTION_SECONDS,
        }
        return jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": self.key_id})


@dataclass(frozen=True, slots=True)
class AccessTokens:
    """Exchanges assertions for access tokens; who calls it decides how often."""

    account: ServiceAccount
    client: ReconnectingClient
    clock: Clock
    scope: str

    async def obtain(self) -> str:
        """Return the ``authorization`` of calls within the scope.

        Raises ``TokenRefused``, ``TokenUnavailable`` or ``TransportFailed``.
        """
        answer = await self.client.post(
            self.account.token_uri,
            headers={"content-type": "application/x-www-form-urlencoded"},
            body=token_request(self.account, self.clock.now(), self.scope),
            timeout_seconds=TOKEN_TIMEOUT_SECONDS,
        )
        return granted(answer)


def token_request(account: ServiceAccount, now: int, scope: str) -> bytes:
    """Return the form that asks for an access token; ``now`` in seconds since the epoch."""
    return urlencode({"grant_type": _GRANT, "assertion": account.assertion(now, scope)}).encode()


def granted(answer: Answer) -> str:
    """Read the answer to it: the ``authorization`` of calls.

    Raises ``TokenRefused`` or ``TokenUnavailable``.
    """
    status = answer.status
    if status == HTTPStatus.OK:
        try:
            token = msgspec.json.decode(answer.body, type=_Granted).access_token
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            token = ""
        if _VISIBLE.fullmatch(token) is not None:
            return f"Bearer {token}"
        raise TokenUnavailable
    is_busy = status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)
    if is_busy or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        raise TokenUnavailable
    try:
        error = msgspec.json.decode(answer.body, type=_Refusal).error
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        error = ""
    raise TokenRefused(error if error in _ERRORS else "refused")


def _key(path: Path, pem: str) -> rsa.RSAPrivateKey:
    try:
        key = load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError):  # TypeError: the key is encrypted
        key = None
    if not isinstance(key, rsa.RSAPrivateKey):
        raise ConfigError((f"{path} is no service account: its private_key is no RSA key in PEM.",))
    return key


def _check_token_uri(path: Path, uri: str) -> None:
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError:
        host, scheme = "", ""
    else:
        scheme = parts.scheme
    if not host or (scheme != "https" and not (scheme == "http" and is_loopback(host))):
        raise ConfigError((f"{path} is no service account: its token_uri must be https.",))
