"""Registrations whose attestation statement is not what it has to be, format by format."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from cryptography import x509

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import android, pki, webauthn
from quorumkey_attestation.testing.apple_certificates import (
    NONCE_EXTENSION,
    app_attest_root,
    nonce_extension,
)
from quorumkey_attestation.testing.webauthn import (
    Parts,
    Statement,
    android_key,
    apple,
    fido_u2f,
    none,
    packed,
    packed_self,
)
from quorumkey_attestation.testing.webauthn_case import Refusal, registered
from quorumkey_attestation.testing.webauthn_certificates import (
    ATTESTATION_KEY,
    aaguid_extension,
    attestation_subject,
    mint_leaf,
    webauthn_authority,
)
from quorumkey_attestation.testing.webauthn_tpm import tpm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing.case import Case

__all__ = ["cases"]

_BASE: Final = Parts()
_OTHER: Final = replace(_BASE, sign_count=1)
_OTHER_KEY: Final = pki.private_key("webauthn other credential")
_OTHER_MODEL: Final = bytes(16)
_UNVERIFIED: Final = MappingProxyType({"require_user_verification": False})
"""The policy for security keys that verify nobody."""


def _refused(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    made: Statement,
    reason: Reason,
    check: str,
    *,
    control: str,
    has_reading: bool = True,
    settings: Mapping[str, object] | None = None,
) -> Case:
    refusal = Refusal(reason, check, control, has_reading)
    return registered(number, title, _BASE, made, refusal, settings=settings)


def _controls() -> list[Case]:
    synced = replace(_BASE, flags=webauthn.DEFAULT_FLAGS | webauthn.BACKUP_ELIGIBLE)
    factory = android_key(_BASE, issuers=android.factory_issuers())
    return [
        registered("W0i", "a statement of the credential itself", _BASE, packed_self(_BASE)),
        registered("W0j", "a statement of a trusted maker", _BASE, packed(_BASE)),
        registered("W0k", "one of a passkey that may be copied", synced, packed(synced)),
        registered(
            "W0l", "one of a maker nobody trusts", _BASE, packed(_BASE), settings={"roots": None}
        ),
        registered("W0m", "an old security key", _BASE, fido_u2f(_BASE), settings=_UNVERIFIED),
        registered("W0n", "a TPM", _BASE, tpm(_BASE)),
        registered("W0o", "an Apple device", _BASE, apple(_BASE)),
        registered("W0p", "an Android device, provisioned remotely", _BASE, android_key(_BASE)),
        registered("W0q", "an Android device with the factory's chain", _BASE, factory),
    ]


def _apple_cases() -> list[Case]:
    nonce = nonce_extension(hashlib.sha256(_BASE.signed).digest())

    def with_nonce(value: bytes) -> Statement:
        extension = x509.UnrecognizedExtension(NONCE_EXTENSION, value)
        return apple(_BASE, extensions=[(extension, False)])

    return [
        _refused(
            "W2b",
            "the certificate is about another key",
            apple(_BASE, public_key=_OTHER_KEY.public_key()),
            Reason.KEY_MISMATCH,
            "webauthn.apple/5-key",
            control="W0o",
        ),
        _refused(
            "W7",
            "the root of App Attest",
            apple(_BASE, authority=webauthn_authority(app_attest_root())),
            Reason.UNTRUSTED_ROOT,
            "chain/3-anchor",
            control="W0o",
        ),
        _refused(
            "W24a",
            "the nonce of another registration",
            with_nonce(nonce_extension(hashlib.sha256(_OTHER.signed).digest())),
            Reason.NONCE,
            "webauthn.apple/4-nonce",
            control="W0o",
        ),
        _refused(
            "W24b",
            "a byte after the nonce",
            with_nonce(nonce + b"\x00"),
            Reason.MALFORMED,
            "webauthn.apple/3-extension",
            control="W0o",
        ),
        _refused(
            "W24c",
            "no nonce",
            apple(_BASE, extensions=()),
            Reason.MALFORMED,
            "webauthn.apple/3-nonce",
            control="W0o",
            has_reading=False,
        ),
        _refused(
            "W24d",
            "a certificate that has expired",
            apple(_BASE, not_after=pki.NOW - timedelta(seconds=1)),
            Reason.EXPIRED,
            "chain/11-not-after",
            control="W0o",
        ),
        _refused(
            "W24e",
            "no certificates",
            Statement("apple", {"x5c": []}),
            Reason.MALFORMED,
            "webauthn.apple/1-shape",
            control="W0o",
            has_reading=False,
        ),
    ]


def _packed_cases() -> list[Case]:
    key = pki.private_key(ATTESTATION_KEY).public_key()
    model = aaguid_extension(_BASE.aaguid)
    other_unit = mint_leaf(attestation_subject("Something Else"), key, extensions=[model])
    authority = mint_leaf(attestation_subject(), key, extensions=[model], ca=True)
    other_model = mint_leaf(attestation_subject(), key, extensions=[aaguid_extension(_OTHER_MODEL)])
    signature = "webauthn.packed/2-signature"
    return [
        _refused(
            "W20",
            "a statement of the format none that says something",
            replace(none(_BASE), members={"alg": -7}),
            Reason.MALFORMED,
            "webauthn.none/1-empty",
            control="W0a",
        ),
        _refused(
            "W21a",
            "a maker's signature over something else",
            packed(_BASE, signed=_OTHER.signed),
            Reason.SIGNATURE,
            signature,
            control="W0j",
        ),
        _refused(
            "W21b",
            "a signature of another credential",
            packed_self(replace(_BASE, key=_OTHER_KEY)),
            Reason.SIGNATURE,
            signature,
            control="W0i",
        ),
        _refused(
            "W21c",
            "another algorithm than the credential's",
            packed_self(_BASE, algorithm=-36),
            Reason.SIGNATURE,
            signature,
            control="W0i",
        ),
        _refused(
            "W21d",
            "a certificate of another unit",
            packed(_BASE, leaf=other_unit),
            Reason.MALFORMED,
            "webauthn.packed/3-profile",
            control="W0j",
        ),
        _refused(
            "W21e",
            "a certificate of an authority",
            packed(_BASE, leaf=authority),
            Reason.MALFORMED,
            "webauthn.packed/3-profile",
            control="W0j",
        ),
        _refused(
            "W21f",
            "a certificate of another model",
            packed(_BASE, leaf=other_model),
            Reason.KEY_MISMATCH,
            "webauthn.packed/4-aaguid",
            control="W0j",
        ),
        _refused(
            "W21g",
            "a statement without an algorithm",
            packed_self(_BASE).without("alg"),
            Reason.MALFORMED,
            "webauthn.packed/1-shape",
            control="W0i",
            has_reading=False,
        ),
    ]


def _other_cases() -> list[Case]:
    chain = [mint_leaf(attestation_subject(), _BASE.key.public_key()).der, webauthn_authority().der]
    old = fido_u2f(_BASE)
    return [
        _refused(
            "W22a",
            "a TPM's statement about something else",
            tpm(_BASE, signed=_OTHER.signed),
            Reason.SIGNATURE,
            "webauthn.tpm/2-statement",
            control="W0n",
        ),
        _refused(
            "W22b",
            "a TPM of another model",
            tpm(_BASE, aaguid=_OTHER_MODEL),
            Reason.KEY_MISMATCH,
            "webauthn.tpm/3-aaguid",
            control="W0n",
        ),
        _refused(
            "W22c",
            "a TPM's statement without the key's description",
            tpm(_BASE).without("pubArea"),
            Reason.MALFORMED,
            "webauthn.tpm/1-shape",
            control="W0n",
            has_reading=False,
        ),
        _refused(
            "W23a",
            "a security key's signature over something else",
            fido_u2f(_BASE, signed=_OTHER.signed),
            Reason.SIGNATURE,
            "webauthn.fido-u2f/2-signature",
            control="W0m",
            settings=_UNVERIFIED,
        ),
        _refused(
            "W23b",
            "a security key with two certificates",
            replace(old, members={**old.members, "x5c": chain}),
            Reason.MALFORMED,
            "webauthn.fido-u2f/1-shape",
            control="W0m",
            has_reading=False,
            settings=_UNVERIFIED,
        ),
        _refused(
            "W23c",
            "a security key's unsigned word that the person was verified, where policy asks",
            old,
            Reason.USER_AUTH,
            "webauthn.registration/9-user-verified",
            control="W0m",
        ),
    ]


def cases() -> tuple[Case, ...]:
    """Return the cases, controls first."""
    return (
        *_controls(),
        *_apple_cases(),
        *_packed_cases(),
        *_other_cases(),
    )
