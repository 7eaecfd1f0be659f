"""From settings to policies: what was named counts, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.attested import pem_of_test_roots

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_relay.attestation.policies import load_roots, policies_of
from quorumkey_relay.option_kinds import AndroidApp
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

APP = "ABCDE12345.com.example.approve"
FIRST, SECOND = "5a" * 32, "ab" * 32


def test_without_apps_only_passkeys_are_judged() -> None:
    """The formats of phones have no policy until an app is named."""
    policies = policies_of(Settings())

    assert (None, None) == (policies.app_attest, policies.android)
    assert policies.webauthn is not None
    assert ("127.0.0.1", frozenset({"http://127.0.0.1:8080"})) == (
        policies.webauthn.rp_id,
        policies.webauthn.origins,
    )


def test_without_formats_passkeys_are_not_judged() -> None:
    """No WebAuthn format, no policy."""
    assert None is policies_of(Settings(webauthn_formats=())).webauthn


def test_app_attest_follows_the_settings() -> None:
    """App ids and environment; the roots are Apple's."""
    policy = policies_of(
        Settings(app_attest_apps=(APP,), app_attest_environment="development")
    ).app_attest

    assert policy is not None
    assert (frozenset({APP}), "development", TrustAnchors.apple_app_attest()) == (
        policy.app_ids,
        policy.environment,
        policy.anchors,
    )


def test_android_follows_the_settings() -> None:
    """Packages with all their signers, patch, provisioning and authentication."""
    policy = policies_of(
        Settings(
            android_apps=(
                AndroidApp("com.example.a", FIRST),
                AndroidApp("com.example.a", SECOND),
                AndroidApp("com.example.b", FIRST),
            ),
            android_min_os_patch=202601,
            android_provisioning="rkp",
            android_user_auth="required",
        )
    ).android

    assert policy is not None
    first, second = bytes.fromhex(FIRST), bytes.fromhex(SECOND)
    assert {
        "com.example.a": frozenset({first, second}),
        "com.example.b": frozenset({first}),
    } == policy.packages
    assert (202601, "rkp", "required", "verified", SecurityLevel.TEE) == (
        policy.min_os_patch,
        policy.provisioning,
        policy.user_auth,
        policy.verified_boot,
        policy.min_level,
    )
    assert TrustAnchors.google_hardware() == policy.anchors


def test_boot_keys_admit_other_systems() -> None:
    """A system that its owner signed may boot where its key is named, and only then."""
    policy = policies_of(
        Settings(android_apps=(AndroidApp("com.example.a", FIRST),), android_boot_keys=(SECOND,))
    ).android

    assert policy is not None
    assert ("verified_or_allowed", frozenset({bytes.fromhex(SECOND)})) == (
        policy.verified_boot,
        policy.boot_keys,
    )


def test_makers_roots_are_for_their_formats_alone(tmp_path: Path) -> None:
    """Roots of authenticators do not vouch for phones, nor for Apple's passkeys."""
    path = tmp_path / "makers.pem"
    path.write_bytes(pem_of_test_roots())
    policies = policies_of(Settings(app_attest_apps=(APP,), webauthn_roots=path))

    assert policies.webauthn is not None
    assert policies.app_attest is not None
    assert load_roots(path) == policies.webauthn.anchors.certs
    assert TrustAnchors.apple_webauthn() == policies.webauthn.apple_anchors
    assert TrustAnchors.apple_app_attest() == policies.app_attest.anchors
    assert not policies.webauthn.anchors.allow_test_roots


def test_an_unsafe_root_counts_in_every_format(tmp_path: Path) -> None:
    """Beside the built-in roots, and with the deny list out of force."""
    path = tmp_path / "roots.pem"
    path.write_bytes(pem_of_test_roots())
    policies = policies_of(
        Settings(
            app_attest_apps=(APP,),
            android_apps=(AndroidApp("com.example.a", FIRST),),
            unsafe_test_root=path,
        )
    )
    extra = load_roots(path)

    assert policies.app_attest is not None
    assert policies.android is not None
    assert policies.webauthn is not None
    for anchors in (
        policies.app_attest.anchors,
        policies.app_attest.receipt_anchors,
        policies.android.anchors,
        policies.webauthn.anchors,
        policies.webauthn.android_anchors,
        policies.webauthn.apple_anchors,
    ):
        assert anchors.certs[-len(extra) :] == extra
        assert anchors.allow_test_roots


@pytest.mark.parametrize("setting", ["unsafe_test_root", "webauthn_roots"])
def test_a_file_of_roots_that_cannot_be_read_is_named(tmp_path: Path, setting: str) -> None:
    """The sentence names the file."""
    path = tmp_path / "none.pem"
    settings = (
        Settings(unsafe_test_root=path)
        if setting == "unsafe_test_root"
        else Settings(webauthn_roots=path)
    )

    with pytest.raises(ConfigError, match=r"none\.pem cannot be read"):
        policies_of(settings)
