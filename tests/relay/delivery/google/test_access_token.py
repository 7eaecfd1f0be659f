"""Google's service account file, and the access tokens that it is exchanged for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from quorumkey_relay.delivery.google.access_token import (
    MESSAGING_SCOPE,
    ServiceAccount,
    TokenRefused,
    TokenUnavailable,
    granted,
)
from quorumkey_relay.delivery.transport import Answer
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000
KEY = rsa.generate_private_key(65_537, 2_048)


def pem(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    """A private key as Google writes it."""
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()


ACCOUNT: dict[str, object] = {
    "type": "service_account",
    "project_id": "example-project",
    "private_key_id": "0123456789abcdef",
    "private_key": pem(KEY),
    "client_email": "relay@example-project.iam.gserviceaccount.com",
    "client_id": "1",
    "token_uri": "https://oauth2.googleapis.com/token",
}


def written(folder: Path, content: str, mode: int = 0o600) -> Path:
    """A file with a content."""
    path = folder / "account.json"
    path.write_text(content)
    path.chmod(mode)
    return path


def problem(path: Path) -> str:
    """Why a file cannot be used."""
    with pytest.raises(ConfigError) as caught:
        ServiceAccount.read(path)
    (sentence,) = caught.value.problems
    return sentence


def test_an_account_is_read(tmp_path: Path) -> None:
    """What Google hands out is taken as it is; members that nobody needs are passed over."""
    account = ServiceAccount.read(written(tmp_path, json.dumps(ACCOUNT)))

    assert (
        ACCOUNT["project_id"],
        ACCOUNT["client_email"],
        ACCOUNT["token_uri"],
        ACCOUNT["private_key_id"],
    ) == (account.project_id, account.client_email, account.token_uri, account.key_id)


def test_an_assertion_says_who_and_for_what(tmp_path: Path) -> None:
    """Account, scope, audience and an hour are signed with RS256 under the key's id."""
    account = ServiceAccount.read(written(tmp_path, json.dumps(ACCOUNT)))

    assertion = account.assertion(NOW, MESSAGING_SCOPE)

    claims = jwt.decode(
        assertion,
        KEY.public_key(),
        algorithms=["RS256"],
        options={"verify_aud": False, "verify_exp": False, "verify_iat": False},
    )
    assert {
        "iss": ACCOUNT["client_email"],
        "scope": "https://www.googleapis.com/auth/firebase.messaging",
        "aud": ACCOUNT["token_uri"],
        "iat": NOW,
        "exp": NOW + 3_600,
    } == claims
    assert ACCOUNT["private_key_id"] == jwt.get_unverified_header(assertion)["kid"]


def test_the_key_is_not_shown(tmp_path: Path) -> None:
    """The representation of an account has no key."""
    account = ServiceAccount.read(written(tmp_path, json.dumps(ACCOUNT)))

    assert "key=" not in repr(account).replace("key_id=", "")


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        ({"type": "authorized_user"}, 'its type is not "service_account"'),
        ({"type": None}, "Expected `str`, got `null` - at `$.type`"),
        ({"project_id": "../other"}, "its project_id is none"),
        ({"private_key": "-----BEGIN"}, "its private_key is no RSA key in PEM"),
        (
            {"private_key": pem(ec.generate_private_key(ec.SECP256R1()))},
            "its private_key is no RSA",
        ),
        ({"token_uri": "http://oauth2.example/token"}, "its token_uri must be https"),
        ({"token_uri": "https:///token"}, "its token_uri must be https"),
        ({"token_uri": "https://[x/token"}, "its token_uri must be https"),
    ],
    ids=["type", "null", "project", "key", "curve", "http", "no-host", "no-address"],
)
def test_a_member_that_is_wrong_is_named(
    tmp_path: Path, changed: dict[str, object], sentence: str
) -> None:
    """The relay does not start, and says which member of which file is wrong."""
    path = written(tmp_path, json.dumps(ACCOUNT | changed))

    assert f"{path} is no service account: {sentence}" in problem(path)


@pytest.mark.parametrize(
    "member", ["project_id", "private_key_id", "private_key", "client_email", "token_uri"]
)
def test_a_member_that_is_missing_is_named(tmp_path: Path, member: str) -> None:
    """As when it is wrong."""
    path = written(tmp_path, json.dumps({k: v for k, v in ACCOUNT.items() if k != member}))

    assert f"missing required field `{member}`" in problem(path)


@pytest.mark.parametrize("content", ["", "{", "no JSON", "\x00"], ids=range(4))
def test_what_is_no_json_is_said(tmp_path: Path, content: str) -> None:
    """A file of another kind is told apart from an account that is wrong."""
    path = written(tmp_path, content)

    assert f"{path} must hold a Google service account as JSON." == problem(path)


def test_no_problem_repeats_the_key(tmp_path: Path) -> None:
    """A sentence that ends in a log has nothing of the private key."""
    secret = "MIIEvQIBADANBg"
    path = written(tmp_path, json.dumps(ACCOUNT | {"private_key": secret}))

    assert secret not in problem(path)


def test_an_account_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The file is a secret; the sentence says what to do."""
    path = written(tmp_path, json.dumps(ACCOUNT), mode=0o644)

    assert f"run: chmod 600 {path}" in problem(path)


def test_an_account_that_is_missing(tmp_path: Path) -> None:
    """The sentence names the file."""
    assert f"cannot read {tmp_path / 'none.json'}" in problem(tmp_path / "none.json")


# What Google answers


def test_a_token_is_granted() -> None:
    """A good answer makes the header of pushes."""
    body = b'{"access_token": "ya29.x", "expires_in": 3599, "token_type": "Bearer"}'

    assert "Bearer ya29.x" == granted(Answer(200, {}, body))


@pytest.mark.parametrize(
    "answer",
    [
        Answer(200, {}, b"<html>Log in</html>"),
        Answer(200, {}, b"{}"),
        Answer(200, {}, b'{"access_token": "a b"}'),
        Answer(200, {}, b'{"access_token": ""}'),
        Answer(200, {}, b"[" * 60_000),
        Answer(200, {}, b"\xff"),
        Answer(408, {}, b""),
        Answer(429, {}, b""),
        Answer(503, {}, b'{"error": "invalid_grant"}'),
    ],
    ids=range(9),
)
def test_no_token_now(answer: Answer) -> None:
    """What is no token, and what will pass, is tried again later."""
    with pytest.raises(TokenUnavailable):
        granted(answer)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Answer(400, {}, b'{"error": "invalid_grant", "error_description": "x"}'), "invalid_grant"),
        (Answer(401, {}, b'{"error": "invalid_client"}'), "invalid_client"),
        (Answer(400, {}, b'{"error": "something else"}'), "refused"),
        (Answer(404, {}, b"<html>"), "refused"),
        (Answer(302, {}, b""), "refused"),
    ],
    ids=range(5),
)
def test_a_refusal_is_ours_to_mend(answer: Answer, reason: str) -> None:
    """What the endpoint refuses stays refused; only reasons of the standard are repeated."""
    with pytest.raises(TokenRefused) as caught:
        granted(answer)

    assert reason == caught.value.reason
