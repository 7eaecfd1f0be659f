"""What an App Attest policy may say, and the key that a server rebuilds."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from typing import Any, cast

import pytest
from tests.attestation.apple_material import attested_key

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.apple import AppAttestKey, AppAttestPolicy
from quorumkey_attestation.apple.policy import version_number
from quorumkey_attestation.testing.apple import APP_ID


def make(settings: dict[str, Any]) -> AppAttestPolicy:
    """Make a policy of the app, with some settings changed."""
    complete: dict[str, Any] = {"app_ids": frozenset({APP_ID}), **settings}
    return AppAttestPolicy(**complete)


def test_a_policy_trusts_apples_roots_unless_told() -> None:
    """Attestations and receipts have roots of their own."""
    policy = AppAttestPolicy(app_ids=frozenset({APP_ID}))

    assert (TrustAnchors.apple_app_attest(), TrustAnchors.apple_receipt()) == (
        policy.anchors,
        policy.receipt_anchors,
    )


def test_a_policy_cannot_be_changed() -> None:
    """What was configured stays what it is."""
    policy = AppAttestPolicy(app_ids=frozenset({APP_ID}))

    with pytest.raises(FrozenInstanceError):
        cast("Any", policy).environment = "development"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"app_ids": frozenset[str]()}, "at least one"),
        ({"app_ids": frozenset({""})}, "none of them empty"),
        ({"environment": "staging"}, "no environment"),
        ({"missing_extensions": "warn"}, "allow or reject"),
        ({"categories": frozenset({0, 4})}, "category 0"),
        ({"min_bundle_version": "1.x"}, "separated by dots"),
    ],
    ids=["no app", "empty app", "environment", "extensions", "category", "version"],
)
def test_a_policy_that_makes_no_sense_cannot_be_made(
    settings: dict[str, Any], message: str
) -> None:
    """Nobody finds out at the first enrolment that nothing, or everything, is accepted."""
    with pytest.raises(ValueError, match=message):
        make(settings)


@pytest.mark.parametrize("name", ["app_ids", "categories"])
def test_a_policy_takes_sets_as_frozensets(name: str) -> None:
    """A string would otherwise be taken for the set of its letters."""
    with pytest.raises(TypeError, match=name):
        make({name: "ABC"})


def test_a_key_is_rebuilt_from_what_was_stored() -> None:
    """Identifier, point, App ID and environment are all that assertions need."""
    key = attested_key()

    stored = AppAttestKey.stored(
        key_id=key.key_id,
        public_key_point=key.point,
        app_id=key.app_id,
        environment=key.environment,
    )

    assert (key.point, key.app_id, 0) == (stored.point, stored.app_id, stored.counter)


def test_a_key_is_not_rebuilt_under_another_identifier() -> None:
    """A mix-up in the store shows before it is trusted."""
    with pytest.raises(ValueError, match="SHA-256"):
        AppAttestKey.stored(
            key_id=bytes(32),
            public_key_point=attested_key().point,
            app_id=APP_ID,
            environment="production",
        )


def test_a_keys_receipt_stays_out_of_its_repr() -> None:
    """Four thousand bytes would drown every log line."""
    assert "receipt" not in repr(attested_key())


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", (1,)),
        ("1.10.0", (1, 10)),
        ("0", ()),
        ("2026.06.01", (2026, 6, 1)),
        ("", None),
        ("1..2", None),
        ("1.2b", None),
        ("-1", None),
        ("\N{ARABIC-INDIC DIGIT ONE}", None),
        ("1" * 65, None),
    ],
    ids=["one", "ten", "zero", "date", "empty", "gap", "letter", "sign", "arabic", "long"],
)
def test_a_version_is_numbers_separated_by_dots(text: str, number: tuple[int, ...] | None) -> None:
    """Versions compare by number, so that 1.10 is above 1.9; trailing zeros say nothing."""
    assert number == version_number(text)
