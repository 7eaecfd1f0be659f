"""The public keys of somebody who signs tokens, kept and fetched again (RFC 7517)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from quorumkey.errors import ProtocolError
from quorumkey.protocol import b64url_decode
from quorumkey_relay.identity.cached import Cached, Unavailable
from quorumkey_relay.identity.published import fetch, is_trustworthy
from quorumkey_relay.identity.signed_tokens import (
    MAX_KEY_ID_CHARS,
    MAX_RSA_BITS,
    MIN_RSA_BITS,
    VerifyingKey,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.published import Web
    from quorumkey_relay.identity.signed_tokens import Algorithm, PublicKey

MAX_KEYS: Final = 64

_EC_BYTES: Final = 32
_LEAST_EXPONENT: Final = 3
_MAX_EXPONENT_BYTES: Final = 4


class _Jwk(msgspec.Struct, frozen=True):
    """The members of a key that matter here; those of one that is for something else are left."""

    kty: str
    kid: str | None = None
    use: str | None = None
    key_ops: tuple[str, ...] | None = None
    alg: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None
    n: str | None = None
    e: str | None = None
    d: str | None = None


class _JwkSet(msgspec.Struct, frozen=True):
    keys: tuple[msgspec.Raw, ...]


def read_jwks(document: bytes) -> tuple[VerifyingKey, ...]:
    """Return the keys of a set that verify ES256 or RS256 signatures.

    A key of another kind, or one that is none, is passed over (RFC 7517, section 5), and so is
    one that is published with its private half. Raises `Unavailable` where nothing is left.
    """
    try:
        entries = msgspec.json.decode(document, type=_JwkSet).keys
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Unavailable("malformed") from None
    keys = tuple(key for key in map(_key, entries[:MAX_KEYS]) if key is not None)
    if not keys:
        raise Unavailable("no_keys")
    return keys


def _key(entry: msgspec.Raw) -> VerifyingKey | None:
    try:
        jwk = msgspec.json.decode(entry, type=_Jwk)
        algorithm, public = _public(jwk)
    except (msgspec.MsgspecError, ProtocolError, ValueError, RecursionError):
        return None
    is_for_signatures = jwk.use in (None, "sig") and (
        jwk.key_ops is None or "verify" in jwk.key_ops
    )
    is_named = jwk.kid is None or len(jwk.kid) <= MAX_KEY_ID_CHARS
    if jwk.d is not None or not is_for_signatures or not is_named:
        return None
    return VerifyingKey(jwk.kid, algorithm, public) if jwk.alg in (None, algorithm) else None


def _public(jwk: _Jwk) -> tuple[Algorithm, PublicKey]:
    """Return a key and what it verifies (RFC 7518, section 6); raises ``ValueError``."""
    if jwk.kty == "EC" and jwk.crv == "P-256":
        x, y = (_unsigned(text, _EC_BYTES) for text in (jwk.x, jwk.y))
        return "ES256", ec.EllipticCurvePublicNumbers(x, y, ec.SECP256R1()).public_key()
    if jwk.kty == "RSA":
        n, e = _unsigned(jwk.n), _unsigned(jwk.e)
        is_bounded = MIN_RSA_BITS <= n.bit_length() <= MAX_RSA_BITS
        if is_bounded and e >= _LEAST_EXPONENT and e.bit_length() <= 8 * _MAX_EXPONENT_BYTES:
            return "RS256", rsa.RSAPublicNumbers(e, n).public_key()
    raise ValueError(jwk.kty)


def _unsigned(text: str | None, length: int | None = None) -> int:
    return int.from_bytes(b64url_decode(text, field="key", length=length))


class JwksFeed:
    """The keys at an address that ``locate`` names; it raises `Unavailable`."""

    def __init__(self, locate: Callable[[], Awaitable[str]], client: Web, clock: Clock) -> None:
        """Fetch nothing yet."""
        self._locate = locate
        self._client = client
        self._cached = Cached("keys", self._load, clock)

    async def keys(self, kid: str | None) -> tuple[VerifyingKey, ...]:
        """Return the keys, fetched anew if none has this id; raises `Unavailable`."""
        return await self._cached.get(
            lambda keys: kid is None or any(key.kid == kid for key in keys)
        )

    async def _load(self) -> tuple[VerifyingKey, ...]:
        url = await self._locate()
        if not is_trustworthy(url):
            raise Unavailable("address")
        return read_jwks(await fetch(self._client, url))
