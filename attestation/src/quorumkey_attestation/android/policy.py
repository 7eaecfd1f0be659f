"""What an Android key has to be like to be accepted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.authorization_list import KeyOrigin, KeyPurpose, SecurityLevel

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AndroidKeyPolicy", "is_month"]

_FIRST_YEAR: Final = 2008  # of Android
_LAST_YEAR: Final = 9999
_SHA256_BYTES: Final = 32
_SIGNING_PURPOSES: Final = frozenset({KeyPurpose.SIGN, KeyPurpose.VERIFY})
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "verified_boot": ("verified", "verified_or_allowed", "any"),
        "curve": ("P-256", "any"),
        "user_auth": ("required", "per_use", "any"),
        "provisioning": ("any", "rkp"),
        "extra_packages": ("reject", "allow"),
        "tag_order": ("strict", "report"),
        "non_der_boolean": ("reject", "report"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidKeyPolicy:
    """What a key has to be like; the defaults are those for a key that approves requests.

    Attributes:
        packages: package name → the SHA-256 of every certificate the app is signed with: exactly
            these. None admits any app, and has to be said.
        min_level: the weakest hardware that will do.
        require_locked: the boot loader has to be locked.
        verified_boot: ``"verified"``: a system of the device's maker; ``"verified_or_allowed"``:
            also one that its owner signed, if ``boot_keys`` has the key; ``"any"``: whatever.
        boot_keys: the ``verifiedBootKey`` of other systems that are trusted, as GrapheneOS.
        origins: how the key may have come into the hardware.
        purposes: what the key may be used for: SIGN, without which it is refused. VERIFY, which
            anybody can do with the public key, is always allowed besides.
        curve: ``"P-256"``, or ``"any"`` for every kind of key.
        user_auth: ``"per_use"``: the user authenticates for every signature; ``"required"``: also
            once for some time; ``"any"``: also never.
        min_os_patch: the oldest security patch of the system, YYYYMM.
        created_within: how long ago the key may have been made; None: at any time.
        provisioning: ``"rkp"`` asks for an attestation key from Google's servers, which lives for
            weeks and was checked for the one device.
        extra_packages: whether other packages may share the app's user id.
        tag_order: whether tags out of order are refused or told.
        non_der_boolean: whether a TRUE that is not DER is refused or told.
        anchors: the roots to trust.

    Raises:
        ValueError: a set is empty that must not be, or a value is impossible.
    """

    packages: Mapping[str, frozenset[bytes]] | None
    min_level: SecurityLevel = SecurityLevel.TEE
    require_locked: bool = True
    verified_boot: Literal["verified", "verified_or_allowed", "any"] = "verified"
    boot_keys: frozenset[bytes] = frozenset()
    origins: frozenset[KeyOrigin] = frozenset({KeyOrigin.GENERATED})
    purposes: frozenset[KeyPurpose] = frozenset({KeyPurpose.SIGN})
    curve: Literal["P-256", "any"] = "P-256"
    user_auth: Literal["required", "per_use", "any"] = "per_use"
    min_os_patch: int | None = None
    created_within: timedelta | None = timedelta(minutes=10)
    provisioning: Literal["any", "rkp"] = "any"
    extra_packages: Literal["reject", "allow"] = "reject"
    tag_order: Literal["strict", "report"] = "report"
    non_der_boolean: Literal["reject", "report"] = "reject"
    anchors: TrustAnchors = field(default_factory=TrustAnchors.google_hardware)

    def __post_init__(self) -> None:
        for name, allowed in _CHOICES.items():
            if getattr(self, name) not in allowed:
                msg = f"{name} must be one of {', '.join(allowed)}"
                raise ValueError(msg)
        if self.packages is not None and not (
            self.packages
            and all(digests for digests in self.packages.values())
            and all(len(digest) == _SHA256_BYTES for d in self.packages.values() for digest in d)
        ):
            msg = "packages must name packages, each with SHA-256 digests; None admits any app"
            raise ValueError(msg)
        if KeyPurpose.SIGN not in self.purposes or not self.purposes <= _SIGNING_PURPOSES:
            msg = "purposes must hold SIGN, and may hold VERIFY besides"
            raise ValueError(msg)
        if not self.origins:
            msg = "origins must not be empty"
            raise ValueError(msg)
        if self.min_os_patch is not None and not is_month(self.min_os_patch):
            msg = "min_os_patch must be a month, YYYYMM"
            raise ValueError(msg)
        if self.created_within is not None and self.created_within <= timedelta(0):
            msg = "created_within must be positive"
            raise ValueError(msg)


def is_month(value: int) -> bool:
    """Say whether a number is a month, YYYYMM, in which there was an Android."""
    year, month = divmod(value, 100)
    return _FIRST_YEAR <= year <= _LAST_YEAR and 1 <= month <= 12  # noqa: PLR2004  # a year's
