"""What a registration returns, and what policy and roots make of it."""

from __future__ import annotations

import sys
from base64 import urlsafe_b64decode
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.attestation.webauthn_material import BASE, POLICY, UNVERIFIED, register

import quorumkey_attestation.webauthn
from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.verification import AndroidKeyPolicy
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.result import Assurance
from quorumkey_attestation.testing import pki, webauthn
from quorumkey_attestation.testing.cbor_encoding import encode
from quorumkey_attestation.testing.der_encoding import element, sequence
from quorumkey_attestation.testing.webauthn import (
    BACKED_UP,
    BACKUP_ELIGIBLE,
    DEFAULT_FLAGS,
    Parts,
    Statement,
    android_key,
    apple,
    fido_u2f,
    none,
    packed,
    packed_self,
)
from quorumkey_attestation.testing.webauthn_certificates import (
    ATTESTATION_KEY,
    NOT_AFTER,
    NOT_BEFORE,
    attestation_subject,
    webauthn_authority,
    webauthn_root,
)
from quorumkey_attestation.testing.webauthn_tpm import tpm
from quorumkey_attestation.webauthn import (
    ES256,
    WebAuthnPolicy,
    verify_webauthn_registration,
)

if TYPE_CHECKING:
    from collections.abc import Callable


MAKERS: Final = [packed, tpm, fido_u2f, apple, android_key]
SYNCED: Final = replace(BASE, flags=DEFAULT_FLAGS | BACKUP_ELIGIBLE | BACKED_UP)


def _with_padding(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_an_attested_passkey_that_cannot_be_copied_is_bound(
    make: Callable[[Parts], Statement],
) -> None:
    """A trusted maker's statement with BE clear proves the level passkey_device_bound."""
    key = register(make(BASE), policy=UNVERIFIED)

    assert key.attested
    assert key.assurance is Assurance.PASSKEY_DEVICE_BOUND


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_a_passkey_that_may_be_copied_is_never_called_bound(
    make: Callable[[Parts], Statement],
) -> None:
    """With BE set the level is passkey, whoever vouches for the authenticator."""
    key = register(make(SYNCED), parts=SYNCED, policy=UNVERIFIED)

    assert key.attested
    assert key.backup_eligible
    assert key.backed_up
    assert key.assurance is Assurance.PASSKEY


def test_a_u2f_key_verifies_nobody() -> None:
    """Flag UV, which the format's signature does not cover, is not reported in it."""
    assert register(packed(BASE)).user_verified
    assert not register(fido_u2f(BASE), policy=UNVERIFIED).user_verified


@pytest.mark.parametrize("missing", [0x02, 0x10, 0x20])
def test_a_key_that_its_tpm_only_certifies_is_not_called_bound(missing: int) -> None:
    """A TPM vouches for imported keys too: without fixedTPM and its kin a key is a passkey."""
    attributes = (0x00040072 & ~missing).to_bytes(4)  # Windows Hello's, less one of them

    key = register(tpm(BASE, attributes=attributes))

    assert key.attested
    assert key.assurance is Assurance.PASSKEY
    with pytest.raises(AttestationError) as refusal:
        register(tpm(BASE, attributes=attributes), policy=replace(POLICY, hardware="required"))
    assert refusal.value.check == "webauthn.registration/15-hardware"


def test_a_tpm_certificate_may_name_its_policy_critically() -> None:
    """Windows Hello's certificates have a critical certificatePolicies, and are accepted."""
    tcpa = x509.PolicyInformation(x509.ObjectIdentifier("1.3.6.1.4.1.311.21.31"), None)

    key = register(tpm(BASE, extensions=[(x509.CertificatePolicies([tcpa]), True)]))

    assert key.assurance is Assurance.PASSKEY_DEVICE_BOUND


@pytest.mark.parametrize("make", [none, packed_self], ids=lambda make: make.__name__)
def test_a_passkey_nobody_vouches_for_is_a_passkey(make: Callable[[Parts], Statement]) -> None:
    """Without a statement, or with the credential's own, nothing is attested."""
    key = register(make(BASE))

    assert not key.attested
    assert key.assurance is Assurance.PASSKEY


@pytest.mark.parametrize("make", [packed, tpm, fido_u2f], ids=lambda make: make.__name__)
def test_no_roots_prove_nothing(make: Callable[[Parts], Statement]) -> None:
    """While no root is configured for a format, its statements attest nothing."""
    key = register(make(BASE), policy=replace(UNVERIFIED, anchors=TrustAnchors(())))

    assert not key.attested
    assert key.assurance is Assurance.PASSKEY


@pytest.mark.parametrize("make", [apple, android_key], ids=lambda make: make.__name__)
def test_a_platforms_statement_needs_its_roots(make: Callable[[Parts], Statement]) -> None:
    """Apple's and Android's statements are refused where they lead to no configured root."""
    nothing = TrustAnchors(())
    policy = replace(POLICY, apple_anchors=nothing, android_anchors=nothing)
    with pytest.raises(AttestationError) as refusal:
        register(make(BASE), policy=policy)

    assert refusal.value.reason is Reason.UNTRUSTED_ROOT


@pytest.mark.parametrize("make", [packed, tpm, fido_u2f, apple], ids=lambda make: make.__name__)
def test_the_test_root_is_denied_by_itself(make: Callable[[Parts], Statement]) -> None:
    """Configuring the test root is not enough: test roots have to be allowed by name."""
    denied = TrustAnchors((webauthn_root().certificate,))
    policy = replace(UNVERIFIED, anchors=denied, apple_anchors=denied)
    with pytest.raises(AttestationError) as refusal:
        register(make(BASE), policy=policy)

    assert refusal.value.check == "chain/4-denied"


def test_the_credential_is_returned_whole() -> None:
    """Everything a server stores comes back as the authenticator gave it."""
    parts = replace(BASE, sign_count=7)
    key = register(none(parts), parts=parts)

    assert parts.credential_id == key.credential_id
    assert parts.key.public_key() == key.public_key
    assert parts.aaguid == key.aaguid
    assert (ES256, 7, "none", True) == (
        key.algorithm,
        key.sign_count,
        key.format,
        key.user_verified,
    )
    assert () == key.serials


def test_an_android_passkey_returns_its_serials() -> None:
    """For the daily look into a newer revocation list, every serial number is returned."""
    key = register(android_key(BASE))

    assert len(key.serials) == 5
    assert key.serials[0] == "1"
    assert all(serial == f"{int(serial, 16):x}" for serial in key.serials)


def test_an_android_policy_is_applied() -> None:
    """What policy asks of an Android key counts for a passkey too."""
    android = AndroidKeyPolicy(packages={"com.example": frozenset({bytes(32)})}, user_auth="any")
    with pytest.raises(AttestationError) as refusal:
        register(android_key(BASE), policy=replace(POLICY, android=android))

    assert refusal.value.reason is Reason.APP_ID


def test_the_android_roots_are_those_of_the_passkeys_policy() -> None:
    """The roots inside the Android policy are not looked at."""
    android = AndroidKeyPolicy(packages=None, user_auth="any", anchors=TrustAnchors(()))

    assert register(android_key(BASE), policy=replace(POLICY, android=android)).attested


def test_an_android_passkey_without_a_revocation_list_is_refused() -> None:
    """None for the list refuses the format android-key, and no other."""
    made = {make.__name__: webauthn.registration(BASE, make(BASE)) for make in (none, android_key)}
    reasons: dict[str, Reason | None] = {}
    for name, encoded in made.items():
        try:
            verify_webauthn_registration(
                encoded,
                client_data_json=BASE.client_data_json,
                challenge=webauthn.CHALLENGE,
                policy=POLICY,
                revocation=None,
                now=pki.NOW,
            )
            reasons[name] = None
        except AttestationError as refusal:
            reasons[name] = refusal.reason

    assert reasons == {"none": None, "android_key": Reason.REVOCATION_STALE}


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: replace(POLICY, rp_id=""), "empty"),
        (lambda: replace(POLICY, origins=frozenset()), "empty"),
        (lambda: replace(POLICY, formats=frozenset({"android-safetynet"})), "android-safetynet"),
        (lambda: replace(POLICY, algorithms=frozenset()), "algorithms"),
        (lambda: replace(POLICY, algorithms=frozenset({-7, -65535})), "algorithms"),
        (lambda: replace(POLICY, hardware="Required"), "hardware"),  # type: ignore[arg-type]  # the mistake
    ],
    ids=["rp-id", "origins", "formats", "no-algorithm", "sha-1", "hardware"],
)
def test_an_impossible_policy_is_the_callers_mistake(
    make: Callable[[], WebAuthnPolicy], message: str
) -> None:
    """A policy that could accept nothing, or something nobody judges, is a ValueError."""
    with pytest.raises(ValueError, match=message):
        make()


def test_origins_in_a_text_are_the_callers_mistake() -> None:
    """A text would hold its own beginning, so that a page of example.co would be example.com's."""
    with pytest.raises(TypeError, match="frozenset"):
        replace(POLICY, origins=webauthn.ORIGIN)  # type: ignore[arg-type]  # the mistake


def test_a_moment_without_a_time_zone_is_the_callers_mistake() -> None:
    """``now`` has to say where it is, whatever the format."""
    with pytest.raises(ValueError, match="time zone"):
        verify_webauthn_registration(
            webauthn.registration(BASE, none(BASE)),
            client_data_json=BASE.client_data_json,
            challenge=webauthn.CHALLENGE,
            policy=POLICY,
            revocation=None,
            now=datetime(2026, 6, 1),  # noqa: DTZ001  # the mistake
        )


def test_an_empty_challenge_is_the_callers_mistake() -> None:
    """A server that issued nothing cannot have anything proved to it."""
    with pytest.raises(ValueError, match="challenge"):
        verify_webauthn_registration(
            webauthn.registration(BASE, none(BASE)),
            client_data_json=BASE.client_data_json,
            challenge=b"",
            policy=POLICY,
            revocation=None,
            now=pki.NOW,
        )


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package ``webauthn`` a registration is refused with what to install."""
    register(none(BASE))  # so that the module is there to be taken away
    monkeypatch.delattr(quorumkey_attestation.webauthn, "ceremony")
    monkeypatch.setitem(sys.modules, "quorumkey_attestation.webauthn.ceremony", None)
    with pytest.raises(AttestationError, match=r"quorumkey-attestation\[webauthn\]") as refusal:
        register(none(BASE))

    assert refusal.value.reason is Reason.UNSUPPORTED


@pytest.mark.parametrize(
    "statement",
    [
        {"alg": -7, "sig": "text"},
        {"alg": True, "sig": b""},
        {"alg": -7, "sig": b"", "x5c": b""},
        {"alg": -7, "sig": b"", "x5c": []},
        {"alg": -7, "sig": b"", "x5c": ["text"]},
        {"alg": -7, "sig": b"", "x5c": [b"no certificate"]},
    ],
    ids=["text", "bool", "bytes", "empty", "texts", "garbage"],
)
@pytest.mark.parametrize("kind", ["packed", "tpm", "fido-u2f", "apple", "android-key"])
def test_a_statement_of_the_wrong_shape_is_refused(kind: str, statement: dict[str, object]) -> None:
    """Members of the wrong type, and certificates that are none, are refused in every format."""
    made = Statement(kind, statement)  # type: ignore[arg-type]  # the wrong shape
    with pytest.raises(AttestationError) as refusal:
        register(made, policy=UNVERIFIED)

    assert refusal.value.reason in {Reason.MALFORMED, Reason.SIGNATURE}


@pytest.mark.parametrize(
    "members",
    [
        {1: 3, 3: -7, -1: bytes(256), -2: b"\x01\x00\x01"},
        {1: 1, 3: -7, -1: 6, -2: bytes(32)},
        {1: 2, 3: -7, -1: 1, -2: bytes(32)},
        {1: 2, 3: -7, -1: 8, -2: bytes(32), -3: bytes(32)},
        {3: -7},
    ],
    ids=["rsa", "ed25519", "no-y", "secp256k1", "no-kind"],
)
def test_a_key_of_another_kind_is_refused(members: dict[int, int | bytes]) -> None:
    """A COSE key that says it is for ES256 and is of another kind, or incomplete, is refused."""
    parts = replace(BASE, cose=encode(members))
    with pytest.raises(AttestationError) as refusal:
        register(none(parts), parts=parts)

    assert refusal.value.reason in {Reason.MALFORMED, Reason.ALGORITHM}


def _leaf(**changed: object) -> pki.Authority:
    """Return an attestation certificate that the test intermediate issued."""
    make: Callable[..., x509.Certificate] = pki.mint
    usual = {"not_before": NOT_BEFORE, "not_after": NOT_AFTER, "ca": False}
    certificate = make(
        attestation_subject(),
        pki.private_key(ATTESTATION_KEY).public_key(),
        webauthn_authority(),
        **{**usual, **changed},
    )
    return pki.Authority(certificate, pki.private_key(ATTESTATION_KEY))


def test_a_packed_certificate_has_to_say_that_it_is_no_authority() -> None:
    """Without basicConstraints an attestation certificate is refused; with them it is accepted."""
    with pytest.raises(AttestationError) as refusal:
        register(packed(BASE, leaf=_leaf(ca=None)))

    assert refusal.value.check == "webauthn.packed/3-profile"
    assert register(packed(BASE, leaf=_leaf())).attested


def test_a_packed_certificate_whose_name_does_not_parse_is_refused() -> None:
    """A subject that is no name is found out when it is asked for, and refused."""
    statement = packed(BASE)
    leaf, intermediate = cast("list[bytes]", statement.members["x5c"])
    unit = b"Authenticator Attestation"
    before, after = leaf.split(unit)
    # A UTF8String that is not UTF-8; the link to the issuer is looked at only later.
    spoilt = before + b"\xff" * len(unit) + after
    made = replace(statement, members={**statement.members, "x5c": [spoilt, intermediate]})
    with pytest.raises(AttestationError) as refusal:
        register(made)

    assert refusal.value.reason is Reason.MALFORMED


def test_an_android_chain_does_not_fit_a_key_of_another_kind() -> None:
    """A credential on Ed25519 is not the P-256 key that an Android chain attests."""
    parts = replace(BASE, cose=encode({1: 1, 3: -8, -1: 6, -2: bytes(31) + b"\x01"}))
    with pytest.raises(AttestationError) as refusal:
        register(
            android_key(parts), parts=parts, policy=replace(POLICY, algorithms=frozenset({-8}))
        )

    assert refusal.value.reason is Reason.KEY_MISMATCH


def test_an_apple_certificate_about_a_key_of_no_curve_is_refused() -> None:
    """A certificate whose key cannot be read is about another key than the credential's."""
    authority = webauthn_authority()
    leaf = cast("list[bytes]", apple(BASE).members["x5c"])[0]
    point = BASE.key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    certificate = x509.load_der_x509_certificate(leaf)
    tbs = certificate.tbs_certificate_bytes.replace(point, b"\x04" + bytes(63) + b"\x01")
    signature = authority.key.sign(tbs, ec.ECDSA(SHA256()))
    algorithm = bytes.fromhex("300a06082a8648ce3d040302")  # ecdsa-with-SHA256
    spoilt = sequence(tbs, algorithm, element(0x03, b"\x00" + signature))
    with pytest.raises(AttestationError) as refusal:
        register(Statement("apple", {"x5c": [spoilt, authority.der]}))

    assert refusal.value.check == "webauthn.apple/5-key"


def test_software_evidence_is_a_registration() -> None:
    """What the software device sends for a passkey verifies for its nonce, key and origin."""
    key = pki.private_key("software passkey")
    nonce = bytes(range(32))
    evidence = webauthn.webauthn_evidence(
        nonce, key, rp_id="localhost", origin="http://localhost:8000", statement=packed
    )
    verified = verify_webauthn_registration(
        _with_padding(evidence["attestation_object"]),
        client_data_json=_with_padding(evidence["client_data_json"]),
        challenge=nonce,
        policy=replace(POLICY, rp_id="localhost", origins=frozenset({"http://localhost:8000"})),
        revocation=None,
        now=pki.NOW,
    )

    assert evidence["format"] == "webauthn"
    assert key.public_key() == verified.public_key
    assert verified.assurance is Assurance.PASSKEY_DEVICE_BOUND
