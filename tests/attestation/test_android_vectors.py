"""Genuine Android chains, each at the moment and with the verdict that its MANIFEST gives it."""

from __future__ import annotations

import json
from base64 import b64encode, urlsafe_b64decode
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import pytest
from cryptography import x509
from tests.attestation.android_material import (
    SAMPLES,
    TESTDATA,
    VECTORS,
    as_sidecar,
    chain_in,
    moment,
    needs_vectors,
    no_revocations,
    sidecar,
    snapshot,
)

from quorumkey_attestation import cbor
from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.authorization_list import SecurityLevel, VerifiedBootState
from quorumkey_attestation.android.chain import AndroidChain, verify_android_chain
from quorumkey_attestation.android.key_description import (
    KeyDescription,
    parse_key_description,
)
from quorumkey_attestation.android.policy import AndroidKeyPolicy
from quorumkey_attestation.android.revocation import RevocationEntry, RevocationList
from quorumkey_attestation.android.verification import verify_android_key
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

pytestmark = needs_vectors


class Genuine(NamedTuple):
    """A chain under Google's roots, and what its MANIFEST says of it."""

    path: str
    at: str
    method: str
    level: SecurityLevel
    version: int
    locked: bool


_AKITA: Final = "2024-09-26T22:31:30"
_CAIMAN: Final = "2025-09-26T15:31:30"
_LATE: Final = "2026-11-01T00:00:00"  # its root's certificate had expired in May
_TEE, _STRONGBOX = SecurityLevel.TEE, SecurityLevel.STRONGBOX

GENUINE: Final = (
    Genuine("akita/sdk34/SB_RSA_NONE", _AKITA, "rkp", _STRONGBOX, 300, locked=False),
    Genuine("akita/sdk34/TEE_EC_NONE", _AKITA, "rkp", _TEE, 300, locked=False),
    Genuine("akita/sdk34/TEE_RSA_BASE+IMEI", _AKITA, "rkp", _TEE, 300, locked=False),
    Genuine("akita/sdk34/TEE_RSA_NONE", _AKITA, "rkp", _TEE, 300, locked=False),
    Genuine("akita/sdk34/TEE_RSA_NONE_USERAUTH", _AKITA, "rkp", _TEE, 300, locked=False),
    Genuine("blueline/sdk28/SB_RSA_NONE", _LATE, "factory", _STRONGBOX, 3, locked=False),
    Genuine("blueline/sdk28/SB_RSA_NONE_USERAUTH", _LATE, "factory", _STRONGBOX, 3, locked=False),
    Genuine("blueline/sdk28/TEE_EC_NONE", _LATE, "factory", _TEE, 3, locked=False),
    Genuine("blueline/sdk28/TEE_RSA_BASE+IMEI", _LATE, "factory", _TEE, 3, locked=False),
    Genuine("blueline/sdk28/TEE_RSA_NONE", _LATE, "factory", _TEE, 3, locked=False),
    Genuine("caiman/sdk36/SB_EC_RKP", _CAIMAN, "rkp", _STRONGBOX, 300, locked=True),
    Genuine("caiman/sdk36/TEE_EC_RKP", _CAIMAN, "rkp", _TEE, 400, locked=True),
    Genuine(
        "tokay/sdk37/TEE_MLDSA_FACTORY", "2026-04-28T11:20:20", "factory", _TEE, 500, locked=False
    ),
    Genuine("tokay/sdk37/TEE_MLDSA_RKP", "2026-04-28T13:51:00", "rkp", _TEE, 500, locked=False),
    Genuine("invalid/malformed_rot_device_locked", _LATE, "factory", _TEE, 3, locked=True),
)

each_genuine = pytest.mark.parametrize("genuine", GENUINE, ids=lambda genuine: genuine.path)


def walk(chain: list[bytes], now: datetime) -> AndroidChain:
    """The chain as Google's roots and the snapshot of its list see it."""
    return verify_android_chain(
        chain, anchors=TrustAnchors.google_hardware(), revocation=snapshot(now), now=now
    )


def refusal(chain: list[bytes], now: datetime) -> AttestationError:
    """Why the walk refuses the chain."""
    with pytest.raises(AttestationError) as caught:
        walk(chain, now)
    return caught.value


@each_genuine
def test_genuine_chain(genuine: Genuine) -> None:
    """A genuine chain is walked at its moment, and says what its MANIFEST says."""
    walked = walk(chain_in(TESTDATA / f"{genuine.path}.pem"), moment(genuine.at))

    description = walked.key_description
    root = description.hardware_enforced.root_of_trust
    assert (genuine.method, genuine.level) == (walked.method, description.security_level)
    assert genuine.version == description.attestation_version
    assert root is not None
    assert genuine.locked is root.device_locked
    assert (root.verified_boot_state is VerifiedBootState.VERIFIED) is genuine.locked


@each_genuine
def test_genuine_chain_without_its_root(genuine: Genuine) -> None:
    """The same chain without its root gives the same key, from the same hardware."""
    chain = chain_in(TESTDATA / f"{genuine.path}.pem")
    now = moment(genuine.at)

    whole, rootless = walk(chain, now), walk(chain[:-1], now)

    assert whole.key_description == rootless.key_description
    assert whole.path == rootless.path


@each_genuine
def test_genuine_chain_expires_only_where_google_provisions(genuine: Genuine) -> None:
    """A year later a provisioned device's chain has expired, and a factory's is told to have."""
    chain = chain_in(TESTDATA / f"{genuine.path}.pem")
    later = moment("2044-01-01T00:00:00")

    if genuine.method == "rkp":
        error = refusal(chain, later)
        assert (Reason.EXPIRED, "chain/11-not-after") == (error.reason, error.check)
    else:
        assert "certificate 1 has expired" in walk(chain, later).quirks


@each_genuine
def test_genuine_chain_before_its_time(genuine: Genuine) -> None:
    """Before its issuers' notBefore a chain is refused, a factory's too."""
    error = refusal(chain_in(TESTDATA / f"{genuine.path}.pem"), moment("2017-01-01T00:00:00"))

    assert (Reason.NOT_YET_VALID, "chain/10-not-before") == (error.reason, error.check)


@pytest.mark.parametrize(
    "genuine",
    [each for each in GENUINE if not each.path.startswith("invalid/")],  # these have none
    ids=lambda genuine: genuine.path,
)
def test_sidecar(genuine: Genuine) -> None:
    """The KeyDescription is, field by field, what android/keyattestation reads from it."""
    path = TESTDATA / f"{genuine.path}.json"
    description = walk(chain_in(path.with_suffix(".pem")), moment(genuine.at)).key_description

    assert sidecar(path) == as_whole_sidecar(description)


_LEVELS: Final = ("SOFTWARE", "TRUSTED_ENVIRONMENT", "STRONG_BOX")


def as_whole_sidecar(description: KeyDescription) -> dict[str, object]:
    """A KeyDescription as a sidecar writes it."""
    return {
        "attestationVersion": str(description.attestation_version),
        "attestationSecurityLevel": _LEVELS[description.attestation_security_level],
        "keyMintVersion": str(description.keymint_version),
        "keyMintSecurityLevel": _LEVELS[description.keymint_security_level],
        "attestationChallenge": b64encode(description.attestation_challenge).decode(),
        "uniqueId": b64encode(description.unique_id).decode(),
        "softwareEnforced": as_sidecar(description.software_enforced),
        "hardwareEnforced": as_sidecar(description.hardware_enforced),
    }


@each_genuine
def test_genuine_chain_under_the_default_policy(genuine: Genuine) -> None:
    """No chain here is an approver's key: each was made without user authentication, or for RSA."""
    chain = chain_in(TESTDATA / f"{genuine.path}.pem")
    now = moment(genuine.at)
    challenge = walk(chain, now).key_description.attestation_challenge

    with pytest.raises(AttestationError) as caught:
        verify_android_key(
            chain,
            challenge=challenge,
            policy=AndroidKeyPolicy(packages=None),
            revocation=snapshot(now),
            now=now,
        )

    expected = {Reason.ALGORITHM, Reason.USER_AUTH, Reason.MALFORMED}
    assert caught.value.reason in expected


@pytest.mark.parametrize("name", ["SB_EC_RKP", "TEE_EC_RKP"])
def test_locked_and_verified_phone(name: str) -> None:
    """A locked Pixel 9 Pro's key passes every step of the policy but user authentication."""
    chain = chain_in(TESTDATA / "caiman" / "sdk36" / f"{name}.pem")
    now = moment(_CAIMAN)
    description = walk(chain, now).key_description
    application = description.software_enforced.attestation_application_id
    assert application is not None

    key = verify_android_key(
        chain,
        challenge=description.attestation_challenge,
        policy=AndroidKeyPolicy(
            packages={"com.google.android.attestation": application.signature_digests},
            user_auth="any",
            provisioning="rkp",
            min_os_patch=202509,
            tag_order="strict",
        ),
        revocation=snapshot(now),
        now=now,
    )

    assert () == key.quirks
    assert application == key.application_id


@pytest.mark.parametrize(
    "path",
    ["akita/sdk34/TEE_EC_NONE", "blueline/sdk28/TEE_EC_NONE"],
)
def test_unlocked_phone(path: str) -> None:
    """A phone whose boot loader is unlocked is refused for that."""
    genuine = next(each for each in GENUINE if each.path == path)
    chain = chain_in(TESTDATA / f"{path}.pem")
    now = moment(genuine.at)

    with pytest.raises(AttestationError) as caught:
        verify_android_key(
            chain,
            challenge=b"challenge",
            policy=AndroidKeyPolicy(packages=None, user_auth="any"),
            revocation=snapshot(now),
            now=now,
        )

    assert Reason.BOOT_STATE is caught.value.reason
    assert "android.key/11-locked" == caught.value.check


@pytest.mark.parametrize("name", ["TEE_MLDSA_FACTORY", "TEE_MLDSA_RKP"])
def test_ml_dsa_key(name: str) -> None:
    """A post-quantum key is accepted by a policy that takes any kind, and by no other."""
    chain = chain_in(TESTDATA / "tokay" / "sdk37" / f"{name}.pem")
    genuine = next(each for each in GENUINE if each.path.endswith(name))
    now = moment(genuine.at)
    policy = AndroidKeyPolicy(
        packages=None,
        curve="any",
        user_auth="any",
        require_locked=False,
        verified_boot="any",
    )

    key = verify_android_key(
        chain, challenge=b"challenge", policy=policy, revocation=snapshot(now), now=now
    )

    assert key.level is _TEE
    assert "MLDSA65PublicKey" in type(key.public_key).__name__


def test_point_of_a_key_that_has_none() -> None:
    """A genuine RSA key is not the P-256 key that is being registered."""
    genuine = GENUINE[3]
    now = moment(genuine.at)

    with pytest.raises(AttestationError) as caught:
        verify_android_key(
            chain_in(TESTDATA / f"{genuine.path}.pem"),
            challenge=b"challenge",
            policy=AndroidKeyPolicy(packages=None, curve="any"),
            revocation=snapshot(now),
            now=now,
            public_key=b"\x04" + bytes(64),
        )

    assert Reason.KEY_MISMATCH is caught.value.reason


def test_true_that_is_not_der() -> None:
    """A genuine device's deviceLocked of 0x01 is refused, and accepted where policy tells it."""
    chain = chain_in(TESTDATA / "invalid" / "malformed_rot_device_locked.pem")
    now = moment(_LATE)
    challenge = walk(chain, now).key_description.attestation_challenge
    lenient = AndroidKeyPolicy(
        packages=None,
        curve="any",
        user_auth="any",
        verified_boot="any",
        created_within=None,
        non_der_boolean="report",
    )

    key = verify_android_key(
        chain, challenge=challenge, policy=lenient, revocation=snapshot(now), now=now
    )

    assert any("deviceLocked" in quirk for quirk in key.quirks)
    assert key.root_of_trust is not None
    assert key.root_of_trust.device_locked


def test_edited_leaf() -> None:
    """The hand-edited sample is refused for its signature; its KeyDescription parses."""
    chain = chain_in(TESTDATA / "invalid" / "tags_not_in_ascending_order.pem")

    error = refusal(chain, moment("2026-01-01T00:00:00"))

    assert (Reason.BROKEN_CHAIN, "chain/6-signature", 0) == (
        error.reason,
        error.check,
        error.index,
    )
    description = parse_key_description(extension_of(chain[0]))
    assert ("hardwareEnforced: the tags are not in ascending order",) == description.quirks
    assert not description.tags_in_order


def extension_of(leaf: bytes) -> bytes:
    """The value of a leaf's KeyDescription extension."""
    start = leaf.index(bytes.fromhex("060a2b06010401d679020111"))
    rest = leaf[start + 12 :]
    # The octets of an OCTET STRING whose length takes two octets after the first.
    assert b"\x04\x82" == rest[:2]
    return rest[4 : 4 + int.from_bytes(rest[2:4])]


@pytest.mark.parametrize("name", ["TEE_EC_NONE", "TEE_RSA_NONE"])
def test_software_root(name: str) -> None:
    """A software keystore's chain ends at a denied root, even where that root is configured."""
    path = TESTDATA / "marlin" / "sdk29" / f"{name}.pem"
    chain = chain_in(path)
    now = moment("2024-01-01T00:00:00")
    configured = TrustAnchors.google_hardware().including(x509.load_der_x509_certificate(chain[-1]))

    assert Reason.UNTRUSTED_ROOT is refusal(chain, now).reason
    with pytest.raises(AttestationError) as caught:
        verify_android_chain(chain, anchors=configured, revocation=snapshot(now), now=now)
    assert (Reason.UNTRUSTED_ROOT, "chain/4-denied") == (caught.value.reason, caught.value.check)


@pytest.mark.parametrize("name", ["TEE_EC_NONE", "TEE_RSA_NONE"])
def test_software_root_explicitly_allowed(name: str) -> None:
    """With test roots allowed the chain is walked, and its level is still SOFTWARE."""
    path = TESTDATA / "marlin" / "sdk29" / f"{name}.pem"
    chain = chain_in(path)
    now = moment("2024-01-01T00:00:00")
    allowed = TrustAnchors((x509.load_der_x509_certificate(chain[-1]),), allow_test_roots=True)

    walked = verify_android_chain(chain, anchors=allowed, revocation=snapshot(now), now=now)

    assert SecurityLevel.SOFTWARE is walked.key_description.security_level
    assert sidecar(path.with_suffix(".json")) == as_whole_sidecar(walked.key_description)


def test_synthetic_chain() -> None:
    """android/keyattestation's synthetic chain leads to no root of Google's."""
    error = refusal(
        chain_in(TESTDATA / "p256_sha384_intermediate.pem"), moment("2026-01-01T00:00:00")
    )

    assert (Reason.UNTRUSTED_ROOT, "chain/3-anchor") == (error.reason, error.check)


def test_allow_while_on_body() -> None:
    """Tag 506 of a genuine leaf is read."""
    (leaf,) = chain_in(TESTDATA / "allow_while_on_body.pem")

    description = parse_key_description(extension_of(leaf))

    assert description.software_enforced.allow_while_on_body
    assert () == description.quirks


def sample(name: str) -> list[bytes]:
    """One chain of google/android-key-attestation."""
    folder: Path = SAMPLES / "pem" / f"algorithm_{name}"
    return chain_in(*(folder / f"cert{number}.pem" for number in range(4)))


@pytest.mark.parametrize("name", ["EC_SecurityLevel_TEE", "RSA_SecurityLevel_TEE"])
def test_google_sample(name: str) -> None:
    """Google's older samples are factory chains, made for the challenge abc."""
    walked = walk(sample(name), moment(_LATE))

    assert ("factory", _TEE) == (walked.method, walked.key_description.security_level)
    assert b"abc" == walked.key_description.attestation_challenge


def test_pre_production_root() -> None:
    """A chain to Google's pre-production root is refused for its root."""
    error = refusal(sample("RSA_SecurityLevel_StrongBox"), moment(_LATE))

    assert (Reason.UNTRUSTED_ROOT, "chain/4-denied") == (error.reason, error.check)


def test_null_parameters() -> None:
    """An ECDSA AlgorithmIdentifier with NULL parameters is malformed, and no foreign error."""
    error = refusal(sample("EC_SecurityLevel_StrongBox"), moment(_LATE))

    assert (Reason.MALFORMED, "chain/2-parse", 0) == (error.reason, error.check, error.index)


class Recorded(NamedTuple):
    """A WebAuthn registration with an Android key, and its moment."""

    name: str
    at: str
    packages: int


@pytest.mark.parametrize(
    "recorded",
    [
        Recorded("test_verify_attestation_android_key_hardware_authority", "2025-01-17", 2),
        Recorded("root_5", "2026-05-06T19:15:00", 2),
    ],
    ids=["root-of-2016", "root-of-2026"],
)
def test_webauthn_recording(recorded: Recorded) -> None:
    """The chains inside py_webauthn's android-key registrations are walked at their moments."""
    path = VECTORS / "py_webauthn" / "verify_registration_response_android_key.json"
    entries = cast("list[dict[str, object]]", json.loads(path.read_text()))
    entry = next(each for each in entries if recorded.name in cast("str", each["name"]))
    response = cast("dict[str, dict[str, str]]", entry["credential"])["response"]
    encoded = urlsafe_b64decode(response["attestationObject"] + "==")
    decoded = cast(
        "dict[str, dict[str, list[bytes]]]", cbor.decode(encoded, Audit(), what="recording")
    )

    walked = walk(decoded["attStmt"]["x5c"], moment(recorded.at))

    application = walked.key_description.software_enforced.attestation_application_id
    assert "rkp" == walked.method
    assert application is not None
    assert recorded.packages == len(application.packages)


def test_sample_list_revokes_by_hexadecimal_serial() -> None:
    """Google's sample list, with its serials of digits alone, reads and revokes none of these."""
    now = moment(_LATE)
    revocation = RevocationList.from_json((SAMPLES / "status.json").read_bytes(), fetched_at=now)

    entry = revocation.check(0xCC66E9A93713B6E643B26C15879786F7)

    assert entry is not None
    assert "SUSPENDED" == entry.status
    assert revocation.check(0x6681152659205225093) is not None
    assert revocation.check(6681152659205225093) is None


def test_snapshot() -> None:
    """The snapshot has 467 entries, 161 of them written with digits alone, all of them usable."""
    entries = snapshot(moment(_LATE)).entries

    written = [f"{serial:x}" for serial in entries]
    assert 467 == len(entries)
    assert 161 == sum(serial.isdigit() for serial in written)
    assert {"REVOKED"} == {entry.status for entry in entries.values()}


@each_genuine
def test_revoked_anywhere(genuine: Genuine) -> None:
    """A genuine chain is refused as soon as any one of its certificates is on the list."""
    chain = chain_in(TESTDATA / f"{genuine.path}.pem")
    now = moment(genuine.at)
    walked = verify_android_chain(
        chain, anchors=TrustAnchors.google_hardware(), revocation=no_revocations(now), now=now
    )

    for serial in walked.serials:
        listed = RevocationList({int(serial, 16): RevocationEntry("SUSPENDED")}, now)
        with pytest.raises(AttestationError) as caught:
            verify_android_chain(
                chain, anchors=TrustAnchors.google_hardware(), revocation=listed, now=now
            )
        assert Reason.REVOKED is caught.value.reason
