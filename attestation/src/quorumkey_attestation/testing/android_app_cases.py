"""The cases of the app that a key belongs to, and of dates: D12 to D16 of the project's list."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import pki
from quorumkey_attestation.testing.android_case import (
    Refusal,
    accepted,
    attested,
    refused,
    with_hardware,
    with_software,
)
from quorumkey_attestation.testing.android_description import (
    PACKAGE,
    SIGNER,
    Description,
    application_id,
    description,
    milliseconds,
)
from quorumkey_attestation.testing.der_encoding import integer, null, octet_string

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

__all__ = ["cases", "controls"]

_OTHER_PACKAGE: Final = "com.example.other"
_OTHER_SIGNER: Final = hashlib.sha256(b"quorumkey UNSAFE test other signer").digest()
_PATCH: Final = Refusal(Reason.PATCH, "android.key/15-patch")
_CREATED: Final = Refusal(Reason.TIMESTAMP, "android.key/16-created")


def cases() -> tuple[Case, ...]:
    """Return the cases in the order of their numbers."""
    return (*_application(), *_dates())


def controls() -> tuple[Case, ...]:
    """Return what has to be accepted: D0h to D0k."""
    oldest = with_software({701: integer(milliseconds(pki.NOW) - 600_000)})
    return (
        accepted(
            "D0h",
            "a package in a shared user id, where policy allows that",
            attested(_shared()),
            settings={"extra_packages": "allow"},
        ),
        accepted("D0i", "a patch level at policy's floor", attested(), settings=_floor(202605)),
        accepted("D0j", "a patch level two months ahead", attested(_patched(202608))),
        accepted("D0k", "a key made ten minutes ago", attested(oldest)),
    )


def _shared() -> Description:
    return with_software(_named({PACKAGE: 42, _OTHER_PACKAGE: 1}))


def _named(packages: dict[str, int], *digests: bytes) -> dict[int, bytes | None]:
    return {709: octet_string(application_id(packages, digests or [SIGNER]))}


def _application() -> tuple[Case, ...]:
    signer = Refusal(Reason.APP_ID, "android.key/14-signer")
    unknown = Refusal(Reason.APP_ID, "android.key/14-application")
    everybody = Refusal(Reason.APP_ID, "android.key/13-all-applications")
    wrong = with_software(_named({PACKAGE: 42}, _OTHER_SIGNER))
    second = with_software(_named({PACKAGE: 42}, SIGNER, _OTHER_SIGNER))
    other = with_software(_named({_OTHER_PACKAGE: 42}))
    in_hardware = with_hardware(dict(description().software), with_software({709: None}))
    return (
        refused("D12a", "the app signed by somebody else", attested(wrong), signer),
        refused("D12b", "the app signed by somebody else too", attested(second), signer),
        refused(
            "D12c",
            "another package of the same signer",
            attested(other),
            Refusal(Reason.APP_ID, "android.key/14-package"),
        ),
        refused("D12d", "no app", attested(with_software({709: None})), unknown),
        refused("D12e", "the app in the other list", attested(in_hardware), unknown),
        refused(
            "D13",
            "a second package in a shared user id",
            attested(_shared()),
            Refusal(Reason.APP_ID, "android.key/14-extra-package"),
            control="D0h",
        ),
        refused("D14a", "a key for all apps", attested(with_hardware({600: null()})), everybody),
        refused(
            "D14b",
            "a key for all apps, says the operating system",
            attested(with_software({600: null()})),
            everybody,
        ),
    )


def _floor(patch: int) -> dict[str, object]:
    return {"min_os_patch": patch}


def _patched(patch: int) -> Description:
    return with_hardware({706: integer(patch)})


def _dates() -> tuple[Case, ...]:
    now = milliseconds(pki.NOW)
    return (
        refused(
            "D15a",
            "a patch level a month below policy's floor",
            attested(),
            _PATCH,
            control="D0i",
            settings=_floor(202606),
        ),
        *(
            refused(number, f"the patch level {patch}", attested(_patched(patch)), _PATCH)
            for number, patch in (
                ("D15b", 209912),
                ("D15c", 0),
                ("D15d", 999999),
                ("D15e", 202613),
                ("D15f", 202609),
            )
        ),
        refused(
            "D15g",
            "no patch level where policy has a floor",
            attested(with_hardware({706: None})),
            _PATCH,
            control="D0i",
            settings=_floor(202605),
        ),
        *(
            refused(number, title, attested(with_software({701: created})), _CREATED)
            for number, title, created in (
                ("D16a", "a key made tomorrow", integer(now + 86_400_000)),
                ("D16b", "a key made in 1970", integer(0)),
                ("D16c", "a key made more than ten minutes ago", integer(now - 600_001)),
                ("D16d", "no time of creation", None),
                ("D16e", "a key made 290 million years from now", integer(2**63 - 1)),
            )
        ),
    )
