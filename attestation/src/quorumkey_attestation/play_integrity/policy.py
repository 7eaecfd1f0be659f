"""What a server asks of a Play Integrity verdict."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, get_args

__all__ = ["MAX_CLOCK_SKEW", "DeviceLabel", "IntegrityPolicy"]

MAX_CLOCK_SKEW: Final = timedelta(seconds=60)  # how far Google's clock may be ahead of ours

_DIGEST_BYTES: Final = 32  # SHA-256

DeviceLabel = Literal[
    "MEETS_BASIC_INTEGRITY",
    "MEETS_DEVICE_INTEGRITY",
    "MEETS_STRONG_INTEGRITY",
    "MEETS_VIRTUAL_INTEGRITY",
]
"""A label of ``deviceRecognitionVerdict``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityPolicy:
    """What is accepted; what is neither evaluated nor told is refused wherever it is asked for.

    Attributes:
        package: the app's package name.
        certificate_digests: SHA-256 of the certificates that the app may be signed with, 32 bytes
            each. With Play App Signing that is Google's certificate, not the upload key's.
        max_age: how old the verdict may be.
        require_play_recognized: the app has to be one that Google Play distributed. Without this,
            package and certificate are still compared.
        min_version_code: the lowest version code that is accepted.
        device: the label that the device must have. ``MEETS_STRONG_INTEGRITY`` rests on hardware.
        min_sdk_version: the lowest Android API level. Only from 33 on does
            ``MEETS_STRONG_INTEGRITY`` mean a security update within the last year. The app has to
            be set up in the Play Console to be told device attributes.
        require_licensed: the app has to have come to this account through Google Play.
        access_risk: which other apps may capture the screen, lie over it or control the device:
            ``any``, ``known_only`` (those from Google Play or the system) or ``none``.
        play_protect: which ``playProtectVerdict`` is accepted; None does not look at it.
        max_activity_level: the highest level, 1 to 4, of recent device activity; None does not
            look at it.
        device_recall: ``clear`` refuses devices on which the developer has set any recall bit.

    Raises:
        ValueError: the policy could never accept anything, or is not one.
    """

    package: str
    certificate_digests: frozenset[bytes]
    max_age: timedelta = timedelta(minutes=5)
    require_play_recognized: bool = True
    min_version_code: int | None = None
    device: DeviceLabel = "MEETS_DEVICE_INTEGRITY"
    min_sdk_version: int | None = None
    require_licensed: bool = True
    access_risk: Literal["any", "known_only", "none"] = "any"
    play_protect: frozenset[str] | None = None
    max_activity_level: int | None = None
    device_recall: Literal["any", "clear"] = "any"

    def __post_init__(self) -> None:
        if not self.package:
            raise ValueError("package is empty")
        if not self.certificate_digests:
            raise ValueError("certificate_digests is empty")
        if any(len(digest) != _DIGEST_BYTES for digest in self.certificate_digests):
            raise ValueError(f"a certificate digest has {_DIGEST_BYTES} bytes")
        if self.max_age <= timedelta(0):
            raise ValueError("max_age must be positive")
        if self.play_protect is not None and not self.play_protect:
            raise ValueError("play_protect accepts nothing")
        if self.device not in get_args(DeviceLabel):
            raise ValueError("device is no label of deviceRecognitionVerdict")
        if self.access_risk not in ("any", "known_only", "none"):
            raise ValueError("access_risk is any, known_only or none")
        if self.device_recall not in ("any", "clear"):
            raise ValueError("device_recall is either any or clear")
