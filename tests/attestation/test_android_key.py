"""Tests of quorumkey_attestation.android.verification, .policy and .requirements."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from tests.attestation.android_material import no_revocations, policy

from quorumkey_attestation.android.authorization_list import (
    KeyOrigin,
    KeyPurpose,
    SecurityLevel,
    VerifiedBootState,
)
from quorumkey_attestation.android.requirements import MAX_CLOCK_DIFFERENCE
from quorumkey_attestation.android.verification import AndroidKey, verify_android_key
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.android import (
    factory_issuers,
    provisioning_extension,
    rkp_issuers,
)
from quorumkey_attestation.testing.android_case import (
    DEVICE_KEY,
    attested,
    spki,
    with_hardware,
    with_software,
)
from quorumkey_attestation.testing.android_description import (
    BOOT_KEY,
    CHALLENGE,
    PACKAGE,
    SIGNER,
    Description,
    application_id,
    description,
    milliseconds,
    root_of_trust,
)
from quorumkey_attestation.testing.der_encoding import integer, null, octet_string, set_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_attestation.android.policy import AndroidKeyPolicy

KEY: Final = pki.private_key(DEVICE_KEY).public_key()
OTHER: Final = pki.private_key("another device").public_key()
OTHER_SIGNER: Final = hashlib.sha256(b"another signer").digest()
SECOND: Final = timedelta(seconds=1)


def judged(
    chain: Sequence[bytes] | Description | None = None,
    accepted: AndroidKeyPolicy | None = None,
    *,
    challenge: bytes = CHALLENGE,
    public_key: ec.EllipticCurvePublicKey | bytes | None = None,
) -> AndroidKey:
    """What comes of a chain, or of a description in the usual one, under a policy."""
    if chain is None or isinstance(chain, Description):
        chain = attested(chain)
    return verify_android_key(
        chain,
        challenge=challenge,
        policy=accepted or policy(),
        revocation=no_revocations(),
        now=pki.NOW,
        public_key=public_key,
    )


def refused(
    chain: Sequence[bytes] | Description | None = None,
    accepted: AndroidKeyPolicy | None = None,
    *,
    challenge: bytes = CHALLENGE,
    public_key: ec.EllipticCurvePublicKey | bytes | None = None,
) -> tuple[Reason, str]:
    """Why the same is refused, and by which check of android.key."""
    with pytest.raises(AttestationError) as caught:
        judged(chain, accepted, challenge=challenge, public_key=public_key)
    assert caught.value.check is not None
    return caught.value.reason, caught.value.check.removeprefix("android.key/")


def test_approver_key() -> None:
    """A sound key is accepted by the default policy, with everything a caller stores."""
    key = judged(public_key=KEY)

    assert (KEY, SecurityLevel.TEE, ()) == (key.public_key, key.level, key.quirks)
    assert key.root_of_trust is not None
    assert key.application_id is not None
    assert key.provisioning is not None
    assert 5 == len(key.serials)
    assert "android.key/16-created" in key.checks


@pytest.mark.parametrize(
    "challenge",
    [CHALLENGE[:-1], CHALLENGE + b"\0", CHALLENGE[:16], bytes(32)],
    ids=["prefix", "longer", "half", "zeros"],
)
def test_challenge(challenge: bytes) -> None:
    """Any other challenge than the whole one is refused."""
    assert (Reason.CHALLENGE, "1-challenge") == refused(challenge=challenge)


def test_attestation_without_a_challenge() -> None:
    """An attestation for an empty challenge is refused."""
    assert Reason.CHALLENGE is refused(description(challenge=b""))[0]


@pytest.mark.parametrize(
    "public_key",
    [
        KEY,
        spki(KEY),
        KEY.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        KEY.public_bytes(Encoding.X962, PublicFormat.CompressedPoint),
    ],
    ids=["object", "spki", "point", "compressed-point"],
)
def test_registered_key(public_key: ec.EllipticCurvePublicKey | bytes) -> None:
    """The key to register may be given in each of its forms."""
    assert KEY == judged(public_key=public_key).public_key


@pytest.mark.parametrize(
    "public_key",
    [
        OTHER,
        spki(OTHER),
        OTHER.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        b"",
        b"\x04" + bytes(64),
    ],
    ids=["object", "spki", "point", "empty", "not-on-curve"],
)
def test_other_key(public_key: ec.EllipticCurvePublicKey | bytes) -> None:
    """Any other key than the attested one is refused."""
    assert (Reason.KEY_MISMATCH, "2-public-key") == refused(public_key=public_key)


def test_curve() -> None:
    """A key on another curve is refused, unless policy takes any; its point is compared then."""
    key = pki.private_key("P-521", ec.SECP521R1()).public_key()
    chain = attested(public_key=key)
    point = key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)

    assert (Reason.ALGORITHM, "3-curve") == refused(chain)
    assert key == judged(chain, policy(curve="any"), public_key=point).public_key


@pytest.mark.parametrize(
    ("attestation", "keymint", "least", "passes"),
    [
        (1, 1, SecurityLevel.TEE, True),
        (2, 2, SecurityLevel.TEE, True),
        (2, 2, SecurityLevel.STRONGBOX, True),
        (0, 1, SecurityLevel.TEE, False),
        (1, 0, SecurityLevel.TEE, False),
        (1, 1, SecurityLevel.STRONGBOX, False),
        (1, 2, SecurityLevel.STRONGBOX, False),
        (0, 0, SecurityLevel.SOFTWARE, True),
    ],
)
def test_level(attestation: int, keymint: int, least: SecurityLevel, *, passes: bool) -> None:
    """The weaker of the two levels counts."""
    sent = replace(description(), level=attestation, keymint_level=keymint)
    accepted = policy(min_level=least)

    if passes:
        assert min(attestation, keymint) == judged(sent, accepted).level
    else:
        assert (Reason.LEVEL, "4-level") == refused(sent, accepted)


def test_tag_order() -> None:
    """Tags out of order are told, and refused where policy is strict."""
    sound = description()
    sent = replace(sound, hardware=tuple(reversed(sound.hardware)))

    assert 1 == len(judged(sent).quirks)
    assert (Reason.MALFORMED, "5-tag-order") == refused(sent, policy(tag_order="strict"))


def test_boolean() -> None:
    """A TRUE that is not DER is refused, and told where policy says so."""
    sent = with_hardware({704: root_of_trust(true=1)})

    assert (Reason.MALFORMED, "5-boolean") == refused(sent)
    assert 1 == len(judged(sent, policy(non_der_boolean="report")).quirks)


def test_provisioning_method() -> None:
    """A factory's chain is refused where policy asks for a provisioned one."""
    chain = attested(issuers=factory_issuers())

    assert judged(chain).provisioning is None
    assert (Reason.VERDICT, "6-method") == refused(chain, policy(provisioning="rkp"))
    assert judged(None, policy(provisioning="rkp")).provisioning is not None


def test_lost_device() -> None:
    """A device that was reported lost is refused."""
    first, *above = rkp_issuers()
    lost = replace(first, extensions=((provisioning_extension(b"\xa1\x06\xf5"), False),))

    assert (Reason.VERDICT, "6-lost") == refused(attested(issuers=(lost, *above)))


@pytest.mark.parametrize("origin", [1, 2, 3, 4, 77])
def test_origin(origin: int) -> None:
    """A key that was not generated in the hardware is refused, unless policy names its origin."""
    sent = with_hardware({702: integer(origin)})

    assert (Reason.ORIGIN, "7-origin") == refused(sent)


def test_origin_that_policy_names() -> None:
    """A securely imported key is accepted by a policy that names that origin."""
    sent = with_hardware({702: integer(4)})

    assert judged(sent, policy(origins=frozenset({KeyOrigin.SECURELY_IMPORTED}))).checks


@pytest.mark.parametrize("purposes", [[], [0], [3], [0, 2], [2, 7], [2, 6], [1, 2, 3]], ids=str)
def test_purpose(purposes: list[int]) -> None:
    """A key that may not sign, or may do more, is refused."""
    sent = with_hardware({1: set_of(integer(each) for each in purposes)})

    assert (Reason.PURPOSE, "8-purpose") == refused(sent)


def test_sign_and_verify() -> None:
    """A key that may verify besides signing is accepted: anybody can verify."""
    assert judged(with_hardware({1: set_of([integer(2), integer(3)])})).checks


@pytest.mark.parametrize(
    ("user_auth", "changes", "check"),
    [
        ("per_use", {503: null()}, "9-no-auth"),
        ("required", {503: null()}, "9-no-auth"),
        ("per_use", {504: None}, "9-auth-type"),
        ("required", {504: integer(0)}, "9-auth-type"),
        ("per_use", {505: integer(3600)}, "9-per-use"),
        ("required", {505: integer(3600)}, None),
        ("any", {503: null(), 504: None}, None),
    ],
)
def test_user_authentication(
    user_auth: str, changes: dict[int, bytes | None], check: str | None
) -> None:
    """How the user authenticates is what policy asks: never, at times, or for every use."""
    sent = with_hardware(changes)

    if check is None:
        assert judged(sent, policy(user_auth=user_auth)).checks
    else:
        assert (Reason.USER_AUTH, check) == refused(sent, policy(user_auth=user_auth))


@pytest.mark.parametrize("tag", [1, 504, 702, 704])
def test_hardware_list_alone_counts(tag: int) -> None:
    """What stands in the software-enforced list alone counts as absent."""
    value = dict(description().hardware)[tag]
    moved = with_software({tag: value}, with_hardware({tag: None}))

    assert refused(moved)[0] in {
        Reason.PURPOSE,
        Reason.USER_AUTH,
        Reason.ORIGIN,
        Reason.BOOT_STATE,
    }


def test_software_list_adds_nothing() -> None:
    """What the software-enforced list says besides does not weaken what the hardware says."""
    sent = with_software({503: null(), 702: integer(2), 505: integer(60)})

    assert judged(sent).level is SecurityLevel.TEE


@pytest.mark.parametrize(
    ("root", "check"),
    [
        (root_of_trust(locked=False), "11-locked"),
        (root_of_trust(state=VerifiedBootState.SELF_SIGNED), "12-verified-boot"),
        (root_of_trust(state=VerifiedBootState.UNVERIFIED), "12-verified-boot"),
        (root_of_trust(state=VerifiedBootState.FAILED), "12-verified-boot"),
        (None, "10-root-of-trust"),
    ],
    ids=["unlocked", "self-signed", "unverified", "failed", "absent"],
)
def test_boot_state(root: bytes | None, check: str) -> None:
    """Only a locked device with a verified system is accepted, unless policy asks nothing."""
    sent = with_hardware({704: root})

    assert (Reason.BOOT_STATE, check) == refused(sent)
    assert judged(sent, policy(require_locked=False, verified_boot="any")).checks


@pytest.mark.parametrize(
    ("state", "keys", "passes"),
    [
        (VerifiedBootState.SELF_SIGNED, frozenset({BOOT_KEY}), True),
        (VerifiedBootState.VERIFIED, frozenset[bytes](), True),
        (VerifiedBootState.SELF_SIGNED, frozenset({bytes(32)}), False),
        (VerifiedBootState.SELF_SIGNED, frozenset[bytes](), False),
        (VerifiedBootState.UNVERIFIED, frozenset({BOOT_KEY}), False),
        (VerifiedBootState.FAILED, frozenset({BOOT_KEY}), False),
    ],
    ids=["allowed", "verified", "other-key", "no-keys", "unverified", "failed"],
)
def test_boot_keys(state: VerifiedBootState, keys: frozenset[bytes], *, passes: bool) -> None:
    """A self-signed system such as GrapheneOS passes if policy names its key, and no other does."""
    sent = with_hardware({704: root_of_trust(state=state)})
    accepted = policy(verified_boot="verified_or_allowed", boot_keys=keys)

    if passes:
        assert judged(sent, accepted).checks
    else:
        assert (Reason.BOOT_STATE, "12-verified-boot") == refused(sent, accepted)


def test_boot_keys_without_permission() -> None:
    """Boot keys count only where policy says that they do."""
    sent = with_hardware({704: root_of_trust(state=VerifiedBootState.SELF_SIGNED)})

    assert Reason.BOOT_STATE is refused(sent, policy(boot_keys=frozenset({BOOT_KEY})))[0]


@pytest.mark.parametrize("change", [with_hardware, with_software], ids=["hardware", "software"])
def test_all_applications(change: object) -> None:
    """A key that is open to all apps is refused, whichever list says so."""
    sent = with_hardware({600: null()}) if change is with_hardware else with_software({600: null()})

    assert (Reason.APP_ID, "13-all-applications") == refused(sent)
    assert (Reason.APP_ID, "13-all-applications") == refused(sent, policy(packages=None))


def for_application(names: dict[str, int], signers: list[bytes]) -> Description:
    """The sound key, of another app."""
    return with_software({709: octet_string(application_id(names, signers))})


@pytest.mark.parametrize(
    ("sent", "check"),
    [
        (with_software({709: None}), "14-application"),
        (for_application({"com.example.other": 1}, [SIGNER]), "14-package"),
        (for_application({}, [SIGNER]), "14-package"),
        (for_application({PACKAGE: 1, "com.example.other": 1}, [SIGNER]), "14-extra-package"),
        (for_application({PACKAGE: 1}, [OTHER_SIGNER]), "14-signer"),
        (for_application({PACKAGE: 1}, [SIGNER, OTHER_SIGNER]), "14-signer"),
        (for_application({PACKAGE: 1}, []), "14-signer"),
        (for_application({PACKAGE: 1}, [SIGNER[:31]]), "14-signer"),
    ],
    ids=["absent", "other", "none", "extra", "signer", "two-signers", "unsigned", "prefix"],
)
def test_application(sent: Description, check: str) -> None:
    """Only the app that policy names, signed as policy says, is accepted."""
    assert (Reason.APP_ID, check) == refused(sent)
    assert judged(sent, policy(packages=None)).checks


def test_extra_package_that_policy_allows() -> None:
    """Another package in the same user id is accepted where policy says so."""
    sent = for_application({PACKAGE: 1, "com.example.other": 1}, [SIGNER])

    assert judged(sent, policy(extra_packages="allow")).checks


def test_shared_user_id_that_policy_names() -> None:
    """Two packages of one user id are accepted if policy names both, with the same signers."""
    sent = for_application({PACKAGE: 1, "com.example.other": 1}, [SIGNER])
    both = {PACKAGE: frozenset({SIGNER}), "com.example.other": frozenset({SIGNER})}

    assert judged(sent, policy(packages=both)).checks
    other = {**both, "com.example.other": frozenset({OTHER_SIGNER})}
    assert (Reason.APP_ID, "14-signer") == refused(sent, policy(packages=other))


@pytest.mark.parametrize(
    ("patch", "floor", "passes"),
    [
        (202605, 202605, True),
        (202606, 202605, True),
        (202608, 202605, True),
        (202605, None, True),
        (None, None, True),
        (202604, 202605, False),
        (202609, 202605, False),
        (209912, 202605, False),
        (999999, 202605, False),
        (0, 202605, False),
        (202600, 202501, False),
        (202613, 202501, False),
        (20260505, 202501, False),
        (-1, 202501, False),
        (None, 202605, False),
        (0, None, False),
        (209912, None, False),
    ],
)
def test_patch(patch: int | None, floor: int | None, *, passes: bool) -> None:
    """A patch level is a month, not before policy's floor and at most two months ahead."""
    sent = with_hardware({706: None if patch is None else integer(patch)})
    accepted = policy(min_os_patch=floor)

    if passes:
        assert judged(sent, accepted).checks
    else:
        assert (Reason.PATCH, "15-patch") == refused(sent, accepted)


@pytest.mark.parametrize(
    ("created", "passes"),
    [
        (milliseconds(pki.NOW), True),
        (milliseconds(pki.NOW - timedelta(minutes=10)), True),
        (milliseconds(pki.NOW + MAX_CLOCK_DIFFERENCE), True),
        (milliseconds(pki.NOW - timedelta(minutes=10) - SECOND), False),
        (milliseconds(pki.NOW + MAX_CLOCK_DIFFERENCE + SECOND), False),
        (0, False),
        (-1, False),
        ((1 << 64) - 1, False),
        (None, False),
    ],
)
def test_created(created: int | None, *, passes: bool) -> None:
    """The key was made within policy's time, by a clock that is at most five minutes ahead."""
    sent = with_software({701: None if created is None else integer(created)})

    if passes:
        assert judged(sent).checks
    else:
        assert (Reason.TIMESTAMP, "16-created") == refused(sent)
    assert judged(sent, policy(created_within=None)).checks


def test_created_as_hardware_says() -> None:
    """Where only the hardware says when the key was made, that counts."""
    sent = with_hardware({701: integer(milliseconds(pki.NOW))}, with_software({701: None}))

    assert judged(sent).checks


def test_unknown_tags_change_nothing() -> None:
    """A tag from the future is kept, and the key accepted."""
    key = judged(with_hardware({999: null()}))

    assert {999: null()} == dict(key.key_description.hardware_enforced.unknown)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"packages": {}}, "packages"),
        ({"packages": {PACKAGE: frozenset[bytes]()}}, "packages"),
        ({"packages": {PACKAGE: frozenset({b"short"})}}, "packages"),
        ({"purposes": frozenset({KeyPurpose.VERIFY})}, "purposes"),
        ({"purposes": frozenset({KeyPurpose.SIGN, KeyPurpose.DECRYPT})}, "purposes"),
        ({"origins": frozenset[KeyOrigin]()}, "origins"),
        ({"min_os_patch": 202613}, "min_os_patch"),
        ({"created_within": timedelta(0)}, "created_within"),
        ({"verified_boot": "verify"}, "verified_boot"),
        ({"user_auth": "never"}, "user_auth"),
        ({"curve": "P-384"}, "curve"),
        ({"provisioning": "factory"}, "provisioning"),
        ({"extra_packages": "report"}, "extra_packages"),
        ({"tag_order": "reject"}, "tag_order"),
        ({"non_der_boolean": "strict"}, "non_der_boolean"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_impossible_policy(change: dict[str, object], message: str) -> None:
    """A policy that admits everything by mistake, or nothing, cannot be made."""
    with pytest.raises(ValueError, match=message):
        policy(**change)


def test_empty_challenge() -> None:
    """An empty challenge is the caller's own mistake, for it makes nothing fresh."""
    with pytest.raises(ValueError, match="challenge"):
        judged(challenge=b"")
