"""Apple's provider token: what is signed, how long it is used, and that a restart keeps it."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from tests.relay.sim_devices import START, ManualClock

from quorumkey_relay.delivery.push.provider_token import (
    LEAST_SECONDS_BETWEEN,
    REFRESH_AFTER_SECONDS,
    ApnsKey,
    ProviderToken,
)
from quorumkey_relay.option_table import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

KEY = ec.generate_private_key(ec.SECP256R1())


def token_of(folder: Path, clock: ManualClock, *, key_id: str = "KEY1234567") -> ProviderToken:
    """What a relay makes at its start."""
    key = ApnsKey(KEY, key_id, "TEAM123456")
    return ProviderToken(key, clock=clock, kept=folder / "apns-production-token.json")


def claims_of(header: str) -> dict[str, object]:
    """The claims, after the signature was checked."""
    scheme, _, token = header.partition(" ")
    assert scheme == "bearer"
    claims: dict[str, object] = jwt.decode(  # pyright: ignore[reportUnknownMemberType] - PyJWT leaves a parameter open
        token, KEY.public_key(), algorithms=["ES256"], options={"verify_iat": False}
    )
    return claims


def test_what_is_signed(tmp_path: Path) -> None:
    """ES256 with the key's id in the header; the team and the time as claims."""
    header = token_of(tmp_path, ManualClock()).current()

    assert claims_of(header) == {"iss": "TEAM123456", "iat": START}
    head = jwt.get_unverified_header(header.removeprefix("bearer "))
    assert (head["alg"], head["kid"]) == ("ES256", "KEY1234567")


def test_one_token_for_45_minutes(tmp_path: Path) -> None:
    """It is signed once and used until it is 45 minutes old, then anew."""
    clock = ManualClock()
    token = token_of(tmp_path, clock)
    first = token.current()

    clock.advance(REFRESH_AFTER_SECONDS - 1)
    assert token.current() == first
    clock.advance(1)
    assert claims_of(token.current())["iat"] == START + REFRESH_AFTER_SECONDS


def test_a_restart_makes_the_same_token(tmp_path: Path) -> None:
    """A relay that starts again presents byte for byte the token that Apple knows."""
    clock = ManualClock()
    first = token_of(tmp_path, clock).current()
    clock.advance(600)

    assert token_of(tmp_path, clock).current() == first


def test_a_restart_after_its_time_makes_a_new_one(tmp_path: Path) -> None:
    """What is too old is not taken up again."""
    clock = ManualClock()
    token_of(tmp_path, clock).current()
    clock.advance(REFRESH_AFTER_SECONDS)

    assert claims_of(token_of(tmp_path, clock).current())["iat"] == clock.now()


def test_another_key_starts_anew(tmp_path: Path) -> None:
    """The kept moment counts for the key and team that it was kept for."""
    clock = ManualClock()
    token_of(tmp_path, clock).current()
    clock.advance(600)

    other = token_of(tmp_path, clock, key_id="KEY7654321").current()

    assert claims_of(other)["iat"] == START + 600


@pytest.mark.parametrize(
    "text", [b"", b"nonsense", b'{"issued_at":"soon"}'], ids=["empty", "no-json", "no-time"]
)
def test_a_damaged_file_is_passed_over(tmp_path: Path, text: bytes) -> None:
    """What cannot be read costs a new token, no more."""
    clock = ManualClock()
    (tmp_path / "apns-production-token.json").write_bytes(text)

    assert claims_of(token_of(tmp_path, clock).current())["iat"] == START


def test_a_folder_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    """Without a place to keep the moment, pushes still have a token."""
    token = token_of(tmp_path / "missing", ManualClock())

    assert token.current() == token.current()


def test_nothing_secret_is_kept(tmp_path: Path) -> None:
    """The file holds when the token was issued and of which key: not the token."""
    header = token_of(tmp_path, ManualClock()).current()

    (kept,) = tmp_path.iterdir()
    assert header.split()[1].encode() not in kept.read_bytes()


def test_a_clock_that_was_set_back(tmp_path: Path) -> None:
    """A token of the future is signed anew; a minute of difference is nothing."""
    clock = ManualClock()
    token = token_of(tmp_path, clock)
    first = token.current()

    clock.seconds = START - 60
    assert token.current() == first
    clock.seconds = START - 61
    assert claims_of(token.current())["iat"] == START - 61


def test_an_expired_token_is_replaced(tmp_path: Path) -> None:
    """Apple's word counts more than our clock, once 20 minutes are over."""
    clock = ManualClock()
    token = token_of(tmp_path, clock)
    first = token.current()
    clock.advance(LEAST_SECONDS_BETWEEN)

    second = token.refused(first)

    assert second == token.current() != first


def test_a_new_token_within_20_minutes_is_refused(tmp_path: Path) -> None:
    """Apple takes a new one only every 20 minutes, so there is none before."""
    clock = ManualClock()
    token = token_of(tmp_path, clock)
    first = token.current()
    clock.advance(LEAST_SECONDS_BETWEEN - 1)

    assert token.refused(first) is None
    assert token.current() == first


def test_who_was_refused_late_gets_the_present_one(tmp_path: Path) -> None:
    """Of many that were refused with the old one, only the first has it replaced."""
    clock = ManualClock()
    token = token_of(tmp_path, clock)
    first = token.current()
    clock.advance(LEAST_SECONDS_BETWEEN)

    assert token.refused(first) == token.refused(first)


def written(folder: Path, key: object, encryption: KeySerializationEncryption) -> Path:
    """A key file that only its owner may read."""
    assert isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey)
    path = folder / "key.p8"
    path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption))
    path.chmod(0o600)
    return path


def test_the_key_file_is_read(tmp_path: Path) -> None:
    """A .p8 file is PKCS #8 in PEM."""
    path = written(tmp_path, KEY, NoEncryption())

    key = ApnsKey.read(path, key_id="KEY1234567", team_id="TEAM123456")

    assert key.key.private_numbers() == KEY.private_numbers()


@pytest.mark.parametrize(
    ("key", "encryption"),
    [
        (ec.generate_private_key(ec.SECP384R1()), NoEncryption()),
        (rsa.generate_private_key(65_537, 2_048), NoEncryption()),
        (KEY, BestAvailableEncryption(b"password")),
    ],
    ids=["p384", "rsa", "encrypted"],
)
def test_another_kind_of_key_is_refused(
    tmp_path: Path, key: object, encryption: KeySerializationEncryption
) -> None:
    """The start fails with a sentence that says what the file must hold."""
    path = written(tmp_path, key, encryption)

    with pytest.raises(ConfigError, match=r"must hold the P-256 key that Apple gave out"):
        ApnsKey.read(path, key_id="KEY1234567", team_id="TEAM123456")


def test_a_key_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """The key signs in the team's name, so its file is private."""
    path = written(tmp_path, KEY, NoEncryption())
    path.chmod(0o644)

    with pytest.raises(ConfigError, match="chmod 600"):
        ApnsKey.read(path, key_id="KEY1234567", team_id="TEAM123456")


def test_secrets_stay_out_of_repr(tmp_path: Path) -> None:
    """Neither key nor token can be printed by accident."""
    token = token_of(tmp_path, ManualClock())
    signature = token.current().rsplit(".", 1)[1]
    number = KEY.private_numbers().private_value.to_bytes(32, "big")

    shown = repr(token) + repr(ApnsKey(KEY, "KEY1234567", "TEAM123456"))

    assert signature not in shown
    assert base64.b64encode(number).decode() not in shown
