"""An enrolment's evidence: each format proves its level for one nonce and one key."""

from __future__ import annotations

import base64
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.attestation.evidence_material import (
    KEY,
    NONCE,
    OTHER_KEY,
    OTHER_NONCE,
    PACKAGE,
    PRIVATE_KEY,
    SIGNER,
    android_policy,
    apple_policy,
    compressed,
    expectation,
    revocation,
    verifier,
)

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.key_description import SecurityLevel
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.evidence import EvidenceVerifier, check_form
from quorumkey_attestation.result import Assurance, Result
from quorumkey_attestation.testing import apple, pki
from quorumkey_attestation.testing.android import android_evidence
from quorumkey_attestation.testing.apple import apple_evidence
from quorumkey_attestation.testing.webauthn import (
    BACKUP_ELIGIBLE,
    DEFAULT_FLAGS,
    ORIGIN,
    RP_ID,
    packed,
    packed_self,
    webauthn_evidence,
)
from quorumkey_attestation.testing.webauthn import none as no_statement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from cryptography.hazmat.primitives.asymmetric import ec

    from quorumkey_attestation.testing.webauthn import Parts, Statement
    from quorumkey_attestation.verifier import Expectation, Verifier

APPLE: dict[str, object] = {**apple_evidence(NONCE, compressed(KEY))}
ANDROID = android_evidence(NONCE, KEY, package=PACKAGE, signer_digest=SIGNER, now=pki.NOW)
STRONGBOX = android_evidence(
    NONCE, KEY, package=PACKAGE, signer_digest=SIGNER, level=SecurityLevel.STRONGBOX, now=pki.NOW
)
PROVISIONED_CHAIN = 5  # certificates, from the leaf to the root


def passkey(
    key: ec.EllipticCurvePrivateKey = PRIVATE_KEY,
    *,
    statement: Callable[[Parts], Statement] = packed,
    flags: int = DEFAULT_FLAGS,
) -> dict[str, object]:
    """The evidence of a passkey."""
    made = webauthn_evidence(
        NONCE, key, rp_id=RP_ID, origin=ORIGIN, statement=statement, flags=flags
    )
    return {**made}


WEBAUTHN = passkey()


def refusal(
    evidence: Mapping[str, object],
    expected: Expectation | None = None,
    by: Verifier | None = None,
) -> AttestationError:
    """Why evidence is refused."""
    with pytest.raises(AttestationError) as refused:
        (by or verifier()).verify(evidence, expected or expectation())
    return refused.value


def reason(
    evidence: Mapping[str, object],
    expected: Expectation | None = None,
    by: Verifier | None = None,
) -> Reason:
    """The reason of a refusal."""
    return refusal(evidence, expected, by).reason


# What is proved


def test_no_evidence_proves_nothing() -> None:
    """Format none is accepted at the lowest level."""
    result = verifier().verify({"format": "none"}, expectation())

    assert Result(format="none", assurance=Assurance.NONE) == result


def test_app_attest_reaches_the_secure_enclave() -> None:
    """A genuine instance of the app vouches for the key, and its own key is there to be stored."""
    result = verifier().verify(APPLE, expectation())

    assert (Assurance.SECURE_ENCLAVE, "apple-app-attest", ()) == (
        result.assurance,
        result.format,
        result.serials,
    )
    key = result.app_attest_key
    assert key is not None
    assert (APPLE["key_id"], apple.APP_ID, "production", 0) == (
        base64.b64encode(key.key_id).decode(),
        key.app_id,
        key.environment,
        key.counter,
    )


def test_an_app_attest_result_names_the_receipt_s_checks() -> None:
    """The receipt inside the object is verified too."""
    checks = verifier().verify(APPLE, expectation()).checks

    assert {"apple.attestation", "apple.receipt"} <= {name.partition("/")[0] for name in checks}


@pytest.mark.parametrize(
    ("evidence", "level"),
    [(ANDROID, Assurance.TEE), (STRONGBOX, Assurance.STRONGBOX)],
    ids=["tee", "strongbox"],
)
def test_android_reaches_the_level_of_its_hardware(
    evidence: Mapping[str, object], level: Assurance
) -> None:
    """The level is the one the hardware attests, with every certificate's serial to be watched."""
    result = verifier().verify(evidence, expectation())

    assert (level, PROVISIONED_CHAIN, None) == (
        result.assurance,
        len(result.serials),
        result.app_attest_key,
    )


@pytest.mark.parametrize(
    ("evidence", "level"),
    [
        (passkey(), Assurance.PASSKEY_DEVICE_BOUND),
        (passkey(statement=no_statement), Assurance.PASSKEY),
        (passkey(statement=packed_self), Assurance.PASSKEY),
        (passkey(flags=DEFAULT_FLAGS | BACKUP_ELIGIBLE), Assurance.PASSKEY),
    ],
    ids=["attested", "none", "self", "may be synchronised"],
)
def test_a_passkey_reaches_what_its_authenticator_attests(
    evidence: Mapping[str, object], level: Assurance
) -> None:
    """Bound to its device is only what a named root vouches for and nothing can copy."""
    assert level is verifier().verify(evidence, expectation()).assurance


# What it has to be about


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [(APPLE, Reason.NONCE), (ANDROID, Reason.CHALLENGE), (WEBAUTHN, Reason.CHALLENGE)],
    ids=["apple", "android", "webauthn"],
)
def test_evidence_for_another_nonce_is_refused(
    evidence: Mapping[str, object], expected: Reason
) -> None:
    """What was made for one enrolment serves no other."""
    assert expected is reason(evidence, expectation(nonce=OTHER_NONCE))


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [(APPLE, Reason.NONCE), (ANDROID, Reason.KEY_MISMATCH), (WEBAUTHN, Reason.KEY_MISMATCH)],
    ids=["apple", "android", "webauthn"],
)
def test_evidence_for_another_key_is_refused(
    evidence: Mapping[str, object], expected: Reason
) -> None:
    """What vouches for one key vouches for no other."""
    assert expected is reason(evidence, expectation(key=OTHER_KEY))


def test_the_client_data_hash_is_not_hashed_again() -> None:
    """App Attest was given SHA-256(nonce, key); an object for its hash is another one."""
    twice = apple.Attestation(client_data_hash=pki.sign(pki.private_key("x"), b"")[:32])
    evidence = APPLE | {"object": base64.b64encode(twice.object).decode()}

    assert Reason.NONCE is reason(evidence)


def test_another_app_is_refused() -> None:
    """Evidence of an app that policy does not name proves nothing."""
    foreign = android_evidence(
        NONCE, KEY, package="com.example.game", signer_digest=SIGNER, now=pki.NOW
    )
    ours = apple_policy(app_ids=frozenset({"AAAAAAAAAA.com.example.game"}))

    assert Reason.APP_ID is reason(foreign)
    assert Reason.APP_ID is reason(APPLE, by=verifier(app_attest=ours))


def test_an_old_receipt_is_refused() -> None:
    """An object whose receipt was made long before the enrolment is not of this enrolment."""
    assert Reason.TIMESTAMP is reason(APPLE, expectation(after=timedelta(minutes=6)))


def test_another_word_for_receipts() -> None:
    """A misspelt ``required`` is refused, and not taken for ``ignored``."""
    with pytest.raises(ValueError, match="receipts"):
        EvidenceVerifier(receipts="require")  # type: ignore[arg-type]  # the mistake


def test_a_receipt_can_be_left_out_of_account() -> None:
    """Who does without the extra for receipts judges the object alone."""
    result = verifier(receipts="ignored").verify(APPLE, expectation(after=timedelta(minutes=6)))

    assert not [name for name in result.checks if name.startswith("apple.receipt")]


# Revocation


def test_android_evidence_needs_a_revocation_list() -> None:
    """Without a list nobody can say that the certificates still count."""
    assert Reason.REVOCATION_STALE is reason(ANDROID, by=verifier(revocation=None))


def test_a_stale_list_is_as_good_as_none() -> None:
    """A list that is older than its greatest age refuses everything."""
    old = replace(revocation(), fetched_at=pki.NOW - timedelta(days=3))

    assert Reason.REVOCATION_STALE is reason(ANDROID, by=verifier(revocation=old))


def test_a_revoked_certificate_is_refused() -> None:
    """The serials that a result names are those the list is asked about."""
    batch = verifier().verify(ANDROID, expectation()).serials[1]

    assert Reason.REVOKED is reason(ANDROID, by=verifier(revocation=revocation(batch)))


# What a verifier is set up for


@pytest.mark.parametrize(
    "evidence", [APPLE, ANDROID, WEBAUTHN], ids=["apple", "android", "webauthn"]
)
def test_a_format_without_a_policy_is_unsupported(evidence: Mapping[str, object]) -> None:
    """Nothing is trusted that nobody named."""
    assert Reason.UNSUPPORTED is reason(evidence, by=EvidenceVerifier())


_PRELOAD = """
import sys
from quorumkey_attestation import AppAttestPolicy, EvidenceVerifier, WebAuthnPolicy
app_attest = AppAttestPolicy(app_ids=frozenset(["TEAM.app"]))
webauthn = WebAuthnPolicy(rp_id="example.com", origins=frozenset(["https://example.com"]))
if {missing}:
    sys.modules["webauthn"] = sys.modules["asn1crypto"] = None
EvidenceVerifier(app_attest={app_attest}, webauthn={webauthn}).preload()
print(*(name for name in ("webauthn", "asn1crypto") if sys.modules.get(name)))
"""


@pytest.mark.parametrize(
    ("app_attest", "webauthn", "missing", "loaded"),
    [
        ("app_attest", "webauthn", False, "webauthn asn1crypto\n"),
        ("app_attest", "None", False, "asn1crypto\n"),
        ("None", "webauthn", False, "webauthn\n"),
        ("app_attest", "webauthn", True, "\n"),
    ],
    ids=["both", "app-attest", "webauthn", "missing"],
)
def test_preloading_imports_what_the_formats_need(
    app_attest: str, webauthn: str, missing: object, loaded: str
) -> None:
    """Only what a configured format needs is imported, and a missing extra is no error yet."""
    program = _PRELOAD.format(app_attest=app_attest, webauthn=webauthn, missing=missing)
    done = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )

    assert loaded == done.stdout


def test_test_roots_count_only_where_that_is_said() -> None:
    """Evidence of the test PKI is worth nothing by the built-in roots."""
    genuine = verifier(
        app_attest=replace(apple_policy(), anchors=TrustAnchors.apple_app_attest()),
        android=replace(android_policy(), anchors=TrustAnchors.google_hardware()),
    )

    assert [Reason.UNTRUSTED_ROOT] * 2 == [reason(each, by=genuine) for each in (APPLE, ANDROID)]


# Its form

DER = base64.b64encode(b"0" * 40).decode()
FORMS: dict[str, tuple[dict[str, object], Reason]] = {
    "no format": ({}, Reason.UNSUPPORTED),
    "unknown format": ({"format": "tpm"}, Reason.UNSUPPORTED),
    "format of another type": ({"format": ["none"]}, Reason.UNSUPPORTED),
    "none with a member": ({"format": "none", "chain": []}, Reason.MALFORMED),
    "member missing": ({"format": "apple-app-attest", "key_id": DER}, Reason.MALFORMED),
    "member too many": (APPLE | {"chain": []}, Reason.MALFORMED),
    "key id too short": (APPLE | {"key_id": "AAAA"}, Reason.MALFORMED),
    "key id of another type": (APPLE | {"key_id": 1}, Reason.MALFORMED),
    "base64url where base64 belongs": (APPLE | {"object": "_-__"}, Reason.MALFORMED),
    "base64 without padding": (APPLE | {"object": "AA"}, Reason.MALFORMED),
    "spare bits": (APPLE | {"object": "AB=="}, Reason.MALFORMED),
    "white space": (APPLE | {"object": "AA AA"}, Reason.MALFORMED),
    "not ASCII": (APPLE | {"object": "ÄÄÄÄ"}, Reason.MALFORMED),
    "no bytes": (APPLE | {"object": ""}, Reason.MALFORMED),
    "too large": (APPLE | {"object": "A" * 100_000}, Reason.MALFORMED),
    "object is no map": (APPLE | {"object": "AA=="}, Reason.MALFORMED),
    "chain is no array": ({"format": "android-key", "chain": "AAAA"}, Reason.MALFORMED),
    "one certificate": ({"format": "android-key", "chain": [DER]}, Reason.BROKEN_CHAIN),
    "eleven certificates": ({"format": "android-key", "chain": [DER] * 11}, Reason.BROKEN_CHAIN),
    "no certificates": ({"format": "android-key", "chain": [DER, DER]}, Reason.MALFORMED),
    "large certificate": (
        {"format": "android-key", "chain": ["A" * 12_000, DER]},
        Reason.MALFORMED,
    ),
    "padding in base64url": (WEBAUTHN | {"client_data_json": "e30="}, Reason.MALFORMED),
    "base64 where base64url belongs": (WEBAUTHN | {"client_data_json": "+/+/"}, Reason.MALFORMED),
    "one character": (WEBAUTHN | {"client_data_json": "A"}, Reason.MALFORMED),
    "spare bits in base64url": (WEBAUTHN | {"client_data_json": "e31"}, Reason.MALFORMED),
}


@pytest.mark.parametrize(("evidence", "expected"), FORMS.values(), ids=FORMS)
def test_a_bad_form_is_refused(evidence: Mapping[str, object], expected: Reason) -> None:
    """Members, encodings and sizes are strict, whoever judges."""
    assert expected is reason(evidence)
    with pytest.raises(AttestationError) as refused:
        check_form(evidence)
    assert expected is refused.value.reason


@pytest.mark.parametrize(
    "evidence",
    [{"format": "none"}, APPLE, ANDROID, WEBAUTHN],
    ids=["none", "apple", "android", "webauthn"],
)
def test_a_form_that_can_be_evidence_is_not_judged(evidence: Mapping[str, object]) -> None:
    """Looking at the form alone asks for no policy, nonce or key."""
    check_form(evidence)


@pytest.mark.parametrize(
    "change",
    [{"client_data_json": "W10"}, {"client_data_json": "AAAA"}, {"attestation_object": "AA"}],
)
def test_a_registration_of_another_form_is_refused(change: dict[str, object]) -> None:
    """Client data is a JSON object, the attestation object a CBOR map."""
    with pytest.raises(AttestationError) as refused:
        check_form(WEBAUTHN | change)

    assert Reason.MALFORMED is refused.value.reason


TEXTS = st.text() | st.binary().map(lambda data: base64.b64encode(data).decode())
VALUES = st.recursive(TEXTS | st.none() | st.integers() | st.booleans(), st.lists, max_leaves=4)


@given(
    kind=st.sampled_from(["none", "apple-app-attest", "android-key", "webauthn"]) | TEXTS,
    members=st.dictionaries(
        st.sampled_from(["key_id", "object", "chain", "attestation_object", "client_data_json"]),
        VALUES,
    ),
)
def test_any_members_give_a_result_or_a_refusal(kind: str, members: dict[str, object]) -> None:
    """Whatever JSON a device sends, nothing but ``AttestationError`` comes out."""
    evidence = {"format": kind, **members}

    with suppress(AttestationError):
        verifier().verify(evidence, expectation())
    with suppress(AttestationError):
        check_form(evidence)
