"""Apple's provider tokens as the stand-in judges them.

Rules: developer.apple.com, "Establishing a token-based connection to APNs". A token is a JWT of
ES256 with ``kid`` in its header and ``iss`` (the team) and ``iat`` as claims; it is good for an
hour, and a new one is to come no more often than every 20 minutes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

import jwt

if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey

    from quorumkey_relay.standins.exchange import Caller
    from quorumkey_relay.standins.faults import Faults

MAX_AGE_SECONDS: Final = 3_600
#: How far a sender's clock may be ahead.
MAX_AHEAD_SECONDS: Final = 60
_SCHEME: Final = "bearer "


class ProviderTokens:
    """Judges the ``authorization`` of each push to one of Apple's environments."""

    def __init__(
        self,
        *,
        key: EllipticCurvePublicKey,
        key_id: str,
        team_id: str,
        faults: Faults,
        now: Callable[[], float],
    ) -> None:
        """Know the one key of the one team that is registered here."""
        self._key = key
        self._key_id = key_id
        self._team_id = team_id
        self._faults = faults
        self._now = now
        self._issued_at: dict[str, int | None] = {}  # by header; None: not genuine
        self._known: set[str] = set()
        self._newest_at: float | None = None

    def forget(self) -> None:
        """Forget which tokens were seen."""
        self._issued_at.clear()
        self._known.clear()
        self._newest_at = None

    def fault_of(self, authorization: str | None, caller: Caller) -> str | None:
        """Return the reason to refuse with, or None if the token is good."""
        if authorization is None:
            return "MissingProviderToken"
        if authorization not in self._issued_at:
            self._issued_at[authorization] = self._read(authorization)
        issued_at = self._issued_at[authorization]
        now = self._now()
        if issued_at is None or issued_at > now + MAX_AHEAD_SECONDS:
            return "InvalidProviderToken"
        if now - issued_at > MAX_AGE_SECONDS:
            return "ExpiredProviderToken"
        if caller.spoiled is None and authorization not in self._known:
            self._meet(authorization, caller, now)
        return caller.spoiled

    def _meet(self, authorization: str, caller: Caller, now: float) -> None:
        """Take a new token, or have nothing more to do with the connection that it came on."""
        wait = self._faults.token_update_seconds
        if self._newest_at is not None and now - self._newest_at < wait:
            caller.spoiled = "TooManyProviderTokenUpdates"
            return
        self._newest_at = now
        self._known.add(authorization)

    def _read(self, authorization: str) -> int | None:
        if not authorization.lower().startswith(_SCHEME):
            return None
        token = authorization[len(_SCHEME) :]
        try:
            head = jwt.get_unverified_header(token)
            claims = cast(
                "dict[str, object]",
                jwt.decode(  # pyright: ignore[reportUnknownMemberType] - PyJWT leaves a parameter open
                    token,
                    self._key,
                    algorithms=["ES256"],
                    issuer=self._team_id,
                    options={"require": ["iss", "iat"], "verify_iat": False},
                ),
            )
        except jwt.PyJWTError:
            return None
        issued_at = claims["iat"]
        if head.get("kid") != self._key_id or not isinstance(issued_at, int):
            return None
        return issued_at
