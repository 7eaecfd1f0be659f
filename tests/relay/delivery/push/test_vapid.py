"""Who the relay says it is: VAPID keys and tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from tests.relay.simulator import START, ManualClock

from quorumkey.protocol import b64url_decode
from quorumkey_relay.delivery.push.vapid import (
    LIFETIME_SECONDS,
    MAX_ORIGINS,
    RENEW_AFTER_SECONDS,
    Vapid,
    vapid_key,
)
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = ec.generate_private_key(ec.SECP256R1())
SUBJECT = "mailto:ops@example.com"
ORIGIN = "https://push.example"
_NONE = NoEncryption()


def a_vapid(clock: ManualClock) -> Vapid:
    """Tokens of a fixed key."""
    return Vapid(KEY, subject=SUBJECT, clock=clock)


def parts(header: str) -> tuple[str, str]:
    """The token and the key of an ``Authorization``."""
    scheme, _, rest = header.partition(" ")
    assert "vapid" == scheme
    token, key = rest.split(", ")
    assert (token[:2], key[:2]) == ("t=", "k=")
    return token[2:], key[2:]


def claims(header: str) -> dict[str, Any]:
    """What a token says; it is verified with the key beside it, as a push service does."""
    token, key = parts(header)
    point = b64url_decode(key, field="k", length=65)
    public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    read: dict[str, Any] = jwt.decode(
        token, public, algorithms=["ES256"], options={"verify_aud": False, "verify_exp": False}
    )
    return read


def test_a_token_says_where_it_counts_and_how_long() -> None:
    """Origin, end and contact are signed; the end is less than a day off (RFC 8292, section 2)."""
    said = claims(a_vapid(ManualClock()).token(ORIGIN).header)

    assert {"aud": ORIGIN, "exp": START + LIFETIME_SECONDS, "sub": SUBJECT} == said
    assert LIFETIME_SECONDS <= 24 * 3_600


def test_a_token_is_signed_with_es256() -> None:
    """The header names the only algorithm that services take, and that it is a JWT."""
    token, _ = parts(a_vapid(ManualClock()).token(ORIGIN).header)

    assert {"typ": "JWT", "alg": "ES256"} == jwt.get_unverified_header(token)


def test_the_key_beside_it_is_what_browsers_subscribe_with() -> None:
    """``k`` is the public key that the relay shows: an uncompressed point of 65 bytes."""
    vapid = a_vapid(ManualClock())

    _, key = parts(vapid.token(ORIGIN).header)

    assert vapid.public_key == key


def test_a_token_is_used_again_until_half_its_life() -> None:
    """One signature serves an origin for six hours; then a new one is made in time."""
    clock = ManualClock()
    vapid = a_vapid(clock)
    first = vapid.token(ORIGIN)
    clock.advance(RENEW_AFTER_SECONDS - 1)
    later = vapid.token(ORIGIN)
    clock.advance(1)

    renewed = vapid.token(ORIGIN)

    assert first is later
    assert first.signed_at + RENEW_AFTER_SECONDS == renewed.signed_at


def test_each_origin_has_its_own() -> None:
    """A token for one service is never shown to another."""
    vapid = a_vapid(ManualClock())

    origins = [ORIGIN, "https://push.example:8443", "https://other.example"]

    assert origins == [claims(vapid.token(origin).header)["aud"] for origin in origins]


def test_a_clock_set_back_makes_a_new_token() -> None:
    """A token of the future would be refused as long as the clock is behind it."""
    clock = ManualClock()
    vapid = a_vapid(clock)
    vapid.token(ORIGIN)
    clock.advance(-86_400)

    assert START - 86_400 == vapid.token(ORIGIN).signed_at


def test_origins_are_bounded() -> None:
    """Beyond so many origins the oldest token is forgotten, and signed anew when asked for."""
    vapid = a_vapid(ManualClock())
    first = vapid.token(ORIGIN)
    for number in range(MAX_ORIGINS):
        vapid.token(f"https://{number}.example")

    assert first is not vapid.token(ORIGIN)


def test_a_token_is_not_shown() -> None:
    """The representation tells nothing that could be replayed."""
    token = a_vapid(ManualClock()).token(ORIGIN)

    assert parts(token.header)[0] not in repr(token)


# The key


def test_a_key_is_made_once(tmp_path: Path) -> None:
    """The first start makes a key that only the relay can read; later ones find it."""
    made = vapid_key(tmp_path, None)
    found = vapid_key(tmp_path, None)

    assert 0o600 == (tmp_path / "vapid.key").stat().st_mode & 0o777
    assert made.private_numbers() == found.private_numbers()


def test_a_key_of_the_operators(tmp_path: Path) -> None:
    """A key that is brought along is used, and none is made."""
    path = tmp_path / "brought.pem"
    path.write_bytes(KEY.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, _NONE))
    path.chmod(0o600)

    found = vapid_key(tmp_path, path)

    assert KEY.private_numbers() == found.private_numbers()
    assert not (tmp_path / "vapid.key").exists()


def _pem(
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, password: bytes | None = None
) -> bytes:
    lock = _NONE if password is None else BestAvailableEncryption(password)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)


@pytest.mark.parametrize(
    "content",
    [
        lambda: b"",
        lambda: b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        lambda: _pem(rsa.generate_private_key(65_537, 2_048)),
        lambda: _pem(ec.generate_private_key(ec.SECP384R1())),
        lambda: _pem(KEY, b"password"),
    ],
    ids=["empty", "broken", "rsa", "p384", "encrypted"],
)
def test_no_key_no_start(tmp_path: Path, content: Callable[[], bytes]) -> None:
    """Anything but a P-256 private key in PEM is a sentence at the start that names the file."""
    path = tmp_path / "brought.pem"
    path.write_bytes(content())
    path.chmod(0o600)

    with pytest.raises(ConfigError) as caught:
        vapid_key(tmp_path, path)

    assert (f"{path} must hold a P-256 private key in PEM, unencrypted.",) == caught.value.problems


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    """The sentence says what to do about it."""
    path = tmp_path / "brought.pem"
    path.write_bytes(_pem(KEY))
    path.chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 600"):
        vapid_key(tmp_path, path)


def test_a_key_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    """A file that the settings name must exist; with another key every subscription is dead."""
    with pytest.raises(ConfigError, match="cannot read"):
        vapid_key(tmp_path, tmp_path / "missing.pem")
