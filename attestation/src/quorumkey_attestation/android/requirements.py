"""What a policy asks of a KeyDescription: steps 9 to 16 of the verification."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.android.authorization_list import VerifiedBootState
from quorumkey_attestation.android.policy import is_month
from quorumkey_attestation.errors import Reason

if TYPE_CHECKING:
    from quorumkey_attestation.android.authorization_list import AuthorizationList, RootOfTrust
    from quorumkey_attestation.android.key_description import KeyDescription
    from quorumkey_attestation.android.policy import AndroidKeyPolicy
    from quorumkey_attestation.audit import Audit

__all__ = [
    "MAX_CLOCK_DIFFERENCE",
    "MAX_PATCH_LEAD_MONTHS",
    "require_application",
    "require_boot_state",
    "require_recent_key",
    "require_recent_patch",
    "require_user_authentication",
]

MAX_CLOCK_DIFFERENCE: Final = timedelta(minutes=5)  # a device's clock may be ahead by
MAX_PATCH_LEAD_MONTHS: Final = 2  # months; genuine Pixels with a preview carry the next but one

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MILLISECOND: Final = 253_402_300_799_999  # of the year 9999


def require_user_authentication(
    hardware: AuthorizationList, policy: AndroidKeyPolicy, audit: Audit
) -> None:
    """Check step 9 of :func:`.verification.verify_android_key`.

    Raises:
        AttestationError: ``user_auth``.
    """
    if policy.user_auth == "any":
        return
    audit.require(
        "android.key/9-no-auth",
        not hardware.no_auth_required,
        Reason.USER_AUTH,
        "The key can be used without the user authenticating.",
    )
    audit.require(
        "android.key/9-auth-type",
        bool(hardware.user_auth_type),
        Reason.USER_AUTH,
        "The hardware names no way in which the user authenticates.",
    )
    audit.require(
        "android.key/9-per-use",
        policy.user_auth == "required" or hardware.auth_timeout is None,
        Reason.USER_AUTH,
        "The key can be used for some time after the user has authenticated.",
    )


def require_boot_state(root: RootOfTrust | None, policy: AndroidKeyPolicy, audit: Audit) -> None:
    """Check steps 10 to 12.

    Raises:
        AttestationError: ``boot_state``.
    """
    if not policy.require_locked and policy.verified_boot == "any":
        return
    audit.require(
        "android.key/10-root-of-trust",
        root is not None,
        Reason.BOOT_STATE,
        "The hardware does not say what the device booted.",
    )
    if root is None:
        return
    audit.require(
        "android.key/11-locked",
        root.device_locked or not policy.require_locked,
        Reason.BOOT_STATE,
        "The device's boot loader is unlocked.",
    )
    audit.require(
        "android.key/12-verified-boot",
        policy.verified_boot == "any"
        or root.verified_boot_state is VerifiedBootState.VERIFIED
        or (
            policy.verified_boot == "verified_or_allowed"
            and root.verified_boot_state is VerifiedBootState.SELF_SIGNED
            and root.verified_boot_key in policy.boot_keys
        ),
        Reason.BOOT_STATE,
        f"The boot state is {root.verified_boot_state.name}, with a key that policy does not name.",
    )


def require_application(
    description: KeyDescription, policy: AndroidKeyPolicy, audit: Audit
) -> None:
    """Check steps 13 and 14.

    Raises:
        AttestationError: ``app_id_mismatch``.
    """
    audit.require(
        "android.key/13-all-applications",
        not (
            description.hardware_enforced.all_applications
            or description.software_enforced.all_applications
        ),
        Reason.APP_ID,
        "The key may be used by every app.",
    )
    if policy.packages is None:
        return
    application = description.software_enforced.attestation_application_id
    audit.require(
        "android.key/14-application",
        application is not None,
        Reason.APP_ID,
        "The attestation does not say which app the key belongs to.",
    )
    if application is None:
        return
    names = {package.name for package in application.packages}
    expected = [policy.packages[name] for name in names & policy.packages.keys()]
    audit.require(
        "android.key/14-package",
        bool(expected),
        Reason.APP_ID,
        "The key belongs to an app that policy does not name.",
    )
    audit.require(
        "android.key/14-extra-package",
        not expected or len(expected) == len(names) or policy.extra_packages == "allow",
        Reason.APP_ID,
        "The app shares its user id with packages that policy does not name.",
    )
    audit.require(
        "android.key/14-signer",
        all(application.signature_digests == digests for digests in expected),
        Reason.APP_ID,
        "The app is signed by somebody else.",
    )


def require_recent_patch(
    hardware: AuthorizationList, policy: AndroidKeyPolicy, now: datetime, audit: Audit
) -> None:
    """Check step 15.

    Raises:
        AttestationError: ``patch_level``.
    """
    audit.require(
        "android.key/15-patch",
        _is_acceptable_patch(hardware.os_patch_level, policy.min_os_patch, now),
        Reason.PATCH,
        f"The system's security patch, {hardware.os_patch_level}, is older than policy's floor,"
        f" {policy.min_os_patch}, or has an impossible date.",
    )


def require_recent_key(
    description: KeyDescription, policy: AndroidKeyPolicy, now: datetime, audit: Audit
) -> None:
    """Check step 16.

    Raises:
        AttestationError: ``timestamp``.
    """
    audit.require(
        "android.key/16-created",
        policy.created_within is None
        or _is_recent(description, now, created_within=policy.created_within),
        Reason.TIMESTAMP,
        "The key was not made just now.",
    )


def _is_acceptable_patch(patch: int | None, floor: int | None, now: datetime) -> bool:
    if patch is None:
        return floor is None
    if not is_month(patch):
        return False
    lead = (patch // 100 - now.year) * 12 + patch % 100 - now.month
    return lead <= MAX_PATCH_LEAD_MONTHS and (floor is None or patch >= floor)


def _is_recent(description: KeyDescription, now: datetime, *, created_within: timedelta) -> bool:
    # The operating system says it, on devices that let it: the secure hardware has no calendar.
    created = description.software_enforced.creation_date_time
    if created is None:
        created = description.hardware_enforced.creation_date_time
    if created is None:
        return False
    age = (now - _EPOCH) - timedelta(milliseconds=min(max(created, 0), _LAST_MILLISECOND))
    return -MAX_CLOCK_DIFFERENCE <= age <= created_within
