"""The public ceremonies: py_webauthn's recordings of devices, and W3C's own test vectors."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, TypedDict, cast

import pytest
from cryptography import x509

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.revocation import RevocationList
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.result import Assurance
from quorumkey_attestation.webauthn import (
    ALGORITHMS,
    CredentialPublicKey,
    WebAuthnAssertion,
    WebAuthnKey,
    WebAuthnPolicy,
    verify_webauthn_assertion,
    verify_webauthn_registration,
)
from quorumkey_attestation.webauthn.ceremony import read_cose_key

_VECTORS: Final = Path(__file__).parents[3] / "shared" / "vectors"
_RECORDED: Final = _VECTORS / "py_webauthn"
_W3C: Final = _VECTORS / "w3c-webauthn" / "test-vectors.json"

needs_vectors = pytest.mark.skipif(
    not _VECTORS.is_dir(), reason="the public vectors are not beside this checkout"
)


class Response(TypedDict):
    """The members of a credential's response that are read here, in base64url."""

    attestationObject: str
    authenticatorData: str
    clientDataJSON: str
    signature: str


class Recorded(TypedDict):
    """One ceremony of py_webauthn's tests."""

    name: str
    credential: dict[str, object]
    challenge: str
    rp_id: str
    origin: str | None
    credential_public_key: str | None
    sign_count: str | None
    raises: bool


class Ceremony(TypedDict):
    """One pair of ceremonies of W3C's; every value in hex, or text."""

    title: str
    registration: dict[str, str]
    authentication: dict[str, str]
    other: list[dict[str, str]]


def _bytes(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _recorded(file: str) -> dict[str, Recorded]:
    path = _RECORDED / file
    if not path.is_file():
        return {}
    return {each["name"]: each for each in cast("list[Recorded]", json.loads(path.read_text()))}


def _ceremonies() -> dict[str, Ceremony]:
    if not _W3C.is_file():
        return {}
    return {each["title"]: each for each in cast("list[Ceremony]", json.loads(_W3C.read_text()))}


_REGISTRATIONS: Final = {
    f"{file}-{name}": each
    for file in ("none", "packed", "fido_u2f", "tpm", "apple", "android_key")
    for name, each in _recorded(
        "verify_registration_response.json"
        if file == "none"
        else f"verify_registration_response_{file}.json"
    ).items()
}
_AUTHENTICATIONS: Final = _recorded("verify_authentication_response.json")
_CEREMONIES: Final = _ceremonies()

#: The moments of the MANIFEST; other recordings are judged without a chain, at any time.
_MOMENTS: Final = {
    "android_key-test_verify_attestation_android_key_hardware_authority": datetime(
        2025, 1, 17, tzinfo=UTC
    ),
    "android_key-test_verify_attestation_android_key_root_5": datetime(
        2026, 5, 6, 19, 15, tzinfo=UTC
    ),
    "apple-test_verify_attestation_apple_passkey": datetime(2021, 9, 1, tzinfo=UTC),
}
_ANY_MOMENT: Final = datetime(2026, 6, 1, tzinfo=UTC)
_ATTESTED: Final = frozenset(_MOMENTS)


def _policy(recorded: Recorded, *, anchors: TrustAnchors | None = None) -> WebAuthnPolicy:
    return WebAuthnPolicy(
        rp_id=recorded["rp_id"],
        origins=frozenset({recorded["origin"] or "http://localhost:5000"}),
        require_user_verification=False,  # security keys of 2019 verify nobody
        algorithms=ALGORITHMS,
        anchors=anchors or TrustAnchors(()),
    )


def _register(recorded: Recorded, moment: datetime, policy: WebAuthnPolicy) -> WebAuthnKey:
    response = cast("Response", recorded["credential"]["response"])
    return verify_webauthn_registration(
        _bytes(response["attestationObject"]),
        client_data_json=_bytes(response["clientDataJSON"]),
        challenge=_bytes(recorded["challenge"]),
        policy=policy,
        revocation=RevocationList.from_json(b'{"entries": {}}', fetched_at=moment),
        now=moment,
    )


def _authenticate(recorded: Recorded, policy: WebAuthnPolicy) -> WebAuthnAssertion:
    response = cast("Response", recorded["credential"]["response"])
    key = read_cose_key(_bytes(recorded["credential_public_key"] or ""))
    assert key is not None
    return verify_webauthn_assertion(
        authenticator_data=_bytes(response["authenticatorData"]),
        client_data_json=_bytes(response["clientDataJSON"]),
        signature=_bytes(response["signature"]),
        challenge=_bytes(recorded["challenge"]),
        public_key=key,
        last_sign_count=int(recorded["sign_count"] or "0"),
        policy=policy,
    )


@needs_vectors
@pytest.mark.parametrize(
    "name", [name for name, each in _REGISTRATIONS.items() if not each["raises"]]
)
def test_a_recorded_registration_is_accepted(name: str) -> None:
    """A device's registration is accepted; only a chain to a known root makes it device-bound."""
    recorded = _REGISTRATIONS[name]
    key = _register(recorded, _MOMENTS.get(name, _ANY_MOMENT), _policy(recorded))

    assert key.credential_id == _bytes(cast("str", recorded["credential"]["rawId"]))
    assert key.attested is (name in _ATTESTED)
    assert key.assurance is (
        Assurance.PASSKEY_DEVICE_BOUND if name in _ATTESTED else Assurance.PASSKEY
    )


@needs_vectors
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in _REGISTRATIONS
        if name.startswith(("packed", "fido", "tpm", "none-test_raises"))
        and name != "fido_u2f-test_verify_attestation_with_unsupported_token_binding_status"
    ],
)
def test_a_recorded_chain_leads_to_no_other_root(name: str) -> None:
    """With a root configured that did not make the chain, the registration is refused."""
    recorded = _REGISTRATIONS[name]
    policy = _policy(recorded, anchors=TrustAnchors.apple_webauthn())
    with pytest.raises(AttestationError) as refusal:
        _register(recorded, datetime(2024, 6, 1, tzinfo=UTC), policy)

    assert refusal.value.reason is Reason.UNTRUSTED_ROOT


@needs_vectors
def test_a_recorded_token_binding_of_unknown_state_is_refused() -> None:
    """The one recording that py_webauthn refuses for what its client data says is refused."""
    recorded = _REGISTRATIONS[
        "fido_u2f-test_verify_attestation_with_unsupported_token_binding_status"
    ]
    with pytest.raises(AttestationError) as refusal:
        _register(recorded, _ANY_MOMENT, _policy(recorded))

    assert refusal.value.check == "webauthn.registration/5-token-binding"


@needs_vectors
@pytest.mark.parametrize(
    ("name", "moment", "reason"),
    [
        pytest.param(name, moment, reason, id=f"{label}-{side}")
        for name, label, before, after in (
            (
                "android_key-test_verify_attestation_android_key_hardware_authority",
                "rsa-root",
                datetime(2025, 1, 7, tzinfo=UTC),
                datetime(2025, 2, 3, tzinfo=UTC),
            ),
            (
                "android_key-test_verify_attestation_android_key_root_5",
                "ec-root",
                datetime(2026, 4, 25, tzinfo=UTC),
                datetime(2026, 5, 8, tzinfo=UTC),
            ),
            (
                "apple-test_verify_attestation_apple_passkey",
                "apple",
                datetime(2021, 8, 31, tzinfo=UTC),
                datetime(2021, 9, 4, tzinfo=UTC),
            ),
        )
        for side, moment, reason in (
            ("before", before, Reason.NOT_YET_VALID),
            ("after", after, Reason.EXPIRED),
        )
    ],
)
def test_a_recorded_chain_has_its_time(name: str, moment: datetime, reason: Reason) -> None:
    """A remotely provisioned, or Apple's, chain is refused outside of its validity."""
    recorded = _REGISTRATIONS[name]
    with pytest.raises(AttestationError) as refusal:
        _register(recorded, moment, _policy(recorded))

    assert refusal.value.reason is reason


@needs_vectors
@pytest.mark.parametrize(
    "name", [name for name, each in _AUTHENTICATIONS.items() if not each["raises"]]
)
def test_a_recorded_assertion_is_accepted(name: str) -> None:
    """A device's assertion is accepted once its counter is greater than the stored one."""
    recorded = _AUTHENTICATIONS[name]
    assertion = _authenticate(recorded, _policy(recorded))

    assert assertion.sign_count > int(recorded["sign_count"] or "0")


@needs_vectors
def test_a_recorded_assertion_under_another_key_is_refused() -> None:
    """An assertion does not verify under a key that did not make it."""
    recorded = _AUTHENTICATIONS["test_raises_exception_on_incorrect_public_key"]
    with pytest.raises(AttestationError) as refusal:
        _authenticate(recorded, _policy(recorded))

    assert refusal.value.reason is Reason.SIGNATURE


@needs_vectors
def test_a_recorded_assertion_without_verification_is_refused() -> None:
    """An assertion that did not verify the person is refused under the default policy."""
    recorded = _AUTHENTICATIONS["test_raises_exception_on_uv_required_but_false"]
    policy = WebAuthnPolicy(rp_id="localhost", origins=frozenset({"http://localhost:5000"}))
    with pytest.raises(AttestationError) as refusal:
        _authenticate(recorded, policy)

    assert refusal.value.reason is Reason.USER_AUTH


# ------------------------------------------------------------------------------------------- W3C

_CROSS_ORIGIN: Final = frozenset(
    {
        'ES256 Credential with "crossOrigin": true in clientDataJSON',
        'ES256 Credential with "topOrigin" in clientDataJSON',
    }
)
#: A TPM whose maker is in no registry; Ed448, which no policy can allow; a KeyDescription of no
#: hardware in a chain of a leaf alone; and pages inside other pages.
_REFUSED: Final = {
    "TPM Attestation with ES256 Credential": Reason.SIGNATURE,
    "Packed Attestation with Ed448 Credential": Reason.ALGORITHM,
    "Android Key Attestation with ES256 Credential": Reason.BROKEN_CHAIN,
    **dict.fromkeys(_CROSS_ORIGIN, Reason.ORIGIN),
}
_PAIRS: Final = [
    title for title, each in _CEREMONIES.items() if each["registration"] and each["authentication"]
]
#: The vectors' certificate authority is valid from here on, for a thousand years.
_W3C_MOMENT: Final = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=365)


def _w3c_policy() -> WebAuthnPolicy:
    text = _CEREMONIES["Attestation trust root certificate"]["other"][0]["attestation_ca_cert"]
    anchors = TrustAnchors((x509.load_der_x509_certificate(bytes.fromhex(text)),))
    return WebAuthnPolicy(
        rp_id="example.org",
        origins=frozenset({"https://example.org"}),
        require_user_verification=False,
        algorithms=ALGORITHMS,
        anchors=anchors,
        apple_anchors=anchors,
        android_anchors=anchors,
    )


def _w3c_register(title: str, policy: WebAuthnPolicy) -> WebAuthnKey:
    members = _CEREMONIES[title]["registration"]
    return verify_webauthn_registration(
        bytes.fromhex(members["attestationObject"]),
        client_data_json=bytes.fromhex(members["clientDataJSON"]),
        challenge=bytes.fromhex(members["challenge"]),
        policy=policy,
        revocation=RevocationList.from_json(b'{"entries": {}}', fetched_at=_W3C_MOMENT),
        now=_W3C_MOMENT,
    )


def _w3c_authenticate(title: str, key: CredentialPublicKey | bytes) -> WebAuthnAssertion:
    members = _CEREMONIES[title]["authentication"]
    return verify_webauthn_assertion(
        authenticator_data=bytes.fromhex(members["authenticatorData"]),
        client_data_json=bytes.fromhex(members["clientDataJSON"]),
        signature=bytes.fromhex(members["signature"]),
        challenge=bytes.fromhex(members["challenge"]),
        public_key=key,
        last_sign_count=0,
        policy=_w3c_policy(),
    )


@needs_vectors
@pytest.mark.parametrize("title", [title for title in _PAIRS if title not in _REFUSED])
def test_a_pair_of_the_specification_is_accepted(title: str) -> None:
    """W3C's registration is accepted, and W3C's assertion under the key that it returned."""
    members = _CEREMONIES[title]["registration"]
    key = _w3c_register(title, _w3c_policy())
    assertion = _w3c_authenticate(title, key.public_key)

    assert bytes.fromhex(members["credential_id"]) == key.credential_id
    assert bytes.fromhex(members["aaguid"]) == key.aaguid
    assert ("Packed" in title or "Apple" in title or "U2F" in title) is key.attested
    assert key.backup_eligible is assertion.backup_eligible
    assert key.assurance is (
        Assurance.PASSKEY_DEVICE_BOUND
        if key.attested and not key.backup_eligible
        else Assurance.PASSKEY
    )


@needs_vectors
@pytest.mark.parametrize("title", [title for title in _PAIRS if title in _REFUSED])
def test_a_registration_of_the_specification_is_refused(title: str) -> None:
    """What W3C shows and no approver needs is refused, each for a reason of its own."""
    with pytest.raises(AttestationError) as refusal:
        _w3c_register(title, _w3c_policy())

    assert refusal.value.reason is _REFUSED[title]


@needs_vectors
@pytest.mark.parametrize(
    "title",
    [
        title
        for title in _PAIRS
        if title not in _REFUSED
        and any(each in title for each in ("ES384", "ES512", "RS256", "Ed25519"))
    ],
)
def test_only_es256_is_taken_unless_policy_says_more(title: str) -> None:
    """A credential of another algorithm than ES256 is refused by default."""
    policy = WebAuthnPolicy(
        rp_id="example.org",
        origins=frozenset({"https://example.org"}),
        require_user_verification=False,
    )
    with pytest.raises(AttestationError) as refusal:
        _w3c_register(title, policy)

    assert refusal.value.reason is Reason.ALGORITHM


@needs_vectors
@pytest.mark.parametrize("title", sorted(_CROSS_ORIGIN))
def test_an_assertion_from_inside_another_page_is_refused(title: str) -> None:
    """W3C's assertions with crossOrigin true are refused, whatever key is stored."""
    key = bytes.fromhex(  # the generator of P-256, compressed
        "036b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296"
    )
    with pytest.raises(AttestationError) as refusal:
        _w3c_authenticate(title, key)

    assert refusal.value.reason is Reason.ORIGIN
