"""Registrations with a statement of the format ``android-key`` that is not what it has to be."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import android, pki
from quorumkey_attestation.testing.android_description import (
    changed,
    description,
    hardware_list,
    root_of_trust,
    software_list,
)
from quorumkey_attestation.testing.der_encoding import integer, null
from quorumkey_attestation.testing.webauthn import Parts, Statement, android_key
from quorumkey_attestation.testing.webauthn_case import Refusal, registered

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases"]

_BASE: Final = Parts()
_OTHER: Final = replace(_BASE, sign_count=1)
_OTHER_KEY: Final = pki.private_key("webauthn other credential")


def _without_root(statement: Statement) -> Statement:
    chain = statement.members["x5c"]
    if not isinstance(chain, list):
        raise TypeError("the statement has no chain")
    return replace(statement, members={**statement.members, "x5c": chain[:-1]})


def _refused(  # noqa: PLR0913  # what a case consists of
    number: str,
    title: str,
    made: Statement,
    reason: Reason,
    check: str,
    *,
    has_reading: bool = True,
    status: bytes | None = None,
) -> Case:
    refusal = Refusal(reason, check, "W0p", has_reading)
    return registered(number, title, _BASE, made, refusal, status=status)


def cases() -> tuple[Case, ...]:
    """Return the cases."""
    challenge = _BASE.client_data_hash
    other = description(challenge=_OTHER.client_data_hash[::-1])
    factory = android_key(_BASE, issuers=android.factory_issuers())
    unknown = description(challenge=challenge, hardware=changed(hardware_list(), {999: integer(7)}))
    hardware = hardware_list()
    twice = description(challenge=challenge, hardware=(*hardware[:3], hardware[2], *hardware[3:]))
    for_all = description(challenge=challenge, software=changed(software_list(), {600: null()}))
    imported = description(challenge=challenge, hardware=changed(hardware, {702: integer(2)}))
    unlocked = description(
        challenge=challenge,
        hardware=changed(hardware, {704: root_of_trust(locked=False)}),
    )
    serial = android.issue(android.rkp_issuers())[0].certificate.serial_number

    return (
        registered("W3a", "no root in the chain", _BASE, _without_root(android_key(_BASE))),
        registered("W3b", "no root in the factory's chain", _BASE, _without_root(factory)),
        registered("W10a", "an unknown tag", _BASE, android_key(_BASE, description=unknown)),
        _refused(
            "W1",
            "the certificate has another challenge",
            android_key(_BASE, description=other),
            Reason.CHALLENGE,
            "android.key/1-challenge",
        ),
        _refused(
            "W2a",
            "the certificate is about another key",
            android_key(_BASE, key=_OTHER_KEY),
            Reason.KEY_MISMATCH,
            "android.key/2-public-key",
        ),
        _refused(
            "W10b",
            "a tag twice",
            android_key(_BASE, description=twice),
            Reason.MALFORMED,
            "android.list/1-duplicate",
        ),
        _refused(
            "W25a",
            "a signature over something else",
            android_key(_BASE, signed=_OTHER.signed),
            Reason.SIGNATURE,
            "webauthn.android-key/3-signature",
        ),
        _refused(
            "W25b",
            "a key for all apps",
            android_key(_BASE, description=for_all),
            Reason.APP_ID,
            "android.key/13-all-applications",
        ),
        _refused(
            "W25c",
            "a key that was imported",
            android_key(_BASE, description=imported),
            Reason.ORIGIN,
            "android.key/7-origin",
        ),
        _refused(
            "W25d",
            "a boot loader that is not locked",
            android_key(_BASE, description=unlocked),
            Reason.BOOT_STATE,
            "android.key/11-locked",
        ),
        _refused(
            "W25e",
            "a certificate that was revoked",
            android_key(_BASE),
            Reason.REVOKED,
            "android.chain/8-revoked",
            status=android.status_list({f"{serial:x}": "REVOKED"}),
        ),
        _refused(
            "W25f",
            "a statement without a signature",
            android_key(_BASE).without("sig"),
            Reason.MALFORMED,
            "webauthn.android-key/1-shape",
            has_reading=False,
        ),
    )
