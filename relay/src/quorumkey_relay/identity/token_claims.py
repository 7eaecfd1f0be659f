"""The claims that every token is judged by: from whom, for whom, and when (RFC 7519, 4.1)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey.protocol.limits import MAX_SAFE_INTEGER
from quorumkey_relay.identity.signed_tokens import TokenRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.identity.signed_tokens import Claim


def text_claim(claims: Mapping[str, Claim], name: str) -> str:
    """Return a claim that must be a text; raises `TokenRefused`."""
    value = claims.get(name)
    if not isinstance(value, str):
        raise TokenRefused("claims")
    return value


def check_issuer(claims: Mapping[str, Claim], issuer: str) -> None:
    """Refuse a token that somebody else has issued; compared character by character."""
    if claims.get("iss") != issuer:
        raise TokenRefused("issuer")


def audiences_of(claims: Mapping[str, Claim]) -> tuple[str, ...]:
    """Return for whom a token is, never for nobody; raises `TokenRefused`."""
    value = claims.get("aud")
    listed = value if isinstance(value, list) else [value]
    texts = tuple(item for item in listed if isinstance(item, str))
    if not texts or len(texts) != len(listed):
        raise TokenRefused("audience")
    return texts


def check_times(
    claims: Mapping[str, Claim], now: int, *, ahead_seconds: int = 0, may_be_over: bool = False
) -> None:
    """Refuse a token whose time is over or has not come.

    ``exp`` is required, and ``now == exp`` is too late, unless it ``may_be_over``. ``iat`` and
    ``nbf`` are judged where they are; the issuer's clock may be ``ahead_seconds`` ahead.
    """
    expires = _moment(claims, "exp")
    if expires is None:
        raise TokenRefused("claims")
    if now >= expires and not may_be_over:
        raise TokenRefused("expired")
    for name in ("iat", "nbf"):
        moment = _moment(claims, name)
        if moment is not None and moment > now + ahead_seconds:
            raise TokenRefused("not_yet")


def _moment(claims: Mapping[str, Claim], name: str) -> float | None:
    """Return a NumericDate (RFC 7519, section 2), None where it is missing."""
    if name not in claims:
        return None
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TokenRefused("claims")
    if not 0 <= value <= MAX_SAFE_INTEGER:
        raise TokenRefused("claims")
    return value
