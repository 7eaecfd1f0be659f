"""The tokens that lead to a request for a role: who signs them, what they say, how long."""

from __future__ import annotations

import hashlib
import hmac
import json
from base64 import b64encode
from typing import TYPE_CHECKING

import jwt
import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st
from tests.relay.jit import forged

from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.domain.jit.request import AccessRequest
from quorumkey_relay.identity.activation_tokens import (
    ActivationClaims,
    ActivationTokens,
    TokenRefused,
    claims_of,
    obfuscated,
)
from quorumkey_relay.identity.signed_tokens import MAX_TOKEN_CHARS
from quorumkey_relay.identity.token_keys import (
    SigningKey,
    TokenKeys,
    jwk,
    thumbprint,
    verifying_key,
)

if TYPE_CHECKING:
    from tests.relay.jit.forged import Signer

    from quorumkey_relay.identity.signed_tokens import Algorithm
    from quorumkey_relay.identity.token_keys import PrivateKey

NOW = 1_800_000_000
ISSUER = "https://relay.example"
JTI = "mpa-" + b64encode(bytes(range(12))).decode()

CURVE = ec.generate_private_key(ec.SECP256R1())
OTHER_CURVE = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65_537, 2_048)
KEYS: dict[Algorithm, PrivateKey] = {"ES256": CURVE, "RS256": RSA}

CLAIMS = ActivationClaims(
    id=JTI,
    beneficiary="alice@example.com",
    reviewers=("bob@example.com", "carol@example.com"),
    entitlement=EntitlementId("project-1", "roles/compute.admin", 'resource.name == "a:b"'),
    justification="BUG-12345",
    start=NOW,
    end=NOW + 300,
    issued_at=NOW,
    expires_at=NOW + 3_600,
)


def tokens_of(*keys: PrivateKey) -> ActivationTokens:
    """Tokens that the first of the keys signs."""
    verifying = tuple(verifying_key(key.public_key()) for key in keys)
    first = verifying[0]
    signing = SigningKey(thumbprint(first.public), first.algorithm, keys[0])
    return ActivationTokens(TokenKeys(signing, verifying), issuer=ISSUER)


def said(**changes: object) -> dict[str, object]:
    """The claims of a good token; one that is None is left out."""
    claims = {
        "iss": ISSUER,
        "aud": ISSUER,
        "jti": JTI,
        "iat": NOW,
        "exp": NOW + 3_600,
        "beneficiary": "alice@example.com",
        "reviewers": ["bob@example.com"],
        "entitlement": "project-1:roles/compute.admin",
        "justification": "BUG-12345",
        "start": NOW,
        "end": NOW + 300,
    }
    return {name: value for name, value in (claims | changes).items() if value is not None}


def head(**changes: object) -> dict[str, object]:
    """The header of a good token; a member that is None is left out."""
    members = {"alg": "ES256", "typ": "JWT", "kid": thumbprint(CURVE.public_key())}
    return {name: value for name, value in (members | changes).items() if value is not None}


def reason(text: str, *, now: int = NOW, tokens: ActivationTokens | None = None) -> str:
    """Why a token is refused."""
    with pytest.raises(TokenRefused) as caught:
        (tokens or tokens_of(CURVE)).read(text, now=now)
    return caught.value.reason


SIGN = forged.es256(CURVE)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_c14_a_token_is_read_by_who_wrote_it(algorithm: Algorithm) -> None:
    """What was written is read, signed with the algorithm and under the key's thumbprint."""
    tokens = tokens_of(KEYS[algorithm])
    text = tokens.mint(CLAIMS)

    assert CLAIMS == tokens.read(text, now=NOW)
    assert {
        "alg": algorithm,
        "typ": "JWT",
        "kid": thumbprint(KEYS[algorithm].public_key()),
    } == jwt.get_unverified_header(text)


def test_c14_what_is_forged_by_hand_is_good_where_nothing_is_wrong_with_it() -> None:
    """So each refusal below is for its own reason."""
    read = tokens_of(CURVE).read(forged.token(head(), said(), SIGN), now=NOW)

    assert (JTI, ("bob@example.com",)) == (read.id, read.reviewers)


def with_public_key_as_secret(encoding: Encoding, form: PublicFormat) -> Signer:
    """An HMAC whose secret everybody knows."""
    secret = CURVE.public_key().public_bytes(encoding, form)
    return lambda message: hmac.digest(secret, message, hashlib.sha256)


def empty_signature(_message: bytes) -> bytes:
    """Nothing."""
    return b"\0"


HEADERS: dict[str, tuple[dict[str, object], Signer, str]] = {
    "none": (head(alg="none"), empty_signature, "algorithm"),
    "None": (head(alg="None"), empty_signature, "algorithm"),
    "HS256 with the public key in PEM": (
        head(alg="HS256"),
        with_public_key_as_secret(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        "algorithm",
    ),
    "HS256 with the public key in DER": (
        head(alg="HS256"),
        with_public_key_as_secret(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        "algorithm",
    ),
    "ES384": (head(alg="ES384"), SIGN, "algorithm"),
    "es256": (head(alg="es256"), SIGN, "algorithm"),
    "no algorithm": (head(alg=None), SIGN, "algorithm"),
    "a list of algorithms": (head(alg=["ES256"]), SIGN, "algorithm"),
    "RS256, which no key here is for": (head(alg="RS256"), forged.rs256(RSA), "algorithm"),
    "another key": (head(), forged.es256(OTHER_CURVE), "signature"),
    "no signature": (head(), empty_signature, "signature"),
    "another key's id": (head(kid=thumbprint(OTHER_CURVE.public_key())), SIGN, "key"),
    "no key id": (head(kid=None), SIGN, "key"),
    "a key id that is no text": (head(kid=7), SIGN, "malformed"),
    "a key id of a kilobyte": (head(kid="k" * 1_024), SIGN, "malformed"),
    "a path as key id": (head(kid="../../../dev/null"), empty_signature, "key"),
    "an extension that must be understood": (head(crit=["exp"], exp=1), SIGN, "critical_header"),
    "no extension, but crit": (head(crit=[]), SIGN, "critical_header"),
    "an unencoded payload": (head(b64=False, crit=["b64"]), SIGN, "critical_header"),
    "an access token": (head(typ="at+jwt"), SIGN, "type"),
    "a type that is no text": (head(typ=None) | {"typ": None}, SIGN, "type"),
}


@pytest.mark.parametrize("name", HEADERS)
def test_c14_hostile_headers_are_refused(name: str) -> None:
    """Whatever a header asks for, only the relay's own keys and algorithms count."""
    header, sign, expected = HEADERS[name]

    assert expected == reason(forged.token(header, said(), sign))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5u", "x5c"])
def test_c14_a_key_that_comes_with_the_token_is_not_looked_at(name: str) -> None:
    """A token that names or brings its own key is refused like any that is signed with it."""
    own = jwk(OTHER_CURVE.public_key())
    header = head(**{name: own if name == "jwk" else "https://attacker.example/keys"})

    assert "signature" == reason(forged.token(header, said(), forged.es256(OTHER_CURVE)))


def test_c14_a_key_is_of_one_algorithm() -> None:
    """With keys of both kinds, the id of the one under the algorithm of the other is no key."""
    tokens = tokens_of(CURVE, RSA)
    text = forged.token(
        head(alg="RS256", kid=thumbprint(CURVE.public_key())), said(), forged.rs256(RSA)
    )

    assert "key" == reason(text, tokens=tokens)


def test_c14_each_key_counts_after_a_change() -> None:
    """Tokens of the key before are read as long as it is among the keys, and then no more."""
    before = tokens_of(CURVE).mint(CLAIMS)

    assert CLAIMS == tokens_of(RSA, CURVE).read(before, now=NOW)
    assert "algorithm" == reason(before, tokens=tokens_of(RSA))
    assert "key" == reason(before, tokens=tokens_of(OTHER_CURVE))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"iss": "https://other.example"}, "issuer"),
        ({"iss": ISSUER + "/"}, "issuer"),
        ({"iss": None}, "issuer"),
        ({"iss": [ISSUER]}, "issuer"),
        ({"aud": "https://other.example"}, "audience"),
        ({"aud": None}, "audience"),
        ({"aud": []}, "audience"),
        ({"aud": [ISSUER, "https://other.example"]}, "audience"),
        ({"aud": [ISSUER, 7]}, "audience"),
        ({"aud": {ISSUER: True}}, "audience"),
    ],
    ids=str,
)
def test_c14_a_token_is_from_and_for_the_relay_itself(
    change: dict[str, object], expected: str
) -> None:
    """Issuer and audience are both this relay, and nobody besides."""
    assert expected == reason(forged.token(head(), said(**change), SIGN))


def test_c15_what_a_token_says() -> None:
    """The claims of 1.8 and later, and nothing more."""
    claims = jwt.decode(tokens_of(CURVE).mint(CLAIMS), options={"verify_signature": False})
    entitlement = "project-1:roles/compute.admin:cmVzb3VyY2UubmFtZSA9PSAiYTpiIg=="

    assert said(reviewers=["bob@example.com", "carol@example.com"], entitlement=entitlement) == (
        claims
    )


def test_c15_the_generation_of_resource_and_role_is_read() -> None:
    """Versions 1.2 to 1.7 name a resource and a role; the first had no iat, but began at once."""
    old = said(
        entitlement=None,
        iat=None,
        resource="//cloudresourcemanager.googleapis.com/projects/project-1",
        role="roles/compute.admin",
        beneficiary="Alice@Example.com",
    )
    read = tokens_of(CURVE).read(forged.token(head(), old, SIGN), now=NOW)

    assert (EntitlementId("project-1", "roles/compute.admin"), "alice@example.com", NOW) == (
        read.entitlement,
        read.beneficiary,
        read.issued_at,
    )


OLD = {"entitlement": None, "role": "roles/x"}
PROJECTS = "//cloudresourcemanager.googleapis.com/projects/"


@pytest.mark.parametrize(
    "change",
    [
        {"jti": None},
        {"jti": "mpa-short"},
        {"jti": "jit-" + "A" * 16},
        {"jti": "mpa-AAAA-AAAA_AAAAAA"},
        {"jti": 7},
        {"beneficiary": None},
        {"beneficiary": "alice"},
        {"beneficiary": ["alice@example.com"]},
        {"reviewers": None},
        {"reviewers": []},
        {"reviewers": "bob@example.com"},
        {"reviewers": ["bob@example.com", 7]},
        {"reviewers": ["bob@example.com"] * 51},
        {"entitlement": None},
        {"entitlement": "project-1"},
        {"entitlement": "a:b:c:d"},
        {"entitlement": "a:b:no-base64!"},
        {"entitlement": 7},
        {"resource": PROJECTS + "p", "role": "roles/x"},
        {**OLD, "resource": None},
        {**OLD, "resource": "projects/p"},
        {**OLD, "resource": "p"},
        {**OLD, "resource": PROJECTS + "p/buckets/b"},
        {**OLD, "resource": PROJECTS + "p:extra"},
        {**OLD, "resource": PROJECTS},
        {"justification": None},
        {"justification": {}},
        {"start": None},
        {"start": "1800000000"},
        {"start": True},
        {"start": -1},
        {"start": 1.5},
        {"start": NOW + 300},
        {"end": 10**400},
        {"iat": True},
        {"iat": "now"},
    ],
    ids=lambda change: json.dumps(change)[:60],
)
def test_c15_claims_that_cannot_be_meant_are_refused(change: dict[str, object]) -> None:
    """Each claim has its form; both generations in one token are none."""
    assert "claims" == reason(forged.token(head(), said(**change), SIGN))


def test_c15_a_reviewer_counts_once() -> None:
    """Addresses that differ in case are one person."""
    claims = said(reviewers=["bob@example.com", "Bob@Example.com"])

    assert ("bob@example.com",) == (
        tokens_of(CURVE).read(forged.token(head(), claims, SIGN), now=NOW).reviewers
    )


def test_c15_a_token_agrees_with_the_request_that_it_points_to() -> None:
    """Whatever differs, the two do not agree."""
    request = AccessRequest(
        id=JTI,
        integrator_id="i",
        beneficiary=CLAIMS.beneficiary,
        entitlement=CLAIMS.entitlement,
        reviewers=CLAIMS.reviewers,
        required=1,
        reject_policy="any",
        justification=CLAIMS.justification,
        window_from="request",
        start=NOW,
        duration_seconds=300,
        created_at=NOW,
        expires_at=NOW + 3_600,
        approval="click",
    )

    assert CLAIMS == claims_of(request)
    assert CLAIMS.agrees_with(request)
    assert not CLAIMS.agrees_with(msgspec.structs.replace(request, reviewers=("bob@example.com",)))


def test_c16_a_token_ends_when_the_request_does() -> None:
    """A second before its end it is read; at its end, and ever after, it is not."""
    tokens = tokens_of(CURVE)
    text = tokens.mint(CLAIMS)

    assert CLAIMS == tokens.read(text, now=NOW + 3_599)
    assert ["expired"] * 2 == [
        reason(text, now=moment) for moment in (NOW + 3_600, NOW + 10_000_000)
    ]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"exp": None}, "claims"),
        ({"exp": NOW}, "expired"),
        ({"exp": str(NOW + 3_600)}, "claims"),
        ({"exp": True}, "claims"),
        ({"exp": [NOW + 3_600]}, "claims"),
        ({"exp": 10**400}, "claims"),
        ({"exp": 1e308}, "claims"),
        ({"exp": -1}, "claims"),
        ({"iat": NOW + 1}, "not_yet"),
        ({"nbf": NOW + 1}, "not_yet"),
        ({"nbf": "never"}, "claims"),
    ],
    ids=str,
)
def test_c16_a_token_without_an_end_or_before_its_time_is_refused(
    change: dict[str, object], expected: str
) -> None:
    """There is no token for ever, and none from the future."""
    assert expected == reason(forged.token(head(), said(**change), SIGN))


def test_c16_access_may_end_before_or_after_the_token() -> None:
    """The end of the access that is asked for is another thing than the token's."""
    tokens = tokens_of(CURVE)
    ends = [NOW + 60, NOW + 7_200]

    assert ends == [
        tokens.read(forged.token(head(), said(end=end), SIGN), now=NOW).end for end in ends
    ]


def twice(members: dict[str, object], name: str, value: object) -> bytes:
    """JSON whose first member stands there again, at the end."""
    text = json.dumps(members)
    return f"{text[:-1]}, {json.dumps(name)}: {json.dumps(value)}}}".encode()


BAD_JSON = "malformed"
DOCUMENTS: dict[str, tuple[bytes, bytes, str]] = {
    "alg twice": (twice(head(alg="none"), "alg", "ES256"), b"", "duplicate_member"),
    "kid twice": (twice(head(), "kid", "x"), b"", "duplicate_member"),
    "exp twice": (b"", twice(said(exp=1), "exp", NOW + 9), "duplicate_member"),
    "beneficiary twice": (
        b"",
        twice(said(), "beneficiary", "mallory@example.com"),
        "duplicate_member",
    ),
    "a member twice deep inside": (b"", b'{"x": [{"a": 1, "a": 2}]}', "duplicate_member"),
    "a header that is a list": (b'["ES256"]', b"", BAD_JSON),
    "claims that are a list": (b"", b"[]", BAD_JSON),
    "claims that are null": (b"", b"null", BAD_JSON),
    "something behind the claims": (b"", json.dumps(said()).encode() + b"{}", BAD_JSON),
    "NaN": (b"", b'{"exp": NaN}', BAD_JSON),
    "Infinity": (b"", b'{"exp": Infinity}', BAD_JSON),
    "half a surrogate pair": (b"", b'{"beneficiary": "\\ud800"}', BAD_JSON),
    "no UTF-8": (b"", b'{"beneficiary": "\xff"}', BAD_JSON),
    "UTF-16": (b"", json.dumps(said()).encode("utf-16"), BAD_JSON),
    "deep nesting in the claims": (b"", b"[" * 6_000, BAD_JSON),
    "deep nesting in the header": (b'{"a":' * 2_000, b"", BAD_JSON),
    "a number of 5,000 digits": (b"", b'{"exp": ' + b"9" * 5_000 + b"}", BAD_JSON),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_c14_json_that_could_be_read_in_two_ways_is_refused(name: str) -> None:
    """Even signed by the relay's own key."""
    header, claims, expected = DOCUMENTS[name]

    assert expected == reason(forged.token(header or head(), claims or said(), SIGN))


GOOD = forged.token(head(), said(), SIGN)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a.b",
        GOOD + ".",
        GOOD + ".e30",
        GOOD + "=",
        GOOD + "\n",
        " " + GOOD,
        GOOD.replace(".", ". ", 1),
        GOOD + "\N{KELVIN SIGN}",
        "ey" + "J" * MAX_TOKEN_CHARS,
        "\ud800.a.b",
    ],
    ids=lambda text: ascii(text[:20]),
)
def test_c14_what_is_no_token_is_refused(text: str) -> None:
    """Nothing else than three parts of base64url, of bounded length, is looked at."""
    assert "malformed" == reason(text)


def test_c14_a_signature_has_one_spelling() -> None:
    """The last letter holds bits that mean nothing; only one letter stands for a signature."""
    last = GOOD[-1]
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    index = letters.index(last)
    others = [letters[index ^ bit] for bit in (1, 2, 3)]

    assert ["signature"] * 3 == [reason(GOOD[:-1] + letter) for letter in others]


@given(st.text(max_size=200), st.integers(0, len(GOOD) - 1), st.characters())
def test_c14_nothing_else_is_ever_raised(text: str, place: int, letter: str) -> None:
    """Any text, and a good token with any letter in any place, is read or refused."""
    tokens = tokens_of(CURVE)
    changed = GOOD[:place] + letter + GOOD[place + 1 :]
    for one in (text, changed, obfuscated(changed)):
        try:
            read = tokens.read(one, now=NOW)
        except TokenRefused:
            continue
        assert tokens.read(GOOD, now=NOW) == read
