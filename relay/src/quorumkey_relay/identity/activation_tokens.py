"""The tokens in links to a request for a role: a pointer to it, and a proof of what it says.

A token gives nobody anything: whoever brings it must be signed in, be named in it and be eligible
still. Two generations of claims are read: since 1.8 of the original a token names an
``entitlement``, before that a ``resource`` and a ``role``. Written is the newer one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import jwt

from quorumkey.protocol.limits import MAX_SAFE_INTEGER
from quorumkey_relay.domain.jit.entitlement import EntitlementError, EntitlementId
from quorumkey_relay.identity.email_address import email_address
from quorumkey_relay.identity.signed_tokens import SignedToken, TokenRefused
from quorumkey_relay.identity.token_claims import (
    audiences_of,
    check_issuer,
    check_times,
    text_claim,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.identity.signed_tokens import Claim
    from quorumkey_relay.identity.token_keys import TokenKeys

__all__ = [
    "ActivationClaims",
    "ActivationTokens",
    "TokenRefused",
    "activation_link",
    "claims_of",
    "obfuscated",
    "plain",
]

MAX_REVIEWERS: Final = 50

# "mpa-" and the standard Base64 of twelve bytes.
_ID: Final = re.compile(r"mpa-[A-Za-z0-9+/]{16}")
_RESOURCE: Final = "//cloudresourcemanager.googleapis.com/projects/"
_HEAD: Final = "ey"  # how the Base64 of every JSON object that begins with a name begins


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationClaims:
    """What a token says; ``id`` is its ``jti``. Times in seconds since the epoch."""

    id: str
    beneficiary: str
    reviewers: tuple[str, ...]
    entitlement: EntitlementId
    justification: str
    start: int
    end: int
    issued_at: int
    expires_at: int

    def agrees_with(self, request: AccessRequest) -> bool:
        """Say whether a token says what is known of the request that it points to."""
        return self == claims_of(request)


def claims_of(request: AccessRequest) -> ActivationClaims:
    """Return what the token of a request says."""
    return ActivationClaims(
        id=request.id,
        beneficiary=request.beneficiary,
        reviewers=request.reviewers,
        entitlement=request.entitlement,
        justification=request.justification,
        start=request.start,
        end=request.end,
        issued_at=request.created_at,
        expires_at=request.expires_at,
    )


class ActivationTokens:
    """Writes and reads the tokens of one relay, which is their issuer and their audience."""

    def __init__(self, keys: TokenKeys, *, issuer: str) -> None:
        """Sign with the first of ``keys``; each of them verifies."""
        self._keys = keys
        self._issuer = issuer

    @property
    def jwks(self) -> bytes:
        """Return the public keys as a JWK Set (RFC 7517, section 5)."""
        return self._keys.jwks

    def mint(self, claims: ActivationClaims) -> str:
        """Return a token; the same claims may be written more than once."""
        signing = self._keys.signing
        members: dict[str, object] = {
            "iss": self._issuer,
            "aud": self._issuer,
            "jti": claims.id,
            "iat": claims.issued_at,
            "exp": claims.expires_at,
            "beneficiary": claims.beneficiary,
            "reviewers": list(claims.reviewers),
            "entitlement": str(claims.entitlement),
            "justification": claims.justification,
            "start": claims.start,
            "end": claims.end,
        }
        return jwt.encode(
            members, signing.private, algorithm=signing.algorithm, headers={"kid": signing.kid}
        )

    def read(self, text: str, *, now: int, may_be_over: bool = False) -> ActivationClaims:
        """Return what a token says at ``now``, in its plain or its URL form.

        Raises `TokenRefused`: not signed by these keys, for or from somebody else, its time over
        (unless it ``may_be_over``) or still to come, or not of either generation.
        """
        token = SignedToken.parse(plain(text), algorithms=self._keys.algorithms)
        if token.kid is None:
            raise TokenRefused("key")
        claims = token.claims(self._keys.verifying)
        check_issuer(claims, self._issuer)
        if audiences_of(claims) != (self._issuer,):
            raise TokenRefused("audience")
        check_times(claims, now, may_be_over=may_be_over)
        return _activation_claims(claims)


def obfuscated(token: str) -> str:
    """Return the form of a token that stands in links; other programs take it for no token."""
    return token.removeprefix(_HEAD).replace("." + _HEAD, "~~").replace(".", "~")


def plain(text: str) -> str:
    """Return the token that a link's form stands for; a plain token stays as it is."""
    if "." in text:
        return text
    return _HEAD + text.replace("~~", "." + _HEAD).replace("~", ".")


def activation_link(public_url: str, token: str, *, project: str) -> str:
    """Return the address of the page on which reviewers see a request."""
    project_id = quote(project, safe="")
    return f"{public_url}/jit/?activation={obfuscated(token)}&projectId={project_id}"


def _activation_claims(claims: Mapping[str, Claim]) -> ActivationClaims:
    token_id = text_claim(claims, "jti")
    start, end = _seconds(claims, "start"), _seconds(claims, "end")
    if _ID.fullmatch(token_id) is None or start >= end:
        raise TokenRefused("claims")
    return ActivationClaims(
        id=token_id,
        beneficiary=_person(claims.get("beneficiary")),
        reviewers=_reviewers(claims.get("reviewers")),
        entitlement=_entitlement(claims),
        justification=text_claim(claims, "justification"),
        start=start,
        end=end,
        # The first generation had no iat: its start was the moment at which it was issued.
        issued_at=_seconds(claims, "iat") if "iat" in claims else start,
        expires_at=_seconds(claims, "exp"),
    )


def _entitlement(claims: Mapping[str, Claim]) -> EntitlementId:
    is_newer = "entitlement" in claims
    if is_newer and ("resource" in claims or "role" in claims):
        raise TokenRefused("claims")
    if not is_newer:
        resource, role = text_claim(claims, "resource"), text_claim(claims, "role")
        if not resource.startswith(_RESOURCE):
            raise TokenRefused("claims")
        text = f"{resource.removeprefix(_RESOURCE)}:{role}"
    else:
        text = text_claim(claims, "entitlement")
    try:
        found = EntitlementId.parse(text)
    except EntitlementError:
        raise TokenRefused("claims") from None
    if not is_newer and (found.condition or "/" in found.project):
        raise TokenRefused("claims")
    return found


def _person(value: Claim) -> str:
    address = email_address(value)
    if address is None:
        raise TokenRefused("claims")
    return address


def _reviewers(value: Claim) -> tuple[str, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_REVIEWERS:
        raise TokenRefused("claims")
    return tuple(dict.fromkeys(_person(item) for item in value))


def _seconds(claims: Mapping[str, Claim], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MAX_SAFE_INTEGER:
        return value
    raise TokenRefused("claims")
