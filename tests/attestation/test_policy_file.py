from __future__ import annotations

import tomllib
from dataclasses import dataclass, fields
from datetime import UTC, datetime, timedelta, timezone
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from tests.attestation.attest_terminal import all_entries

from quorumkey_attestation import expectations, policy_file, settings
from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.key_description import KeyOrigin, KeyPurpose, SecurityLevel
from quorumkey_attestation.android.verification import AndroidKeyPolicy
from quorumkey_attestation.apple.policy import AppAttestPolicy
from quorumkey_attestation.play_integrity.policy import IntegrityPolicy
from quorumkey_attestation.policy_file import PolicyFileError
from quorumkey_attestation.testing import pki
from quorumkey_attestation.webauthn.policy import WebAuthnPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

ROOT = pki.root("Quorumkey UNSAFE test root of a policy file")
OTHER = pki.root("Quorumkey UNSAFE other test root of a policy file")
FILES = policy_file.files_of_case(
    {
        "roots.pem": ROOT.certificate.public_bytes(Encoding.PEM)
        + OTHER.certificate.public_bytes(Encoding.PEM),
        "other.pem": OTHER.certificate.public_bytes(Encoding.PEM),
        "no.pem": b"no certificate",
        "status.json": b'{"entries": {"1f": {"status": "REVOKED"}}}',
    }
)
DIGEST = bytes(range(32))

APPLE: Mapping[str, object] = {
    "app_ids": ["0123456789.com.example.app", "0123456789.com.example.clip"],
    "environment": "development",
    "categories": [2, 4],
    "missing_extensions": "reject",
    "min_bundle_version": "1.2",
    "require_macos_acl": True,
    "allow_any_hash_length": True,
    "roots": ["roots.pem"],
    "receipt_roots": ["other.pem"],
}
ANDROID: Mapping[str, object] = {
    "packages": {"com.example.app": [DIGEST.hex()]},
    "min_level": "strongbox",
    "require_locked": False,
    "verified_boot": "verified_or_allowed",
    "boot_keys": ["00ff"],
    "origins": ["generated", "securely_imported"],
    "purposes": ["sign", "verify"],
    "curve": "any",
    "user_auth": "required",
    "min_os_patch": 202601,
    "created_within_seconds": 60,
    "provisioning": "rkp",
    "extra_packages": "allow",
    "tag_order": "strict",
    "non_der_boolean": "report",
    "roots": ["roots.pem", "other.pem"],
}
WEBAUTHN: Mapping[str, object] = {
    "rp_id": "example.com",
    "origins": ["https://example.com"],
    "require_user_verification": False,
    "formats": ["none", "packed"],
    "hardware": "required",
    "algorithms": [-7, -257],
    "allow_backup_eligible": False,
    "android": {"packages": "any", "min_level": "tee"},
    "android_roots": ["roots.pem"],
    "apple_roots": ["other.pem"],
    "roots": ["other.pem"],
}
PLAY: Mapping[str, object] = {
    "package": "com.example.app",
    "certificate_digests": [DIGEST.hex()],
    "max_age_seconds": 60,
    "require_play_recognized": False,
    "min_version_code": 3,
    "device": "MEETS_STRONG_INTEGRITY",
    "min_sdk_version": 33,
    "require_licensed": False,
    "access_risk": "none",
    "play_protect": ["NO_ISSUES"],
    "max_activity_level": 2,
    "device_recall": "clear",
}


def apple(table: Mapping[str, object]) -> object:
    """Read an App Attest policy."""
    return policy_file.app_attest_policy(table, FILES)


def android(table: Mapping[str, object]) -> object:
    """Read an Android policy."""
    return policy_file.android_policy(table, FILES)


def webauthn(table: Mapping[str, object]) -> object:
    """Read a WebAuthn policy."""
    return policy_file.webauthn_policy(table, FILES)


@dataclass(frozen=True)
class Kind:
    """How one kind of policy is read, all of its keys, and those it cannot do without."""

    read: Callable[[Mapping[str, object]], object]
    table: Mapping[str, object]
    kind: type[AppAttestPolicy | AndroidKeyPolicy | WebAuthnPolicy | IntegrityPolicy]
    required: tuple[str, ...]

    @property
    def fewest(self) -> dict[str, object]:
        """The smallest table."""
        return {key: self.table[key] for key in self.required}


KINDS = {
    "apple": Kind(apple, APPLE, AppAttestPolicy, ("app_ids",)),
    "android": Kind(android, ANDROID, AndroidKeyPolicy, ("packages",)),
    "webauthn": Kind(webauthn, WEBAUTHN, WebAuthnPolicy, ("rp_id", "origins")),
    "play": Kind(
        policy_file.integrity_policy, PLAY, IntegrityPolicy, ("package", "certificate_digests")
    ),
}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_field_of_a_policy_has_a_key(name: str) -> None:
    """The examples above set every field, each to something else than its default."""
    kind = KINDS[name]
    policy, plain = kind.read(kind.table), kind.read(kind.fewest)

    assert isinstance(policy, kind.kind)
    for field in fields(kind.kind):
        if field.init and field.name not in kind.required:
            assert getattr(plain, field.name) != getattr(policy, field.name), field.name


def test_an_app_attest_policy_is_read() -> None:
    """Sets are arrays, and each list of roots has its own anchors."""
    policy = policy_file.app_attest_policy(APPLE, FILES)

    assert (
        frozenset({"0123456789.com.example.app", "0123456789.com.example.clip"}) == policy.app_ids
    )
    assert frozenset({2, 4}) == policy.categories
    assert (ROOT.certificate, OTHER.certificate) == policy.anchors.certs
    assert (OTHER.certificate,) == policy.receipt_anchors.certs


def test_receipts_end_at_the_same_roots_unless_told() -> None:
    """Without receipt_roots, roots are those of receipts too; without either, the built-in ones."""
    named = policy_file.app_attest_policy({"app_ids": ["a"], "roots": ["other.pem"]}, FILES)
    plain = policy_file.app_attest_policy({"app_ids": ["a"]}, FILES)

    assert named.anchors.certs == named.receipt_anchors.certs
    assert TrustAnchors.apple_app_attest() == plain.anchors
    assert TrustAnchors.apple_receipt() == plain.receipt_anchors


def test_an_android_policy_is_read() -> None:
    """Enums are names in lower case, bytes are hex, times are seconds."""
    policy = policy_file.android_policy(ANDROID, FILES)

    assert {"com.example.app": frozenset({DIGEST})} == dict(policy.packages or {})
    assert SecurityLevel.STRONGBOX is policy.min_level
    assert frozenset({KeyOrigin.GENERATED, KeyOrigin.SECURELY_IMPORTED}) == policy.origins
    assert frozenset({KeyPurpose.SIGN, KeyPurpose.VERIFY}) == policy.purposes
    assert timedelta(minutes=1) == policy.created_within
    assert frozenset({b"\x00\xff"}) == policy.boot_keys


def test_any_stands_for_no_limit() -> None:
    """`any` for packages and for the time of creation means None, which TOML cannot say."""
    table = {"packages": "any", "created_within_seconds": "any"}
    policy = policy_file.android_policy(table, FILES)

    assert policy.packages is None
    assert policy.created_within is None


def test_a_passkey_s_android_policy_has_a_table_of_its_own() -> None:
    """[android] is read like an Android policy; each kind of roots has its own key."""
    policy = policy_file.webauthn_policy(WEBAUTHN, FILES)

    assert policy.android is not None
    assert policy.android.packages is None
    assert 2 == len(policy.android_anchors.certs)
    assert (OTHER.certificate,) == policy.apple_anchors.certs == policy.anchors.certs


@pytest.mark.parametrize("name", ["apple", "android", "webauthn"])
def test_test_roots_are_allowed_in_so_many_words(name: str) -> None:
    """allow_test_roots reaches named and built-in roots; without it they are denied."""
    kind = KINDS[name]
    for more in ({}, {"roots": ["other.pem"]}):
        for said in ({}, {"allow_test_roots": True}):
            policy = kind.read({**kind.fewest, **more, **said})
            anchors = [
                value
                for field in fields(kind.kind)
                if isinstance(value := getattr(policy, field.name), TrustAnchors)
            ]

            assert anchors
            assert {bool(said)} == {each.allow_test_roots for each in anchors}


@pytest.mark.parametrize("name", sorted(KINDS))
def test_an_unknown_key_is_refused_by_name(name: str) -> None:
    """A key that nobody reads may be a limit that its writer counts on."""
    kind = KINDS[name]

    with pytest.raises(PolicyFileError, match=r"policy: unknown key 'min_levle'; known are "):
        kind.read({**kind.table, "min_levle": "tee"})


@pytest.mark.parametrize("name", sorted(KINDS))
def test_every_value_of_another_type_is_refused_by_name(name: str) -> None:
    """A float fits nowhere; the message names file and key."""
    kind = KINDS[name]
    for key in kind.table:
        with pytest.raises(PolicyFileError, match=f"policy.*{key}|policy \\[{key}\\]"):
            kind.read({**kind.table, key: 1.5})


@pytest.mark.parametrize("name", sorted(KINDS))
def test_what_a_policy_cannot_do_without_is_asked_for(name: str) -> None:
    """An empty file is no policy."""
    with pytest.raises(PolicyFileError, match="is missing"):
        KINDS[name].read({})


@pytest.mark.parametrize(
    ("table", "complaint"),
    [
        ({"environment": "prod"}, 'environment must be one of "production", "development"'),
        ({"categories": [0]}, "category 0"),
        ({"categories": [-1]}, "categories must be an array, each item an integer that is not"),
        ({"categories": [True]}, "categories must be an array"),
        ({"roots": ["missing.pem"]}, "there is no file missing.pem"),
        ({"roots": ["no.pem"]}, "policy: roots: no.pem: "),
        ({"roots": "roots.pem"}, "roots must be an array"),
    ],
    ids=["choice", "policy", "negative", "boolean", "no-file", "no-certificate", "no-array"],
)
def test_a_value_outside_its_list_is_refused(table: dict[str, object], complaint: str) -> None:
    """The message says what it has to be."""
    with pytest.raises(PolicyFileError) as refused:
        policy_file.app_attest_policy({"app_ids": ["a"], **table}, FILES)

    assert complaint in str(refused.value)


@pytest.mark.parametrize(
    "table",
    [
        {"packages": {"a": ["FF"]}},
        {"packages": {"a": ["0 0"]}},
        {"packages": {"a": "00"}},
        {"packages": "every"},
        {"packages": {}, "min_level": "TEE"},
        {"packages": {}, "min_level": 1},
        {"packages": {}, "created_within_seconds": -1},
        {"packages": {}, "created_within_seconds": 10**20},
    ],
    ids=["upper", "space", "no-array", "word", "upper-name", "number", "negative", "huge"],
)
def test_one_form_of_each_value_counts(table: dict[str, object]) -> None:
    """Hex and names are in lower case, and times are not negative."""
    with pytest.raises(PolicyFileError, match="policy: "):
        policy_file.android_policy(table, FILES)


def test_a_revocation_list_is_read_with_its_age() -> None:
    """The table names a file, when it was fetched, and how old it may become."""
    fetched = datetime(2026, 6, 1, 14, tzinfo=timezone(timedelta(hours=2)))
    table: dict[str, object] = {"file": "status.json", "fetched_at": fetched}
    two_days = policy_file.revocation_list({"revocation": table}, FILES)
    an_hour = policy_file.revocation_list({"revocation": {**table, "max_age_seconds": 3600}}, FILES)

    assert two_days is not None
    assert an_hour is not None
    assert datetime(2026, 6, 1, 12, tzinfo=UTC) == two_days.fetched_at
    assert (timedelta(days=2), timedelta(hours=1)) == (two_days.max_age, an_hour.max_age)
    assert two_days.check(0x1F) is not None
    assert policy_file.revocation_list({}, FILES) is None


@pytest.mark.parametrize(
    "table",
    [
        {"file": "status.json"},
        {"file": "status.json", "fetched_at": "yesterday"},
        {"file": "status.json", "fetched_at": "2026-06-01T12:00:00"},
        {
            "file": "status.json",
            "fetched_at": datetime(2026, 6, 1, tzinfo=UTC),
            "max_age_seconds": 0,
        },
        {"file": "none.json", "fetched_at": datetime(2026, 6, 1, tzinfo=UTC)},
    ],
    ids=["no-time", "word", "no-offset", "no-age", "no-file"],
)
def test_a_revocation_list_of_unknown_age_is_refused(table: dict[str, object]) -> None:
    """A list without a moment would never grow stale."""
    with pytest.raises(PolicyFileError):
        policy_file.revocation_list({"revocation": table}, FILES)


def test_a_policy_file_is_toml(tmp_path: Path) -> None:
    """Files are read beside the policy; what is no TOML is told with the file's name."""
    path = tmp_path / "policy.toml"
    path.write_text('app_ids = ["a"]\nroots = ["roots.pem"]\n', encoding="utf-8")
    (tmp_path / "roots.pem").write_bytes(ROOT.certificate.public_bytes(Encoding.PEM))
    table = policy_file.load_policy(path)
    policy = policy_file.app_attest_policy(table, policy_file.files_in_folder(tmp_path))

    assert (ROOT.certificate,) == policy.anchors.certs
    for content in (b"app_ids = [", b"\xff", b"#" * (settings.MAX_POLICY_BYTES + 1)):
        path.write_bytes(content)
        with pytest.raises(PolicyFileError, match=r"policy\.toml: "):
            policy_file.load_policy(path)
    with pytest.raises(PolicyFileError, match=r"none\.toml: No such file"):
        policy_file.load_policy(tmp_path / "none.toml")


def test_a_file_beyond_the_limit_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy cannot have everything read into memory."""
    monkeypatch.setattr(policy_file, "MAX_FILE_BYTES", 10)
    (tmp_path / "large").write_bytes(bytes(11))

    with pytest.raises(PolicyFileError, match="more than 10 bytes"):
        policy_file.files_in_folder(tmp_path)("large")


def test_settings_survive_being_written() -> None:
    """The TOML of every case's settings is read back as the same table."""
    for entry in all_entries():
        assert entry.case.settings == tomllib.loads(settings.write_toml(entry.case.settings)), (
            entry.case.id
        )


@pytest.mark.parametrize(
    "value",
    ['\x00\x1f\x7f"\\', "naïve 🔑", True, 0, ["a", "b"], datetime(2026, 6, 1, 12, tzinfo=UTC)],
    ids=["control", "emoji", "boolean", "zero", "array", "time"],
)
def test_every_kind_of_value_survives_being_written(value: object) -> None:
    """Strings are escaped as TOML wants it, and keys quoted where they have to be."""
    table = {"key": value, "a key": {"b.c": value}}

    assert table == tomllib.loads(settings.write_toml(table))


def test_a_set_is_written_in_order() -> None:
    """The same settings give the same bytes."""
    assert 'a = ["x", "y"]\n' == settings.write_toml({"a": frozenset({"y", "x"})})


def test_what_toml_lacks_is_not_written() -> None:
    """None and floats have no place in settings."""
    with pytest.raises(TypeError, match="NoneType"):
        settings.write_toml({"a": None})


EXPECT: Mapping[str, tuple[Callable[[object, str], object], Mapping[str, object]]] = {
    "apple-attestation": (
        expectations.expect_apple_attestation,
        {"key_id": "AAEC", "challenge": "00", "user": "a", "bound_to": "b"},
    ),
    "apple-assertion": (
        expectations.expect_apple_assertion,
        {
            "key_id": "AAEC",
            "public_key": "04",
            "app_id": "a",
            "environment": "development",
            "client_data": "00",
            "challenge": "00",
            "last_counter": 1,
            "presentations": 2,
        },
    ),
    "apple-receipt": (
        expectations.expect_apple_receipt,
        {
            "key_id": "AAEC",
            "public_key": "04",
            "app_id": "a",
            "environment": "development",
            "max_age_seconds": 1,
            "type": "RECEIPT",
        },
    ),
    "android": (expectations.expect_android, {"challenge": "00", "public_key": "04"}),
    "webauthn-registration": (expectations.expect_webauthn_registration, {"challenge": "00"}),
    "webauthn-assertion": (
        expectations.expect_webauthn_assertion,
        {"challenge": "00", "public_key": "04", "last_sign_count": 1, "backup_eligible": True},
    ),
    "play": (
        expectations.expect_play,
        {
            "nonce": "n",
            "request_hash": "h",
            "decryption_key": "00",
            "verification_key": "00",
            "used_nonces": ["n"],
        },
    ),
}


@pytest.mark.parametrize("name", sorted(EXPECT))
def test_expectations_are_read_strictly(name: str) -> None:
    """Every key is read, unknown ones and other types are refused by name."""
    read, table = EXPECT[name]

    assert read(table, "policy [expect]")
    with pytest.raises(PolicyFileError, match=r"policy \[expect\]: unknown key 'more'"):
        read({**table, "more": 1}, "policy [expect]")
    for key in table:
        with pytest.raises(PolicyFileError, match=key):
            read({**table, key: 1.5}, "policy [expect]")
    with pytest.raises(PolicyFileError, match="a table is expected"):
        read("no table", "policy [expect]")


def test_a_challenge_stands_for_its_hash() -> None:
    """An attestation is expected by challenge or by client data hash, and not by both."""
    by_challenge = expectations.expect_apple_attestation(
        {"key_id": "AAEC", "challenge": b"challenge".hex()}, "p"
    )
    digest = by_challenge.client_data_hash.hex()
    by_hash = expectations.expect_apple_attestation(
        {"key_id": "AAEC", "client_data_hash": digest}, "p"
    )

    assert by_challenge == by_hash
    for table in (
        {"key_id": "AAEC"},
        {"key_id": "AAEC", "challenge": "00", "client_data_hash": digest},
    ):
        with pytest.raises(PolicyFileError, match="either challenge or client_data_hash"):
            expectations.expect_apple_attestation(table, "p")


@pytest.mark.parametrize("text", ["-_8", "+/8=", "+/8"], ids=["url", "padded", "unpadded"])
def test_a_key_id_is_base64_in_any_alphabet(text: str) -> None:
    """Apple's SDK writes one alphabet, web code the other."""
    assert b"\xfb\xff" == settings.base64_bytes(text)
    with pytest.raises(settings.UnsuitableError):
        settings.base64_bytes("%")
