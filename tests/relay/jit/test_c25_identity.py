"""Who somebody is: nothing but what a provider or a proxy has signed for this relay, now."""

from __future__ import annotations

import hashlib
import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from msgspec.structs import replace
from tests.relay.jit import forged
from tests.relay.jit.identities import (
    PROXY_AUDIENCE,
    PROXY_HEADER,
    Rig,
    bearer,
    behind,
    named,
    provided,
)

from quorumkey_relay.identity.cached import BETWEEN_SECONDS, STALE_SECONDS
from quorumkey_relay.identity.identity_problems import identity_problems
from quorumkey_relay.jit_settings import IdentitySettings, OidcSettings, ProxySettings
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.standins.exchange import json_reply
from quorumkey_relay.standins.oidc import SigningKey
from quorumkey_relay.usecases.jit.ports import Person

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from tests.relay.jit.forged import Signer

    from quorumkey_relay.standins.oidc import Algorithm

pytestmark = pytest.mark.anyio

ALICE = "alice@example.com"
STRANGER = SigningKey.make("RS256")
STRANGE_CURVE = SigningKey.make("ES256")


@pytest.fixture
async def rig(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Rig, None]:
    """A provider whose tokens are signed with RS256."""
    del anyio_backend
    async with provided(tmp_path) as ready:
        yield ready


async def who(rig: Rig, headers: Mapping[bytes, bytes], **settings: Any) -> str:  # noqa: ANN401 - as the rig takes
    """Who a call is by, or the code that it is refused with."""
    return named(await rig.identity(**settings).people.identify(headers))


# ------------------------------------------------------------ ID tokens


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
async def test_c25_an_id_token_says_who_somebody_is(tmp_path: Path, algorithm: Algorithm) -> None:
    """With either algorithm; the address is in lower case."""
    async with provided(tmp_path, algorithm=algorithm) as rig:
        found = await rig.identity().people.identify(bearer(rig.oidc.id_token("Alice@Example.com")))

    assert Person(email=ALICE) == found


async def test_c25_the_scheme_has_no_case(rig: Rig) -> None:
    """RFC 9110, section 11.1; under another scheme, or none, a token is no bearer token."""
    token = rig.oidc.id_token(ALICE)
    values = (f"bEARER  {token} ", f"DPoP {token}", f" {token}", token)

    assert [ALICE, *["unauthorized"] * 3] == [
        await who(rig, {b"authorization": value.encode()}) for value in values
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"x-debug-principal": b"alice@example.com"},
        {b"x-goog-authenticated-user-email": b"accounts.google.com:alice@example.com"},
        {b"x-forwarded-user": b"alice@example.com"},
        {b"x-forwarded-email": b"alice@example.com"},
        {b"remote-user": b"alice@example.com"},
        {b"authorization": b""},
        {b"authorization": b"Bearer"},
        {b"authorization": b"Bearer alice@example.com"},
        {b"authorization": b"Basic YWxpY2VAZXhhbXBsZS5jb206eA=="},
        {b"authorization": b"Bearer \xff.\xff.\xff"},
        {b"cookie": b"quorumkey-jit=alice@example.com"},
        {b"cookie": b"__Host-quorumkey-jit=alice@example.com"},
        {b"cookie": b"\xff;=;;;a=b=c"},
    ],
    ids=ascii,
)
async def test_c25_a_bare_header_says_nothing(rig: Rig, headers: dict[bytes, bytes]) -> None:
    """What bears no signature is not read, whoever may write it."""
    both = {"oidc": rig.oidc_settings(), "proxy": rig.proxy_settings()}

    assert ["unauthorized"] * 2 == [await who(rig, headers), await who(rig, headers, **both)]


CLAIMS: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": "https://accounts.example.org"},
    "the issuer with a slash": {"iss": "SLASH"},
    "no issuer": {"iss": None},
    "another audience": {"aud": "another-client"},
    "no audience": {"aud": None},
    "an empty list of audiences": {"aud": []},
    "one more audience": {"aud": ["quorumkey-stand-in", "another-client"]},
    "one more audience, issued to us": {
        "aud": ["quorumkey-stand-in", "another-client"],
        "azp": "quorumkey-stand-in",
    },
    "an audience in capitals": {"aud": "QUORUMKEY-STAND-IN"},
    "issued to another party": {"azp": "another-client"},
    "a party that is no text": {"azp": ["quorumkey-stand-in"]},
    "two audiences and no party": {"aud": ["quorumkey-stand-in", "second"]},
    "no end": {"exp": None},
    "an end that is a text": {"exp": "1800003600"},
    "an end that is true": {"exp": True},
    "for ever": {"exp": 1e300},
    "ended now": {"exp": 1_800_000_000},
    "ended": {"exp": 1_799_999_999},
    "no beginning": {"iat": None},
    "issued in the future": {"iat": 1_800_000_061},
    "not before later": {"nbf": 1_800_000_061},
    "no address": {"email": None},
    "an address that is none": {"email": "alice"},
    "an address in a list": {"email": [ALICE]},
    "two addresses": {"email": "alice@example.com,bob@example.com"},
    "an address with a line break": {"email": "alice@example.com\n"},
    "an address with a letter beyond ASCII": {"email": "al\u0131ce@example.com"},
    "an address that is not verified": {"email_verified": False},
    "an address of which nobody says that it is": {"email_verified": None},
    "an address that is verified by a text": {"email_verified": "true"},
    "an address that is verified by a number": {"email_verified": 1},
}


@pytest.mark.parametrize("name", CLAIMS)
async def test_c25_an_id_token_must_be_for_this_relay_now_and_of_somebody(
    rig: Rig, name: str
) -> None:
    """Each claim that is wrong or missing refuses it."""
    changes = CLAIMS[name]
    if changes.get("iss") == "SLASH":
        changes = {"iss": rig.oidc.issuer + "/"}
    oidc = rig.oidc_settings(
        audiences=(rig.oidc.client_id, "second")
        if name.startswith("two audiences")
        else (rig.oidc.client_id,)
    )

    assert "unauthorized" == await who(rig, bearer(rig.oidc.id_token(ALICE, **changes)), oidc=oidc)


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["quorumkey-stand-in"]},
        {"aud": ["quorumkey-stand-in", "second"], "azp": "second"},
        {"azp": "quorumkey-stand-in"},
        {"iat": 1_800_000_060},
        {"nbf": 1_800_000_060},
        {"iat": 1_799_999_999.5, "exp": 1_800_000_000.5},
        {"exp": 1_800_000_001},
        {"auth_time": 1.5, "groups": ["a", "b"]},
    ],
    ids=str,
)
async def test_c25_what_an_id_token_may_say(rig: Rig, changes: dict[str, object]) -> None:
    """A list of audiences that are all ours, a clock that is a minute ahead, other claims."""
    oidc = rig.oidc_settings(audiences=(rig.oidc.client_id, "second"))

    assert ALICE == await who(rig, bearer(rig.oidc.id_token(ALICE, **changes)), oidc=oidc)


async def test_c25_another_claim_may_hold_the_address(rig: Rig) -> None:
    """Who names it in the settings vouches for it, unless the issuer says the opposite."""
    oidc = rig.oidc_settings(email_claim="upn")
    found = [
        await who(
            rig,
            bearer(rig.oidc.id_token("x@evil.example", upn=ALICE, email_verified=flag)),
            oidc=oidc,
        )
        for flag in (None, True, False)
    ]

    assert [ALICE, ALICE, "unauthorized"] == found


def hmac_with_public_key(key: SigningKey) -> Signer:
    """An HMAC whose secret everybody knows."""
    secret = key.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return lambda message: hmac.digest(secret, message, hashlib.sha256)


def signer(key: SigningKey) -> Signer:
    """Sign as its algorithm does."""
    if isinstance(key.private, ec.EllipticCurvePrivateKey):
        return forged.es256(key.private)
    assert isinstance(key.private, rsa.RSAPrivateKey)
    return forged.rs256(key.private)


def good_claims(rig: Rig) -> dict[str, object]:
    """What an ID token of Alice says."""
    return {
        "iss": rig.oidc.issuer,
        "aud": rig.oidc.client_id,
        "iat": rig.clock.now(),
        "exp": rig.clock.now() + 600,
        "email": ALICE,
        "email_verified": True,
    }


@pytest.mark.parametrize(
    ("changes", "how"),
    [
        ({"alg": "none"}, "empty"),
        ({"alg": "HS256"}, "hmac"),
        ({"alg": "RS512"}, "own"),
        ({"alg": "PS256"}, "own"),
        ({"alg": "ES256"}, "own"),
        ({"alg": "ES256"}, "curve"),
        ({}, "empty"),
        ({}, "stranger"),
        ({"kid": "unknown"}, "own"),
        ({"kid": ""}, "own"),
        ({"kid": None}, "own"),
        ({"crit": ["exp"]}, "own"),
        ({"b64": False}, "own"),
        ({"typ": "at+jwt"}, "own"),
        ({"typ": "logout+jwt"}, "own"),
        ({"jku": "https://attacker.example/jwks"}, "stranger"),
        ({"x5u": "https://attacker.example/cert"}, "stranger"),
        ({"jwk": STRANGER.jwk()}, "stranger"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(list(value.items()))[:40],
)
async def test_c25_a_token_that_the_issuer_has_not_signed(
    rig: Rig, changes: dict[str, object], how: str
) -> None:
    """Neither a header nor a known id makes up for the signature."""
    own = rig.oidc.keys[0]
    signers: dict[str, Signer] = {
        "own": signer(own),
        "stranger": signer(STRANGER),
        "curve": signer(STRANGE_CURVE),
        "hmac": hmac_with_public_key(own),
        "empty": lambda _: b"\0",
    }
    header = {"alg": "RS256", "kid": own.kid, "typ": "JWT"} | changes
    token = forged.token(header, good_claims(rig), signers[how])

    assert "unauthorized" == await who(rig, bearer(token))


async def test_c25_a_type_is_not_needed(rig: Rig) -> None:
    """Issuers leave it out, or write it in small letters."""
    own = rig.oidc.keys[0]
    headers: list[dict[str, object]] = [
        {"alg": "RS256", "kid": own.kid},
        {"alg": "RS256", "kid": own.kid, "typ": "jwt", "x5t": "ignored"},
    ]

    assert [ALICE] * 2 == [
        await who(rig, bearer(forged.token(header, good_claims(rig), signer(own))))
        for header in headers
    ]


async def test_c25_a_key_needs_no_id_while_there_is_one_key(rig: Rig) -> None:
    """With two, a token must say which; and the id of one key is not good for the other."""
    own = rig.oidc.keys[0]
    without = forged.token({"alg": "RS256"}, good_claims(rig), signer(own))
    first = await who(rig, bearer(without))
    rig.oidc.rotate()
    wrong = forged.token(
        {"alg": "RS256", "kid": rig.oidc.keys[0].kid}, good_claims(rig), signer(own)
    )

    assert [ALICE, "unauthorized", "unauthorized"] == [
        first,
        await who(rig, bearer(without)),
        await who(rig, bearer(wrong)),
    ]


@pytest.mark.parametrize("size", [16_385, 1_000_000])
async def test_c25_a_token_has_a_bounded_size(rig: Rig, size: int) -> None:
    """It is refused before anything of it is read, and no key is fetched."""
    token = rig.oidc.id_token(ALICE, padding="x" * size)

    assert ("unauthorized", 0) == (await who(rig, bearer(token)), rig.oidc.calls["/jwks"])


async def test_c25_claims_that_stand_there_twice(rig: Rig) -> None:
    """Even from the issuer itself: two readers could see two people."""
    own = rig.oidc.keys[0]
    claims = (
        f'{{"iss": "{rig.oidc.issuer}", "aud": "{rig.oidc.client_id}", "exp": 1800000600, '
        '"iat": 1800000000, "email": "alice@example.com", "email_verified": true, '
        '"email": "bob@example.com"}'
    )
    token = forged.token({"alg": "RS256", "kid": own.kid}, claims.encode(), signer(own))

    assert "unauthorized" == await who(rig, bearer(token))


# ------------------------------------------------------------ keys


async def test_c25_the_issuer_changes_its_keys(rig: Rig) -> None:
    """A token of the new key is good at once, one of the old key as long as it is published."""
    people = rig.identity().people
    old = rig.oidc.id_token(ALICE)
    found = [named(await people.identify(bearer(old)))]
    rig.oidc.rotate()
    rig.clock.advance(int(BETWEEN_SECONDS))
    new = rig.oidc.id_token("bob@example.com")
    found += [named(await people.identify(bearer(token))) for token in (new, old)]
    rig.oidc.retire_old_keys()
    rig.clock.advance(600)
    found += [named(await people.identify(bearer(token))) for token in (new, old)]

    assert [ALICE, "bob@example.com", ALICE, "bob@example.com", "unauthorized"] == found


async def test_c25_without_the_issuer_nobody_can_say(rig: Rig) -> None:
    """That is 502, until its keys can be read; known keys go on to count for hours."""
    people = rig.identity().people
    rig.oidc.faults.is_down = True
    token = rig.oidc.id_token(ALICE, exp=rig.clock.now() + 1_000_000)
    found = [named(await people.identify(bearer(token)))]
    rig.oidc.faults.is_down = False
    rig.clock.advance(int(BETWEEN_SECONDS))
    found.append(named(await people.identify(bearer(token))))
    rig.oidc.faults.answer_status = 503
    rig.clock.advance(int(STALE_SECONDS) - 1)
    found.append(named(await people.identify(bearer(token))))
    rig.clock.advance(int(BETWEEN_SECONDS))
    found.append(named(await people.identify(bearer(token))))

    assert ["backend_failed", ALICE, ALICE, "backend_failed"] == found


@pytest.mark.parametrize(
    "document",
    [
        {},
        [],
        {"issuer": "https://other.example", "jwks_uri": "SAME"},
        {"issuer": "SAME"},
        {"issuer": "SAME", "jwks_uri": "http://idp.example/jwks"},
        {"issuer": "SAME", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "SAME", "jwks_uri": 7},
    ],
    ids=str,
)
async def test_c25_a_configuration_that_is_not_the_issuers(rig: Rig, document: object) -> None:
    """Another issuer, or keys at an address that anybody could answer for: no keys."""
    if isinstance(document, dict):
        same = {"issuer": rig.oidc.issuer, "jwks_uri": rig.oidc.jwks_url}
        members = cast("dict[str, object]", document)
        document = {
            name: same[name] if value == "SAME" else value for name, value in members.items()
        }
    rig.oidc.overrides["/.well-known/openid-configuration"] = json_reply(200, document)

    assert "backend_failed" == await who(rig, bearer(rig.oidc.id_token(ALICE)))


async def test_c25_keys_may_be_named_in_the_settings(rig: Rig) -> None:
    """Then no configuration is asked for."""
    oidc = rig.oidc_settings(jwks_url=rig.oidc.jwks_url, client_id=None, client_secret_file=None)

    assert ALICE == await who(rig, bearer(rig.oidc.id_token(ALICE)), oidc=oidc)
    assert 0 == rig.oidc.calls["/.well-known/openid-configuration"]


async def test_c25_redirects_are_not_followed(rig: Rig) -> None:
    """Keys come from where the settings and the issuer say."""
    moved = json_reply(302, {}, ("location", rig.oidc.jwks_url))
    rig.oidc.overrides["/.well-known/openid-configuration"] = moved

    assert "backend_failed" == await who(rig, bearer(rig.oidc.id_token(ALICE)))


# ------------------------------------------------------------ the proxy


async def test_c25_a_proxy_says_who_somebody_is_and_where_they_sit(rig: Rig) -> None:
    """Device and access levels go into the audit log."""
    token = rig.oidc.proxy_assertion(
        "Alice@Example.com",
        audience=PROXY_AUDIENCE,
        device_id="device-1",
        access_levels=("accessPolicies/1/accessLevels/office",),
    )
    people = rig.identity(proxy=rig.proxy_settings()).people

    assert Person(
        email=ALICE,
        device_id="device-1",
        access_levels=("accessPolicies/1/accessLevels/office",),
    ) == await people.identify(behind(token))


@pytest.mark.parametrize(
    "google",
    [None, 7, [], {}, {"device_id": 7, "access_levels": "x"}, {"access_levels": [7]}],
    ids=str,
)
async def test_c25_what_a_proxy_says_of_a_machine_is_optional(rig: Rig, google: object) -> None:
    """Nothing is decided by it."""
    token = rig.oidc.proxy_assertion(ALICE, audience=PROXY_AUDIENCE, google=google)
    people = rig.identity(proxy=rig.proxy_settings()).people

    assert Person(email=ALICE) == await people.identify(behind(token))


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://accounts.google.com"},
        {"iss": None},
        {"aud": "/projects/2/apps/other"},
        {"aud": [PROXY_AUDIENCE, "/projects/2/apps/other"]},
        {"aud": None},
        {"exp": None},
        {"exp": 1_800_000_000},
        {"iat": None},
        {"iat": 1_800_000_031},
        {"nbf": 1_800_000_031},
        {"email": None},
        {"email": "accounts.google.com:alice@example.com"},
        {"email": ["alice@example.com"]},
        {"email_verified": False},
    ],
    ids=str,
)
async def test_c25_the_header_of_a_proxy_must_be_for_this_relay_now(
    rig: Rig, changes: dict[str, Any]
) -> None:
    """As an ID token."""
    token = rig.oidc.proxy_assertion(ALICE, audience=PROXY_AUDIENCE, **changes)

    assert "unauthorized" == await who(rig, behind(token), proxy=rig.proxy_settings())


async def test_c25_the_header_of_a_proxy_must_be_signed_by_it(rig: Rig) -> None:
    """Not by another key under its id, and not by an ID token of the same people."""
    claims: dict[str, object] = {
        "iss": "https://cloud.google.com/iap",
        "aud": PROXY_AUDIENCE,
        "iat": rig.clock.now(),
        "exp": rig.clock.now() + 600,
        "email": ALICE,
    }
    kid = rig.oidc.proxy_key.kid
    tokens = [
        STRANGE_CURVE.sign(claims, kid=kid),
        STRANGER.sign(claims, kid=kid),
        rig.oidc.keys[0].sign(claims),
        forged.token({"alg": "none"}, claims, lambda _: b"\0"),
        forged.token(
            {"alg": "HS256", "kid": kid}, claims, hmac_with_public_key(rig.oidc.proxy_key)
        ),
        rig.oidc.id_token(ALICE, aud=PROXY_AUDIENCE),
        ALICE,
        "",
    ]

    assert ["unauthorized"] * 8 == [
        await who(rig, behind(token), proxy=rig.proxy_settings()) for token in tokens
    ]


async def test_c25_the_header_of_the_proxy_decides_alone(rig: Rig) -> None:
    """One that is bad is not made good by a bearer token, and one that is good is not changed."""
    both = {"oidc": rig.oidc_settings(), "proxy": rig.proxy_settings()}
    bob = bearer(rig.oidc.id_token("bob@example.com"))
    good = rig.oidc.proxy_assertion(ALICE, audience=PROXY_AUDIENCE)
    bad = rig.oidc.proxy_assertion(ALICE, audience="other")

    assert [ALICE, "unauthorized", "bob@example.com"] == [
        await who(rig, bob | behind(good), **both),
        await who(rig, bob | behind(bad), **both),
        await who(rig, bob, **both),
    ]


async def test_c25_a_proxy_that_is_not_set_up_is_not_believed(rig: Rig) -> None:
    """Its header is then as bare as any; and without OIDC no bearer token counts."""
    assertion = rig.oidc.proxy_assertion(ALICE, audience=PROXY_AUDIENCE)

    assert ["unauthorized"] * 2 == [
        await who(rig, behind(assertion)),
        await who(rig, bearer(rig.oidc.id_token(ALICE)), proxy=rig.proxy_settings()),
    ]


async def test_c25_a_proxy_without_keys(rig: Rig) -> None:
    """Nobody can say."""
    rig.oidc.faults.answer_status = 500
    token = rig.oidc.proxy_assertion(ALICE, audience=PROXY_AUDIENCE)

    assert "backend_failed" == await who(
        rig, {PROXY_HEADER: token.encode()}, proxy=rig.proxy_settings()
    )


# ------------------------------------------------------------ settings


def problems(oidc: OidcSettings | None = None, proxy: ProxySettings | None = None) -> list[str]:
    """What cannot be meant."""
    return list(identity_problems(IdentitySettings(oidc=oidc, proxy=proxy)))


OIDC = OidcSettings(issuer="https://idp.example", audiences=("client",))
PROXY = ProxySettings(audience="audience")


def test_c25_settings_that_can_be_meant() -> None:
    """Either, or both."""
    assert [[], [], []] == [problems(oidc=OIDC), problems(proxy=PROXY), problems(OIDC, PROXY)]


@pytest.mark.parametrize(
    ("oidc", "proxy", "expected"),
    [
        (None, None, "identity must have oidc, proxy or both."),
        (replace(OIDC, audiences=()), None, "identity.oidc.audiences must name"),
        (replace(OIDC, algorithms=()), None, "identity.oidc.algorithms must name"),
        (replace(OIDC, issuer="http://idp.example"), None, "identity.oidc.issuer must be an https"),
        (replace(OIDC, jwks_url="ftp://x"), None, "identity.oidc.jwks_url must be an https"),
        (
            replace(OIDC, client_secret_file=Path("secret")),
            None,
            "identity.oidc.client_secret_file needs client_id",
        ),
        (None, replace(PROXY, algorithms=()), "identity.proxy.algorithms must name"),
        (None, replace(PROXY, jwks_url="keys"), "identity.proxy.jwks_url must be an https"),
        (None, replace(PROXY, header="x y"), "identity.proxy.header must be"),
        (None, replace(PROXY, header="Authorization"), "identity.proxy.header must be"),
        (None, replace(PROXY, header="Cookie"), "identity.proxy.header must be"),
    ],
    ids=range(11),
)
def test_c25_settings_that_cannot_be_meant(
    oidc: OidcSettings | None, proxy: ProxySettings | None, expected: str
) -> None:
    """Each is told."""
    (problem,) = problems(oidc, proxy)

    assert problem.startswith(expected)


async def test_c25_nobody_is_known_by_such_settings(rig: Rig) -> None:
    """All of them are told at once."""
    with pytest.raises(ConfigError) as caught:
        rig.identity(oidc=rig.oidc_settings(issuer="http://idp.example", audiences=()))

    assert (
        "identity.oidc.audiences must name at least one client id.",
        "identity.oidc.issuer must be an https address.",
    ) == caught.value.problems


@pytest.mark.parametrize(
    ("content", "mode", "expected"),
    [
        (b"", 0o600, "must hold the client's secret"),
        (b"\xff\xfe", 0o600, "must hold the client's secret"),
        (b"secret", 0o644, "can be read by others"),
    ],
    ids=["empty", "binary", "readable"],
)
async def test_c25_the_secret_of_the_client(
    rig: Rig, content: bytes, mode: int, expected: str
) -> None:
    """A private file with a text in it."""
    path = rig.folder / "secret"
    path.write_bytes(content)
    path.chmod(mode)
    with pytest.raises(ConfigError, match=expected):
        rig.identity(oidc=rig.oidc_settings(client_secret_file=path))
