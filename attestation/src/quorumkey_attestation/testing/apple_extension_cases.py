"""The cases A18 to A21, A24 and A25: what is wrong with what an attestation says of the app."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing.apple import Attestation, extension_map
from quorumkey_attestation.testing.apple_case import STRICT, attestation_case, base_attestation
from quorumkey_attestation.testing.cbor_encoding import encode

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.testing.case import Case

__all__ = ["extension_cases"]

_CATEGORY: Final = "apple_validation_category_01"
_VERSION: Final = "apple_bundle_version_01"


def extension_cases() -> list[Case]:
    """Return the attestations whose extension map, or access policy, is refused."""
    base = base_attestation()
    category = Reason.VERDICT, "apple.attestation/10-category"
    form = Reason.MALFORMED, "apple.attestation/10-form"
    absent = Reason.VERDICT, "apple.attestation/10-present"

    def extended(members: Mapping[str, int | str | bytes]) -> Attestation:
        return replace(base, extensions=encode(members))

    version = Reason.VERDICT, "apple.attestation/11-version"
    return [
        attestation_case(
            "A18a", "category 0, invalid", replace(base, extensions=extension_map(0)), *category
        ),
        *(
            attestation_case(
                number,
                f"category {value} where 2 and 4 are accepted",
                replace(base, extensions=extension_map(value)),
                *category,
                control="A0e",
                settings=STRICT,
            )
            for number, value in (("A18b", 0), ("A18c", 1), ("A18d", 3))
        ),
        attestation_case(
            "A19a", "a category that is a number", extended({_VERSION: "1", _CATEGORY: 4}), *form
        ),
        attestation_case(
            "A19b",
            "a category of 3 bytes",
            extended({_VERSION: "1", _CATEGORY: b"\4\0\0"}),
            *form,
        ),
        attestation_case(
            "A19c",
            "a category of 5 bytes",
            extended({_VERSION: "1", _CATEGORY: b"\4\0\0\0\0"}),
            *form,
        ),
        attestation_case(
            "A20a",
            "something after the extension map",
            replace(base, extensions=extension_map() + b"\0"),
            Reason.MALFORMED,
            "apple.authdata/4-trailing",
        ),
        attestation_case(
            "A20b",
            "something after the object",
            base.object + b"\0",
            Reason.MALFORMED,
            "cbor/6-trailing",
        ),
        attestation_case(
            "A21a",
            "no extension map where one is required",
            replace(base, extensions=b""),
            *absent,
            control="A0e",
            settings=STRICT,
        ),
        attestation_case(
            "A21b",
            "no category where one is required",
            replace(base, extensions=extension_map(None)),
            *absent,
            control="A0e",
            settings=STRICT,
        ),
        attestation_case(
            "A21c",
            "no bundle version where one is required",
            replace(base, extensions=extension_map(version=None)),
            *absent,
            control="A0e",
            settings=STRICT,
        ),
        *(
            attestation_case(
                number,
                f"version {text} where 1 is the lowest",
                replace(base, extensions=extension_map(version=text)),
                *version,
                control="A0e",
                settings=STRICT,
            )
            for number, text in (("A24a", "0.9"), ("A24b", "2-beta"))
        ),
        attestation_case(
            "A24c",
            "a version that is a string of bytes",
            extended({_VERSION: b"1", _CATEGORY: b"\4\0\0\0"}),
            Reason.MALFORMED,
            "apple.attestation/11-form",
        ),
        attestation_case(
            "A25",
            "the access policy of iOS where that of a Mac is required",
            base,
            Reason.BOOT_STATE,
            "apple.attestation/12-access-policy",
            control="A0h",
            settings={"require_macos_acl": True},
        ),
    ]
