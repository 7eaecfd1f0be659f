"""The keys of the tokens in links: files, the key that is made, change, and what is published."""

from __future__ import annotations

import hashlib
import json
from base64 import urlsafe_b64encode
from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from jwt.algorithms import RSAAlgorithm
from tests.relay.jit.test_c14_to_c16_tokens import CLAIMS, ISSUER, NOW

from quorumkey_relay.identity.activation_tokens import ActivationTokens
from quorumkey_relay.identity.token_keys import TokenKeys, open_token_keys, thumbprint
from quorumkey_relay.jit_settings import TokenSettings
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

CURVE = ec.generate_private_key(ec.SECP256R1())
RSA = rsa.generate_private_key(65_537, 2_048)
SMALL_RSA = rsa.generate_private_key(65_537, 1_024)  # noqa: S505 - it is to be refused


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey) -> bytes:
    """A private key as a file has it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    """Its public half."""
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the files of two keys."""
    for name, content in (("curve.pem", pem(CURVE)), ("rsa.pem", pem(RSA))):
        write(tmp_path / name, content)
    return tmp_path


def write(path: Path, content: bytes) -> Path:
    """Write a file that only its owner reads."""
    path.touch(0o600)
    path.write_bytes(content)
    return path


def opened(folder: Path, *names: str, algorithm: Any = "ES256") -> TokenKeys:  # noqa: ANN401 - one of two words
    """The keys of these files."""
    files = tuple(folder / name for name in names)
    return open_token_keys(TokenSettings(algorithm=algorithm, key_files=files), folder)


def problem(folder: Path, *names: str, **settings: str) -> str:
    """What is wrong with these files."""
    with pytest.raises(ConfigError) as caught:
        opened(folder, *names, **settings)
    return str(caught.value).replace(f"{folder}/", "")


@pytest.mark.parametrize("algorithm", ["ES256", "RS256"])
def test_a_key_is_made_where_no_file_is_named(tmp_path: Path, algorithm: Any) -> None:  # noqa: ANN401 - one of two words
    """Once, of the algorithm of the settings, for the relay's eyes only."""
    settings = TokenSettings(algorithm=algorithm)
    first, second = (open_token_keys(settings, tmp_path) for _ in range(2))
    made = tmp_path / "jit-token-key.pem"

    assert (algorithm, first.signing.kid, 0o600) == (
        first.signing.algorithm,
        second.signing.kid,
        made.stat().st_mode & 0o777,
    )


def test_a_key_that_was_made_for_the_other_algorithm(tmp_path: Path) -> None:
    """It is not used, and not written over."""
    open_token_keys(TokenSettings(algorithm="ES256"), tmp_path)
    with pytest.raises(ConfigError, match="holds a key for ES256") as caught:
        open_token_keys(TokenSettings(algorithm="RS256"), tmp_path)

    assert "change tokens.algorithm" in str(caught.value)


def test_the_first_file_signs_and_the_others_still_count(folder: Path) -> None:
    """After a change of keys, and even of the algorithm, tokens in mails stay good."""
    before = ActivationTokens(opened(folder, "curve.pem"), issuer=ISSUER).mint(CLAIMS)
    tokens = ActivationTokens(
        opened(folder, "rsa.pem", "curve.pem", algorithm="RS256"), issuer=ISSUER
    )

    assert CLAIMS == tokens.read(before, now=NOW)
    assert "RS256" == jwt.get_unverified_header(tokens.mint(CLAIMS))["alg"]


def test_an_earlier_key_may_be_a_public_one(folder: Path) -> None:
    """Who keeps only the public half can sign no more."""
    before = ActivationTokens(opened(folder, "curve.pem"), issuer=ISSUER).mint(CLAIMS)
    write(folder / "old.pem", public_pem(CURVE))
    keys = opened(folder, "rsa.pem", "old.pem", algorithm="RS256")

    assert CLAIMS == ActivationTokens(keys, issuer=ISSUER).read(before, now=NOW)


def test_a_key_that_is_named_twice_is_published_once(folder: Path) -> None:
    """Its id names one key."""
    assert 1 == len(opened(folder, "curve.pem", "curve.pem").verifying)


def test_the_keys_are_published_without_their_private_halves(folder: Path) -> None:
    """Every key with its id, algorithm and use, in the order of the settings (RFC 7517)."""
    keys = json.loads(opened(folder, "curve.pem", "rsa.pem").jwks)["keys"]

    assert [
        {"kty", "crv", "x", "y", "kid", "alg", "use"},
        {"kty", "n", "e", "kid", "alg", "use"},
    ] == [set(key) for key in keys]
    assert [("ES256", "sig"), ("RS256", "sig")] == [(key["alg"], key["use"]) for key in keys]


def test_anybody_can_verify_a_token_with_what_is_published(folder: Path) -> None:
    """Another library finds the key by its id."""
    tokens = ActivationTokens(opened(folder, "curve.pem", "rsa.pem"), issuer=ISSUER)
    text = tokens.mint(CLAIMS)
    published = jwt.PyJWKSet.from_json(tokens.jwks.decode())
    key = published[jwt.get_unverified_header(text)["kid"]]
    read = jwt.decode(
        text,
        key,
        algorithms=["ES256"],
        audience=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )

    assert CLAIMS.id == read["jti"]


def test_the_id_of_a_key_is_its_thumbprint(folder: Path) -> None:
    """RFC 7638: SHA-256 of the required members, sorted, without white space."""
    (key,) = json.loads(opened(folder, "rsa.pem", algorithm="RS256").jwks)["keys"]
    members = json.dumps(
        {name: key[name] for name in ("e", "kty", "n")}, separators=(",", ":")
    ).encode()
    expected = urlsafe_b64encode(hashlib.sha256(members).digest()).decode().rstrip("=")

    assert expected == key["kid"]


def test_the_thumbprint_of_the_specification() -> None:
    """RFC 7638, section 3.1."""
    jwk = {
        "kty": "RSA",
        "n": (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tS"
            "oc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65"
            "YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyr"
            "dkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzK"
            "nqDKgw"
        ),
        "e": "AQAB",
    }
    key = RSAAlgorithm.from_jwk(jwk)
    assert isinstance(key, rsa.RSAPublicKey)

    assert "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs" == thumbprint(key)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "bad.pem must hold a P-256 key"),
        (b"secret", "bad.pem must hold a P-256 key"),
        (pem(ec.generate_private_key(ec.SECP384R1())), "bad.pem must hold a P-256 key"),
        (pem(ed25519.Ed25519PrivateKey.generate()), "bad.pem must hold a P-256 key"),
        (pem(SMALL_RSA), "bad.pem must hold a P-256 key"),
        (
            CURVE.private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"password")
            ),
            "bad.pem must hold a P-256 key",
        ),
        (public_pem(CURVE), "bad.pem must hold a private key"),
        (pem(RSA), "bad.pem holds a key for RS256"),
    ],
    ids=["empty", "text", "P-384", "Ed25519", "small RSA", "encrypted", "public", "RSA"],
)
def test_files_that_hold_no_key_for_it(folder: Path, content: bytes, expected: str) -> None:
    """The relay does not start, says which file, and repeats nothing of it."""
    write(folder / "bad.pem", content)

    assert problem(folder, "bad.pem").startswith(expected)


def test_a_file_that_others_may_read(folder: Path) -> None:
    """As for every secret file."""
    (folder / "curve.pem").chmod(0o644)

    assert problem(folder, "curve.pem").startswith("curve.pem can be read by others")


def test_a_file_that_is_missing(folder: Path) -> None:
    """It is not made: somebody meant another one."""
    assert problem(folder, "other.pem").startswith("cannot read other.pem")
