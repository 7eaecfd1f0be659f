"""App Attest assertions: the stored key, the counter, the challenge, and nothing changed."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from hypothesis import example, given
from hypothesis import strategies as st
from tests.attestation.apple_material import (
    ASSERTION,
    CHALLENGE,
    Everything,
    attested_key,
    mangled,
    policy,
)

from quorumkey_attestation.apple import AppAssertion, AppAttestPolicy, verify_app_assertion
from quorumkey_attestation.apple.assertion import examine_app_assertion
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.apple import APP_ID, Assertion, extension_map
from quorumkey_attestation.testing.cbor_encoding import Encodable, encode

if TYPE_CHECKING:
    from quorumkey_attestation.apple import AppAttestKey

MINTED = ASSERTION.object
ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551  # of P-256's base point


def verify(
    made: bytes | Assertion = MINTED,
    *,
    key: AppAttestKey | None = None,
    last_counter: int = 4,
    settings: AppAttestPolicy | None = None,
    challenge: bytes | None = CHALLENGE,
) -> AppAssertion:
    """Verify an assertion by the attested key."""
    return verify_app_assertion(
        made.object if isinstance(made, Assertion) else made,
        client_data=made.client_data if isinstance(made, Assertion) else ASSERTION.client_data,
        key=key or attested_key(),
        last_counter=last_counter,
        policy=settings or policy(),
        challenge=challenge,
    )


def test_an_assertion_gives_the_counter_to_store() -> None:
    """The counter may leap: an app signs more often than it is heard."""
    assert (5, None, None) == (
        verify(last_counter=0).counter,
        verify().category,
        verify().bundle_version,
    )


def test_an_assertions_extensions_are_read() -> None:
    """IOS 27 appends category and version to assertions too."""
    assertion = verify(replace(ASSERTION, extensions=extension_map(4, "2.1")))

    assert (4, "2.1") == (assertion.category, assertion.bundle_version)


def test_a_result_names_the_checks_of_every_step() -> None:
    """The trail covers the steps of Apple's list, in their order."""
    made = replace(ASSERTION, extensions=extension_map())
    steps = [
        int(check.removeprefix("apple.assertion/").split("-")[0])
        for check in verify(made).checks
        if check.startswith("apple.assertion/")
    ]

    assert sorted(steps) == steps
    assert {3, 4, 5, 6, 7, 8} == set(steps)


@pytest.mark.parametrize("last_counter", [5, 6, 0xFFFFFFFF])
def test_a_counter_has_to_grow(last_counter: int) -> None:
    """Equal is not greater."""
    with pytest.raises(AttestationError) as refused:
        verify(last_counter=last_counter)

    assert (Reason.COUNTER, "apple.assertion/5-counter") == (
        refused.value.reason,
        refused.value.check,
    )


def test_the_first_counter_is_above_0() -> None:
    """A counter of 0 is refused after the attestation's 0."""
    with pytest.raises(AttestationError) as refused:
        verify(replace(ASSERTION, counter=0), last_counter=0)

    assert Reason.COUNTER is refused.value.reason


def test_a_negative_counter_is_the_callers_mistake() -> None:
    """With it, a counter of 0 would pass."""
    with pytest.raises(ValueError, match="negative"):
        verify(last_counter=-1)


def test_an_empty_challenge_is_the_callers_mistake() -> None:
    """Nothing stands in everything."""
    with pytest.raises(ValueError, match="empty"):
        verify(challenge=b"")


@pytest.mark.parametrize(
    "text",
    [
        CHALLENGE,
        base64.b64encode(CHALLENGE),
        base64.b64encode(CHALLENGE).rstrip(b"="),
        base64.urlsafe_b64encode(CHALLENGE),
        base64.urlsafe_b64encode(CHALLENGE).rstrip(b"="),
    ],
    ids=["raw", "base64", "unpadded", "base64url", "base64url, unpadded"],
)
def test_a_challenge_is_found_as_it_is_or_in_base64(text: bytes) -> None:
    """Apps put the challenge into JSON as they like."""
    made = replace(ASSERTION, client_data=b'{"challenge":"' + text + b'","amount":1}')

    assert "apple.assertion/6-challenge" in verify(made).checks


def test_a_challenge_is_found_though_json_escapes_its_slashes() -> None:
    """Swift's JSON encoder writes a backslash before every slash."""
    challenge = b"\xff" * 32  # whose base64 is full of slashes
    text = base64.b64encode(challenge).replace(b"/", b"\\/")
    made = replace(ASSERTION, client_data=b'{"challenge":"' + text + b'"}')

    assert 5 == verify(made, challenge=challenge).counter


@pytest.mark.parametrize(
    "client_data",
    [b"", CHALLENGE[:-1], base64.b64encode(CHALLENGE)[:-3], CHALLENGE.hex().encode()],
    ids=["empty", "cut off", "cut off in base64", "hexadecimal"],
)
def test_client_data_without_the_challenge_is_refused(client_data: bytes) -> None:
    """Signed as it may be, it was not made for this challenge."""
    with pytest.raises(AttestationError) as refused:
        verify(replace(ASSERTION, client_data=client_data))

    assert Reason.CHALLENGE is refused.value.reason


def test_a_caller_may_look_for_the_challenge_itself() -> None:
    """Without a challenge, step 6 is the caller's, and the trail says so."""
    assertion = verify(replace(ASSERTION, client_data=b"anything"), challenge=None)

    assert not any("/6" in check for check in assertion.checks if "assertion" in check)


def test_another_keys_assertion_is_refused() -> None:
    """After a new installation there is a new key, and the old assertions are worth nothing."""
    with pytest.raises(AttestationError) as refused:
        verify(replace(ASSERTION, label="another app attest key"))

    assert (Reason.SIGNATURE, "apple.assertion/3-signature") == (
        refused.value.reason,
        refused.value.check,
    )


def test_the_nonce_is_hashed_once_more() -> None:
    """A signature over the nonce as a digest is refused."""
    data = ASSERTION.authenticator_data
    message = data + hashlib.sha256(ASSERTION.client_data).digest()
    key = pki.private_key(ASSERTION.label)

    with pytest.raises(AttestationError) as refused:
        verify(ASSERTION.encode(signature=pki.sign(key, message)))

    assert Reason.SIGNATURE is refused.value.reason


def _signature() -> tuple[int, int]:
    nonce = ASSERTION.nonce(ASSERTION.authenticator_data)
    signature = pki.private_key(ASSERTION.label).sign(nonce, ec.ECDSA(hashes.SHA256()))
    return decode_dss_signature(signature)


def test_a_signature_with_high_and_one_with_low_s_pass() -> None:
    """Both are ECDSA's, so that a signature's bytes identify nothing; the counter does."""
    r, s = _signature()

    for each in (s, ORDER - s):
        assert 5 == verify(ASSERTION.encode(signature=encode_dss_signature(r, each))).counter


def test_a_signature_that_is_not_der_is_refused() -> None:
    """Two numbers of 32 bytes after one another are another format."""
    r, s = _signature()

    with pytest.raises(AttestationError) as refused:
        verify(ASSERTION.encode(signature=r.to_bytes(32) + s.to_bytes(32)))

    assert Reason.SIGNATURE is refused.value.reason


def test_a_key_of_another_app_is_refused() -> None:
    """The assertion has to come from the app that the key belongs to."""
    with pytest.raises(AttestationError) as refused:
        verify(replace(ASSERTION, app_id="QK12345678.com.example.other"))

    assert "apple.assertion/4-app-id" == refused.value.check


def test_a_key_whose_app_is_not_accepted_any_more_is_refused() -> None:
    """A policy that drops an app drops its keys."""
    other = policy(app_ids=frozenset({"QK12345678.com.example.other"}))

    with pytest.raises(AttestationError) as refused:
        verify(settings=other)

    assert "apple.assertion/4-key-app-id" == refused.value.check


def test_a_development_key_is_refused_in_production() -> None:
    """Keys keep the environment that they were attested in."""
    with pytest.raises(AttestationError) as refused:
        verify(key=replace(attested_key(), environment="development"))

    assert (Reason.ENVIRONMENT, "apple.assertion/4-environment") == (
        refused.value.reason,
        refused.value.check,
    )


@pytest.mark.parametrize(
    ("extensions", "reason", "check"),
    [
        (extension_map(0), Reason.VERDICT, "apple.assertion/7-category"),
        (extension_map(3), Reason.VERDICT, "apple.assertion/7-category"),
        (extension_map(None), Reason.VERDICT, "apple.assertion/7-present"),
        (extension_map(4, None), Reason.VERDICT, "apple.assertion/7-present"),
        (b"", Reason.VERDICT, "apple.assertion/7-present"),
        (extension_map(4, "1.9"), Reason.VERDICT, "apple.assertion/8-version"),
        (
            encode({"apple_bundle_version_01": "2", "apple_validation_category_01": 4}),
            Reason.MALFORMED,
            "apple.assertion/7-form",
        ),
        (
            encode({"apple_bundle_version_01": 2, "apple_validation_category_01": b"\4\0\0\0"}),
            Reason.MALFORMED,
            "apple.assertion/8-form",
        ),
    ],
    ids=[
        "invalid",
        "development",
        "no category",
        "no version",
        "no map",
        "old version",
        "category as number",
        "version as number",
    ],
)
def test_a_strict_policy_holds_the_extensions_against_it(
    extensions: bytes, reason: Reason, check: str
) -> None:
    """Category and version are looked at in assertions as they are in attestations."""
    strict = AppAttestPolicy(
        app_ids=frozenset({APP_ID}),
        categories=frozenset({2, 4}),
        missing_extensions="reject",
        min_bundle_version="1.10",
    )

    with pytest.raises(AttestationError) as refused:
        verify(replace(ASSERTION, extensions=extensions), settings=strict)

    assert (reason, check) == (refused.value.reason, refused.value.check)


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"signature": b""},
        {"authenticatorData": ASSERTION.authenticator_data},
        {"signature": "", "authenticatorData": ASSERTION.authenticator_data},
        {"signature": b"", "authenticatorData": 1},
        [b"", b""],
    ],
    ids=["empty", "no data", "no signature", "text", "number", "array"],
)
def test_an_assertion_of_another_shape_is_refused(members: Encodable) -> None:
    """Two byte strings are needed, under their names."""
    with pytest.raises(AttestationError) as refused:
        verify(encode(members))

    assert "apple.assertion/1-object" == refused.value.check


@given(st.data())
def test_no_byte_of_an_assertion_can_be_changed(data: st.DataObject) -> None:
    """Whatever byte is changed, to whatever value, some check refuses it."""
    position = data.draw(st.integers(0, len(MINTED) - 1))
    changed = bytearray(MINTED)
    changed[position] = data.draw(st.integers(0, 255).filter(lambda each: each != MINTED[position]))

    with pytest.raises(AttestationError):
        verify(bytes(changed))


@given(st.data())
def test_no_byte_of_the_client_data_can_be_changed(data: st.DataObject) -> None:
    """The signature covers what the app asked for."""
    signed = ASSERTION.client_data
    position = data.draw(st.integers(0, len(signed) - 1))
    changed = bytearray(signed)
    changed[position] = data.draw(st.integers(0, 255).filter(lambda each: each != signed[position]))

    with pytest.raises(AttestationError) as refused:
        verify_app_assertion(
            MINTED,
            client_data=bytes(changed),
            key=attested_key(),
            last_counter=4,
            policy=policy(),
        )

    assert Reason.SIGNATURE is refused.value.reason


@given(mangled(MINTED), st.binary(max_size=40))
@example(b"", b"")
@example(b"\xf6", b"")
def test_any_bytes_give_an_assertion_or_a_refusal(obj: bytes, client_data: bytes) -> None:
    """Nothing but AttestationError comes out, even where no check refuses anything."""
    for audit in (Audit(), Audit(ignored=Everything())):
        try:
            assertion = examine_app_assertion(
                obj,
                client_data=client_data,
                key=attested_key(),
                last_counter=4,
                policy=policy(),
                challenge=CHALLENGE,
                audit=audit,
            )
        except AttestationError:
            continue
        assert isinstance(assertion, AppAssertion)
