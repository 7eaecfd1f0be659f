"""A request that exists is not reached with a token that somebody else has made."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import urlsafe_b64decode
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from tests.relay.jit.desk import ALICE, BOB, token_of
from tests.relay.jit.forged import es256, token
from tests.relay.simulator import refused

from quorumkey_relay.domain.jit.request import FORBIDDEN
from quorumkey_relay.identity.activation_tokens import plain

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.relay.jit.desk import Desk

pytestmark = pytest.mark.anyio


def parts(text: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Header and claims of a token."""
    header, claims, _ = plain(text).split(".")
    return _json(header), _json(claims)


def _json(part: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    return read


def unsigned(header: Mapping[str, Any], claims: Mapping[str, Any], _: bytes) -> str:
    """Without a signature, and saying so."""
    return token({**header, "alg": "none"}, claims, lambda _: b"")


def symmetric(header: Mapping[str, Any], claims: Mapping[str, Any], jwks: bytes) -> str:
    """Signed with what is public, as if it were a secret."""
    return token(
        {**header, "alg": "HS256"},
        claims,
        lambda message: hmac.new(jwks, message, hashlib.sha256).digest(),
    )


def another_key(header: Mapping[str, Any], claims: Mapping[str, Any], _: bytes) -> str:
    """Signed by somebody else, under the relay's key id."""
    return token(header, claims, es256(ec.generate_private_key(ec.SECP256R1())))


def embedded_key(header: Mapping[str, Any], claims: Mapping[str, Any], jwks: bytes) -> str:
    """Signed by somebody else, with a key in the header that is to be believed."""
    key = json.loads(jwks)["keys"][0]
    return another_key({**header, "jwk": {**key, "x": key["y"]}}, claims, jwks)


@pytest.mark.parametrize("forge", [unsigned, symmetric, another_key, embedded_key])
@pytest.mark.parametrize("call", ["read_request", "approve", "deny"])
async def test_c25_a_forged_token_reaches_no_request(
    desk: Desk,
    forge: Callable[[Mapping[str, Any], Mapping[str, Any], bytes], str],
    call: str,
) -> None:
    """Not even for a reviewer who could have used the real one; the request goes on waiting."""
    request = await desk.ask(BOB)
    header, claims = parts(token_of(request))
    forged = forge(header, claims, desk.cases.jwks())
    answer = await refused(getattr(desk.cases, call)(BOB, forged))

    assert (FORBIDDEN, "ACTIVATION_PENDING", []) == (
        answer,
        await desk.status(request),
        desk.target.grants,
    )


@pytest.mark.parametrize(
    "change",
    [
        {"reviewers": ["alice@example.com", "bob@example.com"]},
        {"beneficiary": "carol@example.com"},
        {"entitlement": "project-1:roles/owner"},
        {"end": 4_000_000_000},
    ],
    ids=["reviewers", "beneficiary", "entitlement", "end"],
)
async def test_c25_changed_claims_reach_no_request(desk: Desk, change: dict[str, Any]) -> None:
    """A signature covers every claim, so whoever changes one has none."""
    request = await desk.ask(BOB)
    text = plain(token_of(request))
    header, claims = parts(text)
    kept = urlsafe_b64decode(text.rpartition(".")[2] + "==")
    forged = token(header, {**claims, **change}, lambda _: kept)

    assert [FORBIDDEN, FORBIDDEN] == [
        await refused(desk.cases.approve(who, forged)) for who in (ALICE, BOB)
    ]
