"""The policy for an approver's Android key, and the verification that applies it."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.android.key_description import KeyOrigin, KeyPurpose, SecurityLevel
from quorumkey_attestation.audit import Audit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from quorumkey_attestation.android.key_description import (
        ApplicationId,
        KeyDescription,
        RootOfTrust,
    )
    from quorumkey_attestation.android.provisioning import ProvisioningInfo
    from quorumkey_attestation.android.revocation import RevocationList

__all__ = ["AndroidKey", "AndroidKeyPolicy", "examine_android_key", "verify_android_key"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidKeyPolicy:
    """What a key has to be like; the defaults are those for a key that approves requests."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class AndroidKey:
    """A key that is proved to live in an Android device's secure hardware.

    Attributes:
        public_key: the key.
        level: where it lives.
        key_description: everything that the hardware says about it.
        root_of_trust: what booted; None only where policy asks nothing about it.
        application_id: the app it was made for; None only where policy allows any app.
        provisioning: what Google's provisioning server says about the device, if it did.
        quirks: deviations that were tolerated, in words.
        checks: the checks that were passed.
        serials: the serial number of every certificate, lower-case hex, leaf first: look them up
            in every new revocation list.
    """

    public_key: CertificatePublicKeyTypes
    level: SecurityLevel
    key_description: KeyDescription
    root_of_trust: RootOfTrust | None
    application_id: ApplicationId | None
    provisioning: ProvisioningInfo | None
    quirks: tuple[str, ...]
    checks: tuple[str, ...]
    serials: tuple[str, ...]


def verify_android_key(
    chain: Sequence[bytes],
    *,
    challenge: bytes,
    policy: AndroidKeyPolicy,
    revocation: RevocationList | None,
    now: datetime,
    public_key: EllipticCurvePublicKey | bytes | None = None,
) -> AndroidKey:
    """Return what an attestation chain proves about a key; :func:`examine_android_key`."""
    return examine_android_key(
        chain,
        challenge=challenge,
        policy=policy,
        revocation=revocation,
        now=now,
        public_key=public_key,
        audit=Audit(),
    )


def examine_android_key(
    chain: Sequence[bytes],
    *,
    challenge: bytes,
    policy: AndroidKeyPolicy,
    revocation: RevocationList | None,
    now: datetime,
    public_key: EllipticCurvePublicKey | bytes | None = None,
    audit: Audit,
) -> AndroidKey:
    """Return what an attestation chain proves about a key."""
    raise NotImplementedError
