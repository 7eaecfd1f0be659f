"""Reading a signed JWT so that nothing in it is left to interpretation (RFC 7515, RFC 8725).

The form is checked here, strictly; the signature by PyJWT. What is allowed comes from the settings
and never from the token: a key belongs to one algorithm, both are asymmetric, and a key, or the
address of one, that stands in a token's own header is not looked at.

1. The text is ASCII, bounded, and three parts of base64url.
2. Its header is a JSON object with no member twice, an allowed ``alg``, an allowed ``typ`` or
   none, and no ``crit``: no extension is understood here (RFC 7515, section 4.1.11).
3. A key counts if it is of that algorithm and the header names it, or names none and there is
   just one.
4. The signature is that key's. Only then the claims are read, again with no member twice.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NoReturn, TypeAlias, cast, get_args

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from quorumkey.errors import ProtocolError
from quorumkey.protocol import b64url_decode

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

Algorithm = Literal["ES256", "RS256"]
PublicKey: TypeAlias = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
#: A claim as JSON writes it; other than in the relay's own documents a number may be a float.
Claim: TypeAlias = "bool | int | float | str | list[Claim] | dict[str, Claim] | None"

ALGORITHMS: Final[tuple[Algorithm, ...]] = get_args(Algorithm)
MAX_TOKEN_CHARS: Final = 16_384
MAX_KEY_ID_CHARS: Final = 256
MIN_RSA_BITS: Final = 2_048
MAX_RSA_BITS: Final = 8_192  # verifying grows with the square of it

_PARTS: Final = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_JWS: Final = jwt.PyJWS(algorithms=list(ALGORITHMS))


class TokenRefused(Exception):  # noqa: N818 - a refusal is an expected outcome
    """A token proves nothing; ``reason`` is a word for logs and holds nothing of the token."""

    def __init__(self, reason: str) -> None:
        """Keep the reason."""
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A public key that signatures of one algorithm are verified with."""

    kid: str | None
    algorithm: Algorithm
    public: PublicKey


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A token of the right form whose signature nobody has looked at yet."""

    text: str = field(repr=False)
    algorithm: Algorithm
    kid: str | None

    @classmethod
    def parse(cls, text: str, *, algorithms: Collection[Algorithm]) -> SignedToken:
        """Read form and header (1, 2); raises `TokenRefused`."""
        if len(text) > MAX_TOKEN_CHARS or _PARTS.fullmatch(text) is None:
            raise TokenRefused("malformed")
        header = _json_object(_decoded(text.partition(".")[0]))
        algorithm = _algorithm(header.get("alg"), algorithms)
        kind, kid = header.get("typ", "JWT"), header.get("kid")
        if not isinstance(kind, str) or kind.upper() != "JWT":
            raise TokenRefused("type")
        if "crit" in header or "b64" in header:
            raise TokenRefused("critical_header")
        if kid is not None and (not isinstance(kid, str) or len(kid) > MAX_KEY_ID_CHARS):
            raise TokenRefused("malformed")
        return cls(text, algorithm, kid)

    def claims(self, keys: Sequence[VerifyingKey]) -> Mapping[str, Claim]:
        """Return the claims if one of the keys has signed them (3, 4); raises `TokenRefused`."""
        fitting = [key for key in keys if key.algorithm == self.algorithm]
        if self.kid is not None:
            fitting = [key for key in fitting if key.kid == self.kid]
        elif len(fitting) > 1:
            fitting = []
        if not fitting:
            raise TokenRefused("key")
        for key in fitting:
            payload = self._payload(key)
            if payload is not None:
                return _json_object(payload)
        raise TokenRefused("signature")

    def _payload(self, key: VerifyingKey) -> bytes | None:
        try:
            return cast("bytes", _JWS.decode(self.text, key.public, algorithms=[key.algorithm]))
        # Beside its own exceptions the library lets through those of what it calls.
        except (jwt.PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, RecursionError):
            return None


def _algorithm(named: Claim, allowed: Collection[Algorithm]) -> Algorithm:
    for algorithm in allowed:
        if named == algorithm:
            return algorithm
    raise TokenRefused("algorithm")


def _decoded(part: str) -> bytes:
    try:
        return b64url_decode(part, field="header")
    except ProtocolError:
        raise TokenRefused("malformed") from None


def _members(pairs: list[tuple[str, Claim]]) -> dict[str, Claim]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise TokenRefused("duplicate_member")
    return members


def _no_number(_text: str) -> NoReturn:
    raise TokenRefused("malformed")


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_number)


def _json_object(data: bytes) -> dict[str, Claim]:
    try:
        text = data.decode()
        value = cast("Claim", _DECODER.decode(text))
        if "\\u" in text:
            json.dumps(value, ensure_ascii=False).encode()  # finds half a surrogate pair
    except (ValueError, RecursionError):  # what is no UTF-8 is a ValueError too
        raise TokenRefused("malformed") from None
    if not isinstance(value, dict):
        raise TokenRefused("malformed")
    return value
