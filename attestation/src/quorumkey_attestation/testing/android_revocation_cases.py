"""The cases of Android's revocation list: K8 to K11 of the project's list."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.android import (
    factory_issuers,
    google_root,
    issue,
    rkp_issuers,
    status_list,
)
from quorumkey_attestation.testing.android_case import (
    Refusal,
    accepted,
    attested,
    refused,
    revocation_settings,
)

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "controls"]

#: A serial number whose hexadecimal form could be taken for a decimal one.
_DIGITS: Final = "4819063512774902"

_SECOND: Final = timedelta(seconds=1)
_MAX_AGE: Final = timedelta(seconds=172_800)


def controls() -> tuple[Case, ...]:
    """Return what has to be accepted: K0l and K0m."""
    in_decimal = str(int(_DIGITS, 16))
    as_decimal = f"{int(_DIGITS):x}"
    return (
        accepted(
            "K0l",
            "a list with serial numbers that are near a certificate's",
            _digits_only(),
            status=status_list({in_decimal: "REVOKED", as_decimal: "REVOKED"}),
        ),
        accepted(
            "K0m",
            "a list at its greatest age",
            attested(),
            settings={"revocation": revocation_settings(pki.NOW - _MAX_AGE)},
        ),
    )


def cases() -> tuple[Case, ...]:
    """Return the cases in the order of their numbers."""
    return (*_revoked(), *_unusable())


def _digits_only() -> tuple[bytes, ...]:
    batch, intermediate = factory_issuers()
    return attested(issuers=(batch, replace(intermediate, serial=int(_DIGITS, 16))))


def _revoked() -> tuple[Case, ...]:
    provisioned = issue(rkp_issuers())
    revoked = Refusal(Reason.REVOKED, "android.chain/8-revoked")
    return (
        refused(
            "K8a",
            "an intermediate is revoked whose serial number has only digits",
            _digits_only(),
            control="K0l",
            status=status_list({_DIGITS: "REVOKED"}),
            refusal=revoked,
        ),
        refused(
            "K8b",
            "the attestation certificate of a provisioned device is revoked",
            attested(),
            control="K0a",
            status=status_list({_hex(provisioned[0].certificate.serial_number): "REVOKED"}),
            refusal=revoked,
        ),
        refused(
            "K8c",
            "the root is revoked",
            attested(),
            control="K0a",
            status=status_list({_hex(google_root().certificate.serial_number): "REVOKED"}),
            refusal=revoked,
        ),
        refused(
            "K9a",
            "an intermediate is suspended",
            _digits_only(),
            control="K0l",
            status=status_list({_DIGITS: "SUSPENDED"}),
            refusal=revoked,
        ),
    )


def _unusable() -> tuple[Case, ...]:
    revoked = Refusal(Reason.REVOKED, "android.chain/8-revoked")
    stale = Refusal(Reason.REVOCATION_STALE, "android.revocation/5-age")
    too_old = revocation_settings(pki.NOW - _MAX_AGE - _SECOND)
    capitals = _hex(issue(rkp_issuers())[0].certificate.serial_number).upper()
    return (
        refused(
            "K10a",
            "no revocation list",
            attested(),
            control="K0a",
            settings={"revocation": None},
            refusal=Refusal(Reason.REVOCATION_STALE, "android.chain/7-list"),
        ),
        refused(
            "K10b",
            "a list a second older than its greatest age",
            attested(),
            control="K0m",
            settings={"revocation": too_old},
            refusal=stale,
        ),
        refused(
            "K10c",
            "a list from tomorrow",
            attested(),
            control="K0m",
            settings={"revocation": revocation_settings(pki.NOW + timedelta(days=1))},
            refusal=stale,
        ),
        refused(
            "K11a",
            "a list that writes a revoked serial number with a leading zero",
            _digits_only(),
            control="K0l",
            status=status_list({f"0{_DIGITS}": "REVOKED"}),
            refusal=revoked,
        ),
        refused(
            "K11b",
            "a list that writes a revoked serial number in capitals",
            attested(),
            control="K0a",
            status=status_list({capitals: "REVOKED"}),
            refusal=revoked,
        ),
        *_unreadable(),
    )


def _unreadable() -> tuple[Case, ...]:
    entry = b'"c0ffee": {"status": "REVOKED"}'
    lists = (
        ("K11c", "with an entry that no serial number names", "3-serial", b'"no number": {}'),
        ("K11d", "with an entry twice", "1-json", entry + b", " + entry),
        ("K11e", "with an entry without a status", "4-entry", b'"c0ffee": {}'),
    )
    return tuple(
        refused(
            number,
            f"a list {title}",
            attested(),
            Refusal(Reason.MALFORMED, f"android.revocation/{step}", has_reading=False),
            status=status,
        )
        for number, title, step, status in (
            *((*each[:3], b'{"entries": {' + each[3] + b"}}") for each in lists),
            ("K11f", "without entries", "2-entries", b"{}"),
        )
    )


def _hex(serial: int) -> str:
    return f"{serial:x}"
