"""App Attest attestations: what is accepted, and that nothing in one can be changed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.attestation.apple_material import (
    ATTESTATION,
    CLIENT_DATA_HASH,
    Everything,
    attested_key,
    mangled,
    needs_vectors,
    policy,
)
from tests.attestation.apple_material import captured as captured_documents

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.apple import AppAttestKey, AppAttestPolicy, verify_app_attestation
from quorumkey_attestation.apple.attestation import examine_app_attestation
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple import APP_ID, Attestation, extension_map
from quorumkey_attestation.testing.apple_certificates import macos_access_policy
from quorumkey_attestation.testing.cbor_encoding import Encodable, encode

if TYPE_CHECKING:
    from datetime import datetime


@cache
def minted() -> bytes:
    """Return the object that passes."""
    return ATTESTATION.object


def verify(
    obj: bytes | Attestation,
    policy: AppAttestPolicy = policy(),  # noqa: B008  # frozen, and made once
    *,
    key_id: bytes = ATTESTATION.key_id,
    client_data_hash: bytes = CLIENT_DATA_HASH,
    now: datetime = pki.NOW,
) -> AppAttestKey:
    """Verify an object under the test root."""
    return verify_app_attestation(
        obj.object if isinstance(obj, Attestation) else obj,
        key_id=key_id,
        client_data_hash=client_data_hash,
        policy=policy,
        now=now,
    )


def refusal(
    obj: bytes | Attestation,
    policy: AppAttestPolicy = policy(),  # noqa: B008  # as above
    *,
    key_id: bytes = ATTESTATION.key_id,
) -> tuple[Reason, str | None]:
    """Return why an object is refused."""
    with pytest.raises(AttestationError) as refused:
        verify(obj, policy, key_id=key_id)
    return refused.value.reason, refused.value.check


def test_an_attestation_gives_the_key_to_store() -> None:
    """Identifier, key, app, environment, counter, receipt and the extensions come out of it."""
    key = verify(minted())

    assert (ATTESTATION.key_id, ATTESTATION.point, APP_ID, "production", 0, 4, "1") == (
        key.key_id,
        key.point,
        key.app_id,
        key.environment,
        key.counter,
        key.category,
        key.bundle_version,
    )
    assert key.receipt


def test_a_result_names_the_checks_of_every_step() -> None:
    """The trail covers the steps of Apple's list, in their order."""
    steps = [
        int(check.removeprefix("apple.attestation/").split("-")[0])
        for check in attested_key().checks
        if check.startswith("apple.attestation/")
    ]

    assert sorted(steps) == steps
    assert {1, 4, 5, 6, 7, 8, 9, 10, 11} == set(steps)


def test_a_policy_with_several_apps_says_which_one_it_was() -> None:
    """The result names the app that the key belongs to."""
    several = policy(app_ids=frozenset({APP_ID, "QK12345678.com.example.other"}))

    assert APP_ID == verify(minted(), several).app_id


def test_a_development_key_needs_a_development_policy() -> None:
    """A server for development accepts development keys, and no others."""
    made = replace(ATTESTATION, environment="development")

    assert "development" == verify(made, policy("development")).environment
    assert Reason.ENVIRONMENT is refusal(made)[0]
    assert Reason.ENVIRONMENT is refusal(minted(), policy("development"))[0]


def test_a_moment_without_time_zone_is_the_callers_mistake() -> None:
    """No zone is guessed."""
    with pytest.raises(ValueError, match="time zone"):
        verify(minted(), now=pki.NOW.replace(tzinfo=None))


def test_a_hash_of_another_length_is_the_callers_mistake() -> None:
    """Whoever passes the challenge instead of its hash hears of it at once."""
    with pytest.raises(ValueError, match="32 bytes"):
        verify(minted(), client_data_hash=b"challenge")


def test_a_hash_of_another_length_can_be_allowed_for_tests() -> None:
    """Apple's own samples sign the raw challenge."""
    made = Attestation(client_data_hash=b"challenge")

    key = verify(made, replace_policy(allow_any_hash_length=True), client_data_hash=b"challenge")

    assert APP_ID == key.app_id


def replace_policy(
    *,
    allow_any_hash_length: bool = False,
    require_macos_acl: bool = False,
    categories: frozenset[int] | None = None,
    missing_extensions: bool = True,
    min_bundle_version: str | None = None,
) -> AppAttestPolicy:
    """Return the test policy with some of it changed."""
    return AppAttestPolicy(
        app_ids=frozenset({APP_ID}),
        anchors=policy().anchors,
        allow_any_hash_length=allow_any_hash_length,
        require_macos_acl=require_macos_acl,
        categories=categories,
        missing_extensions="allow" if missing_extensions else "reject",
        min_bundle_version=min_bundle_version,
    )


def test_a_mac_with_full_security_passes_where_one_is_asked_for() -> None:
    """The access policy that Apple documents is accepted; an iPhone's is another."""
    macs_only = replace_policy(require_macos_acl=True)
    made = replace(ATTESTATION, platform=macos_access_policy())

    assert "apple.attestation/12-access-policy" in verify(made, macs_only).checks
    assert (Reason.BOOT_STATE, "apple.attestation/12-access-policy") == refusal(minted(), macs_only)


@pytest.mark.parametrize("category", range(1, 11))
def test_without_categories_every_one_but_0_is_accepted(category: int) -> None:
    """Who names no category takes what Apple's system lets run."""
    made = replace(ATTESTATION, extensions=extension_map(category))

    assert category == verify(made).category


def test_category_0_is_never_accepted() -> None:
    """It is Apple's word for an app that is not valid."""
    made = replace(ATTESTATION, extensions=extension_map(0))

    assert (Reason.VERDICT, "apple.attestation/10-category") == refusal(made)


@pytest.mark.parametrize("category", [1, 3])
def test_with_categories_only_those_are_accepted(category: int) -> None:
    """A shop's server asks for App Store and TestFlight."""
    made = replace(ATTESTATION, extensions=extension_map(category))

    assert (Reason.VERDICT, "apple.attestation/10-category") == refusal(
        made, replace_policy(categories=frozenset({2, 4}))
    )


def test_categories_do_not_refuse_systems_that_send_none() -> None:
    """Before iOS 27 there is no extension map; refusing those is a policy of its own."""
    made = replace(ATTESTATION, extensions=b"")

    assert verify(made, replace_policy(categories=frozenset({4}))).category is None
    assert (Reason.VERDICT, "apple.attestation/10-present") == refusal(
        made, replace_policy(missing_extensions=False)
    )


@pytest.mark.parametrize(("version", "passes"), [("1.9", False), ("1.10", True), ("x", False)])
def test_a_version_floor_is_compared_by_number(version: str, passes: bool) -> None:  # noqa: FBT001  # of the table
    """1.10 is above 1.9, and what is no version is below every floor."""
    made = replace(ATTESTATION, extensions=extension_map(4, version))
    floor = replace_policy(min_bundle_version="1.10")

    if passes:
        assert version == verify(made, floor).bundle_version
    else:
        assert (Reason.VERDICT, "apple.attestation/11-version") == refusal(made, floor)


@pytest.mark.parametrize("length", [0, 31, 33])
def test_an_identifier_of_another_length_is_evidence_about_another_key(length: int) -> None:
    """The identifier comes from the app, so that a wrong one is a refusal."""
    assert Reason.KEY_MISMATCH is refusal(minted(), key_id=bytes(length))[0]


def test_apples_real_root_does_not_trust_the_test_root() -> None:
    """Evidence of the test PKI is worth nothing to a server that was not told of it."""
    apple = AppAttestPolicy(app_ids=frozenset({APP_ID}))

    assert (Reason.UNTRUSTED_ROOT, "chain/3-anchor") == refusal(minted(), apple)


def test_the_test_root_is_refused_even_where_it_is_configured() -> None:
    """It takes a flag of its own, since its private key is public."""
    careless = AppAttestPolicy(
        app_ids=frozenset({APP_ID}), anchors=TrustAnchors(policy().anchors.certs)
    )

    assert Reason.UNTRUSTED_ROOT is refusal(minted(), careless)[0]


@pytest.mark.parametrize("name", ["fmt", "attStmt", "authData"])
@pytest.mark.parametrize("value", [None, 0, [], {}, b"", ""], ids=repr)
def test_a_member_of_another_kind_is_refused(name: str, value: Encodable | None) -> None:
    """Missing or of the wrong type, no member is guessed."""
    members = dict(ATTESTATION.members)
    del members[name]
    if value is not None:
        members[name] = value

    assert refusal(encode(members))[0] in {Reason.MALFORMED, Reason.UNSUPPORTED}


def _outside_receipt(obj: bytes, receipt: bytes) -> list[int]:
    start = obj.index(receipt)
    return [*range(start), *range(start + len(receipt), len(obj))]


@given(st.data())
def test_no_byte_of_an_attestation_can_be_changed(data: st.DataObject) -> None:
    """Every byte but the receipt's, which is verified for itself, is covered by some check."""
    position = data.draw(st.sampled_from(_outside_receipt(minted(), attested_key().receipt)))
    changed = bytearray(minted())
    changed[position] = data.draw(
        st.integers(0, 255).filter(lambda value: value != minted()[position])
    )

    with pytest.raises(AttestationError):
        verify(bytes(changed))


@needs_vectors
def test_no_byte_of_a_captured_attestation_can_be_changed() -> None:
    """The same holds for a genuine one, byte by byte from the first to the last."""
    document = captured_documents("attestation")[0]
    settings = AppAttestPolicy(
        app_ids=frozenset({"6MURL8TA57.de.vincent-haupert.apple-appattest-poc"}),
        environment="development",
    )

    def attest(obj: bytes) -> AppAttestKey:
        return verify_app_attestation(
            obj,
            key_id=document.key_id,
            client_data_hash=bytes.fromhex(
                "8be65cca515ad097c953967d18d635d86dd78a142ed3d077526bed11c6bec67b"
            ),
            policy=settings,
            now=document.at,
        )

    for position in _outside_receipt(document.content, attest(document.content).receipt):
        changed = bytearray(document.content)
        changed[position] ^= 1 << position % 8
        with pytest.raises(AttestationError):
            attest(bytes(changed))


@given(mangled(minted()))
@example(b"")
@example(b"\xa3")
@example(b"\xf6")
def test_any_bytes_give_a_key_or_a_refusal(obj: bytes) -> None:
    """Nothing but AttestationError comes out, even where no check refuses anything."""
    for audit in (Audit(), Audit(ignored=Everything())):
        try:
            key = examine_app_attestation(
                obj,
                key_id=ATTESTATION.key_id,
                client_data_hash=CLIENT_DATA_HASH,
                policy=policy(),
                now=pki.NOW,
                audit=audit,
            )
        except AttestationError:
            continue
        assert isinstance(key, AppAttestKey)
