"""How a push service tells application servers apart (RFC 8292)."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Final, cast

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_LIFETIME_SECONDS: Final = 86_400
_FORM: Final = re.compile(r"vapid t=([A-Za-z0-9_.-]+), ?k=([A-Za-z0-9_-]{87})", re.IGNORECASE)
_CONTACTS: Final = ("mailto:", "https:")


class VapidFaultError(Exception):
    """Credentials that a push service refuses: the status, and what is wrong in a few words."""

    def __init__(self, status: int, reason: str) -> None:
        """Keep both."""
        super().__init__(reason)
        self.status = status
        self.reason = reason


class Vapid:
    """Judges the ``authorization`` of pushes to one origin."""

    def __init__(self, now: Callable[[], float]) -> None:
        """Know the clock; the origin is known once the port is."""
        self.origin = ""
        self._now = now
        self._expires_at: dict[str, int] = {}  # of genuine ones, by header

    def check(self, authorization: str, application_server_key: str | None) -> None:
        """Judge one, for a subscription of that key or of any; raises ``VapidFaultError``."""
        if not authorization:
            raise VapidFaultError(401, "MissingAuthorization")
        found = _FORM.fullmatch(authorization)
        if found is None:
            raise VapidFaultError(401, "InvalidAuthorizationHeader")
        token, key = found[1], found[2]
        if application_server_key not in (None, key):
            raise VapidFaultError(403, "VapidKeyMismatch")
        if authorization not in self._expires_at:
            self._expires_at[authorization] = self._read(token, key)
        expires_at = self._expires_at[authorization]
        if not self._now() < expires_at <= self._now() + MAX_LIFETIME_SECONDS:
            raise VapidFaultError(403, "ExpiredJwtToken")

    def _read(self, token: str, key: str) -> int:
        """Return when a genuine token expires."""
        try:
            point = urlsafe_b64decode(key + "=")
            public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), point)
            claims = cast(
                "dict[str, object]",
                jwt.decode(  # pyright: ignore[reportUnknownMemberType] - PyJWT leaves a parameter open
                    token,
                    public,
                    algorithms=["ES256"],
                    audience=self.origin,
                    options={"require": ["aud", "exp", "sub"], "verify_exp": False},
                ),
            )
        except (jwt.PyJWTError, ValueError):
            raise VapidFaultError(403, "BadJwtToken") from None
        expires_at = claims["exp"]
        if not isinstance(expires_at, int) or not str(claims["sub"]).startswith(_CONTACTS):
            raise VapidFaultError(403, "BadJwtToken")
        return expires_at
