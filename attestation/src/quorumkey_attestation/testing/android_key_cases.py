"""The cases of what an Android key is and belongs to: D1 to D25 of the project's list.

Each differs from a control in one property. Those about the app and about dates (D12 to D16) stand
in :mod:`.android_app_cases`, and those about how the KeyDescription is written (D18 to D22, and D25
on) in :mod:`.android_encoding_cases`.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from quorumkey_attestation.android.authorization_list import (
    KeyOrigin,
    KeyPurpose,
    SecurityLevel,
    VerifiedBootState,
)
from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import android_app_cases, android_encoding_cases, pki
from quorumkey_attestation.testing.android import issue, rkp_issuers
from quorumkey_attestation.testing.android_case import (
    Refusal,
    accepted,
    attested,
    judge,
    refused,
    spki,
    with_hardware,
    with_software,
)
from quorumkey_attestation.testing.android_description import (
    BOOT_KEY,
    CHALLENGE,
    Description,
    description,
    root_of_trust,
)
from quorumkey_attestation.testing.der_encoding import integer, null, set_of
from quorumkey_attestation.testing.resigning import resign

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "judge"]

_OTHER_BOOT_KEY: Final = hashlib.sha256(b"quorumkey UNSAFE test other boot key").digest()
_GRAPHENE: Final = {"verified_boot": "verified_or_allowed", "boot_keys": [BOOT_KEY.hex()]}
_RSA_BITS: Final = 2048

_CHALLENGE: Final = Refusal(Reason.CHALLENGE, "android.key/1-challenge")
_LEVEL: Final = Refusal(Reason.LEVEL, "android.key/4-level")
_ORIGIN: Final = Refusal(Reason.ORIGIN, "android.key/7-origin")
_PURPOSE: Final = Refusal(Reason.PURPOSE, "android.key/8-purpose")
_AUTH_TYPE: Final = Refusal(Reason.USER_AUTH, "android.key/9-auth-type")
_NO_ROOT: Final = Refusal(Reason.BOOT_STATE, "android.key/10-root-of-trust")
_BOOT: Final = Refusal(Reason.BOOT_STATE, "android.key/12-verified-boot")
_CURVE: Final = Refusal(Reason.ALGORITHM, "android.key/3-curve")


@cache
def cases() -> tuple[Case, ...]:
    """Return the controls and then the cases, in the order of their numbers."""
    return (
        *_controls(),
        *android_app_cases.controls(),
        _on_curve("D0l", ec.SECP521R1()),
        *_challenge_and_level(),
        *_hardware_list_only(),
        *_boot_state(),
        *_purpose_and_authentication(),
        *android_app_cases.cases(),
        _another_key(),
        *android_encoding_cases.cases(),
        *_kinds_of_key(),
        *android_encoding_cases.later_cases(),
    )


def _controls() -> tuple[Case, ...]:
    verify = with_hardware({1: _purposes(KeyPurpose.SIGN, KeyPurpose.VERIFY)})
    timeout = with_hardware({505: integer(3600)})
    imported = with_hardware({702: integer(KeyOrigin.IMPORTED)})
    return (
        accepted("D0a", "a key in a trusted execution environment", attested()),
        accepted("D0b", "a key in StrongBox", _strongbox(), settings={"min_level": "strongbox"}),
        accepted("D0c", "a key that may verify as well", attested(verify)),
        accepted(
            "D0d",
            "a system signed with a key that policy names",
            attested(_booted(VerifiedBootState.SELF_SIGNED)),
            settings=_GRAPHENE,
        ),
        accepted(
            "D0e",
            "a key good for an hour after authentication, where policy allows that",
            attested(timeout),
            settings={"user_auth": "required"},
        ),
        accepted(
            "D0f",
            "an imported key, where policy allows that",
            attested(imported),
            settings={"origins": ["generated", "imported"]},
        ),
        _on_curve("D0g", ec.SECP384R1()),
    )


def _strongbox() -> tuple[bytes, ...]:
    level = SecurityLevel.STRONGBOX
    return attested(description(level=level), issuers=rkp_issuers(level=level))


def _challenge_and_level() -> tuple[Case, ...]:
    other = bytes(reversed(CHALLENGE))
    challenges = (
        ("D1a", "another challenge", other),
        ("D1b", "the first half of the challenge", CHALLENGE[:16]),
        ("D1c", "an empty challenge", b""),
        ("D1d", "the challenge and one octet more", CHALLENGE + b"\0"),
    )
    sound = description()
    software = SecurityLevel.SOFTWARE
    return (
        *(
            refused(number, title, attested(description(challenge=value)), _CHALLENGE)
            for number, title, value in challenges
        ),
        refused(
            "D2a",
            "an attestation made in software about a key in hardware",
            attested(replace(sound, level=software)),
            _LEVEL,
        ),
        refused(
            "D2b",
            "an attestation made in hardware about a key in software",
            attested(replace(sound, keymint_level=software)),
            _LEVEL,
        ),
        refused(
            "D3",
            "a key in a trusted execution environment where StrongBox is asked for",
            attested(),
            _LEVEL,
            settings={"min_level": "strongbox"},
        ),
    )


def _hardware_list_only() -> tuple[Case, ...]:
    imported = with_hardware({702: integer(KeyOrigin.IMPORTED)})
    securely = with_hardware({702: integer(KeyOrigin.SECURELY_IMPORTED)})
    return (
        refused("D4a", "an imported key", attested(imported), _ORIGIN, control="D0f"),
        refused("D4b", "a securely imported key", attested(securely), _ORIGIN),
        refused("D5a", "the origin in the other list", attested(_moved(702)), _ORIGIN),
        refused("D5b", "the purpose in the other list", attested(_moved(1)), _PURPOSE),
        refused("D5c", "userAuthType in the other list", attested(_moved(504)), _AUTH_TYPE),
        refused("D5d", "no origin", attested(with_hardware({702: None})), _ORIGIN),
        refused("D6a", "no root of trust", attested(with_hardware({704: None})), _NO_ROOT),
        refused("D6b", "the root of trust in the other list", attested(_moved(704)), _NO_ROOT),
    )


def _moved(tag: int) -> Description:
    """Return a description in which the operating system says what the hardware should."""
    sound = description()
    value = dict(sound.hardware)[tag]
    return with_software({tag: value}, with_hardware({tag: None}))


def _booted(state: int, *, boot_key: bytes = BOOT_KEY) -> Description:
    return with_hardware({704: root_of_trust(state=state, boot_key=boot_key)})


def _boot_state() -> tuple[Case, ...]:
    unlocked = with_hardware({704: root_of_trust(locked=False)})
    self_signed = VerifiedBootState.SELF_SIGNED
    return (
        refused(
            "D7",
            "an unlocked boot loader",
            attested(unlocked),
            Refusal(Reason.BOOT_STATE, "android.key/11-locked"),
        ),
        refused("D8a", "a self-signed system", attested(_booted(self_signed)), _BOOT),
        refused(
            "D8b",
            "a system signed with a key that policy does not name",
            attested(_booted(self_signed, boot_key=_OTHER_BOOT_KEY)),
            _BOOT,
            control="D0d",
            settings=_GRAPHENE,
        ),
        *(
            refused(
                number,
                f"a system whose boot state is {state.name}",
                attested(_booted(state)),
                _BOOT,
                control="D0d",
                settings=_GRAPHENE,
            )
            for number, state in (
                ("D8c", VerifiedBootState.UNVERIFIED),
                ("D8d", VerifiedBootState.FAILED),
            )
        ),
    )


def _purposes(*purposes: int) -> bytes:
    return set_of([integer(purpose) for purpose in purposes])


def _purpose_and_authentication() -> tuple[Case, ...]:
    purposes = (
        ("D9a", "a key that may only encrypt", _purposes(KeyPurpose.ENCRYPT)),
        ("D9b", "a key that may only attest", _purposes(KeyPurpose.ATTEST_KEY)),
        (
            "D9c",
            "a key that may sign and attest",
            _purposes(KeyPurpose.SIGN, KeyPurpose.ATTEST_KEY),
        ),
        ("D9d", "a key that may only verify", _purposes(KeyPurpose.VERIFY)),
        ("D9e", "a key without any purpose", _purposes()),
    )
    return (
        *(
            refused(number, title, attested(with_hardware({1: value})), _PURPOSE)
            for number, title, value in purposes
        ),
        refused(
            "D10a",
            "a key that needs no authentication",
            attested(with_hardware({503: null()})),
            Refusal(Reason.USER_AUTH, "android.key/9-no-auth"),
        ),
        refused("D10b", "no userAuthType", attested(with_hardware({504: None})), _AUTH_TYPE),
        refused(
            "D10c",
            "a userAuthType that names nothing",
            attested(with_hardware({504: integer(0)})),
            _AUTH_TYPE,
        ),
        refused(
            "D11",
            "a key good for an hour after authentication",
            attested(with_hardware({505: integer(3600)})),
            Refusal(Reason.USER_AUTH, "android.key/9-per-use"),
            control="D0e",
        ),
    )


def _another_key() -> Case:
    return refused(
        "D17",
        "another key than the one that registers",
        attested(public_key=pki.private_key("another android device key").public_key()),
        Refusal(Reason.KEY_MISMATCH, "android.key/2-public-key"),
    )


def _kinds_of_key() -> tuple[Case, ...]:
    emulated = description(level=SecurityLevel.SOFTWARE)
    return (
        _on_curve("D23a", ec.SECP521R1(), control="D0l"),
        _on_curve("D23b", ec.SECP384R1(), control="D0g"),
        _rsa(),
        refused("D24", "an emulator's key, in software", attested(emulated), _LEVEL),
    )


def _on_curve(number: str, curve: ec.EllipticCurve, *, control: str | None = None) -> Case:
    key = pki.private_key("android device key", curve).public_key()
    chain = attested(with_hardware({3: integer(curve.key_size)}), public_key=key)
    title, known = f"a key on {curve.name}", _expecting(spki(key))
    if control is None:
        return accepted(number, f"{title}, allowed", chain, settings={**known, "curve": "any"})
    return refused(number, title, chain, _CURVE, control=control, settings=known)


def _rsa() -> Case:
    digest = b"".join(hashlib.sha512(bytes([part])).digest() for part in range(_RSA_BITS // 512))
    # Only the size of the modulus matters: nothing is ever signed with this key.
    modulus = int.from_bytes(digest) | 1 << (_RSA_BITS - 1) | 1
    key = rsa.RSAPublicNumbers(65537, modulus).public_key()
    encoded = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    leaf, *issuers = attested(with_hardware({2: integer(1), 3: integer(_RSA_BITS), 10: None}))
    chain = (resign(leaf, issue(rkp_issuers())[0], public_key_info=encoded), *issuers)
    return refused("D23c", "an RSA key", chain, _CURVE, settings=_expecting(encoded))


def _expecting(encoded: bytes) -> dict[str, object]:
    return {"expect": {"challenge": CHALLENGE.hex(), "public_key": encoded.hex()}}
