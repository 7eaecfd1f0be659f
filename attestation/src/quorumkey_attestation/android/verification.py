"""The verification of an Android key: its chain is walked, and a policy applied to what it says."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ec

from quorumkey_attestation import der
from quorumkey_attestation.android.chain import examine_android_chain
from quorumkey_attestation.android.key_description import KeyPurpose
from quorumkey_attestation.android.policy import AndroidKeyPolicy
from quorumkey_attestation.android.requirements import (
    require_application,
    require_boot_state,
    require_recent_key,
    require_recent_patch,
    require_user_authentication,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from quorumkey_attestation.android.chain import AndroidChain
    from quorumkey_attestation.android.key_description import (
        ApplicationId,
        KeyDescription,
        RootOfTrust,
        SecurityLevel,
    )
    from quorumkey_attestation.android.provisioning import ProvisioningInfo
    from quorumkey_attestation.android.revocation import RevocationList

__all__ = [
    "AndroidKey",
    "AndroidKeyPolicy",
    "examine_android_key",
    "is_same_key",
    "judge_android_key",
    "verify_android_key",
]


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


def verify_android_key(  # noqa: PLR0913  # what is judged, and everything it is judged by
    chain: Sequence[bytes],
    *,
    challenge: bytes,
    policy: AndroidKeyPolicy,
    revocation: RevocationList | None,
    now: datetime,
    public_key: EllipticCurvePublicKey | bytes | None = None,
) -> AndroidKey:
    """Return what an attestation chain proves about a key that policy accepts.

    The chain is walked first (:func:`.chain.examine_android_chain`). Then, with origin, purpose,
    user authentication and root of trust read from the list that the hardware enforces and from
    nowhere else:

    1. The attestation is for ``challenge``, whole and compared in constant time.
    2. The attested key is ``public_key``, where that is given.
    3. It is an EC key on P-256, unless policy takes any.
    4. Both the attestation and the key are of the policy's level or a stronger one.
    5. Tags out of order, and a TRUE that is not 0xFF, are refused where policy says so.
    6. The attestation key comes from Google's servers, where policy asks for that, and they do not
       say that the device was lost.
    7. The key's origin is one that policy names.
    8. Its purposes include SIGN, and no other than policy's.
    9. The user authenticates: not never (``noAuthRequired``), in a way that is named
       (``userAuthType``), and for every use (no ``authTimeout``), as policy asks.
    10. The root of trust is there.
    11. The boot loader is locked.
    12. The system was verified, or is signed with a key that policy names.
    13. The key is not open to all apps, in either list.
    14. It belongs to a package that policy names, with no other in the same user id, signed with
        exactly the certificates that policy names. The operating system says this, so that it
        means something only after steps 10 to 12.
    15. The system's security patch is not older than policy's floor, and its date is a month that
        is not further ahead than ``requirements.MAX_PATCH_LEAD_MONTHS``.
    16. The key was made within the time that policy gives, by the device's clock, which may be
        ahead by ``requirements.MAX_CLOCK_DIFFERENCE``.

    Left to the caller: that the challenge was issued by it, is fresh and is used once; to look
    ``serials`` up in every new revocation list.

    Source: https://developer.android.com/privacy-and-security/security-key-attestation.

    Args:
        chain: the DER of each certificate, leaf first, with or without the root.
        challenge: what was given to ``setAttestationChallenge``.
        policy: what the key has to be like.
        revocation: Google's list (:class:`.revocation.RevocationList`); None refuses every key.
        now: the moment of judgement, with a time zone.
        public_key: the key that is being registered: itself, its SubjectPublicKeyInfo in DER, or
            its point as SEC 1 has it.

    Raises:
        AttestationError: the evidence is refused.
        ValueError: ``challenge`` is empty, or ``now`` has no time zone.
    """
    return examine_android_key(
        chain,
        challenge=challenge,
        policy=policy,
        revocation=revocation,
        now=now,
        public_key=public_key,
        audit=Audit(),
    )


def examine_android_key(  # noqa: PLR0913  # what is judged, and everything it is judged by
    chain: Sequence[bytes],
    *,
    challenge: bytes,
    policy: AndroidKeyPolicy,
    revocation: RevocationList | None,
    now: datetime,
    public_key: EllipticCurvePublicKey | bytes | None = None,
    audit: Audit,
) -> AndroidKey:
    """Return what an attestation chain proves about a key; see :func:`verify_android_key`."""
    _require_challenge(challenge)
    walked = examine_android_chain(
        chain, anchors=policy.anchors, revocation=revocation, now=now, audit=audit
    )
    return judge_android_key(
        walked, challenge=challenge, policy=policy, now=now, public_key=public_key, audit=audit
    )


def judge_android_key(  # noqa: PLR0913  # what is judged, and everything it is judged by
    walked: AndroidChain,
    *,
    challenge: bytes,
    policy: AndroidKeyPolicy,
    now: datetime,
    public_key: EllipticCurvePublicKey | bytes | None = None,
    audit: Audit,
) -> AndroidKey:
    """Apply ``policy`` to a chain that was walked; see :func:`verify_android_key`."""
    description = walked.key_description
    hardware = description.hardware_enforced
    audit.require(
        "android.key/1-challenge",
        hmac.compare_digest(description.attestation_challenge, challenge),
        Reason.CHALLENGE,
        "The key was attested for another challenge.",
    )
    audit.require(
        "android.key/2-public-key",
        public_key is None or is_same_key(walked, public_key),
        Reason.KEY_MISMATCH,
        "The attested key is not the one that is being registered.",
        index=0,
    )
    audit.require(
        "android.key/3-curve",
        policy.curve == "any" or _is_p256(walked.public_key),
        Reason.ALGORITHM,
        "The attested key is not an EC key on P-256.",
        index=0,
    )
    audit.require(
        "android.key/4-level",
        description.security_level >= policy.min_level,
        Reason.LEVEL,
        f"The key or its attestation is of level {description.security_level.name}; policy asks"
        f" for {policy.min_level.name}.",
    )
    _require_encoding(description, policy, audit)
    _require_provisioning(walked, policy, audit)
    audit.require(
        "android.key/7-origin",
        hardware.origin in policy.origins,
        Reason.ORIGIN,
        "The hardware does not say that it generated the key.",
    )
    purposes = set(hardware.purpose or ())
    audit.require(
        "android.key/8-purpose",
        KeyPurpose.SIGN in purposes and purposes <= policy.purposes | {KeyPurpose.VERIFY},
        Reason.PURPOSE,
        "The hardware does not restrict the key to signing.",
    )
    require_user_authentication(hardware, policy, audit)
    require_boot_state(hardware.root_of_trust, policy, audit)
    require_application(description, policy, audit)
    require_recent_patch(hardware, policy, now, audit)
    require_recent_key(description, policy, now, audit)
    return AndroidKey(
        public_key=walked.public_key,
        level=description.security_level,
        key_description=description,
        root_of_trust=hardware.root_of_trust,
        application_id=description.software_enforced.attestation_application_id,
        provisioning=walked.provisioning,
        quirks=walked.quirks,
        checks=audit.checks,
        serials=walked.serials,
    )


def is_same_key(walked: AndroidChain, public_key: EllipticCurvePublicKey | bytes) -> bool:
    """Say whether a chain attests ``public_key``.

    Args:
        walked: the chain.
        public_key: the key, its SubjectPublicKeyInfo in DER, or its point as SEC 1 has it,
            compressed or not. Bytes that are neither are no key's, and so not this one's.
    """
    if isinstance(public_key, bytes):
        if public_key[:1] == bytes([der.SEQUENCE]):
            return hmac.compare_digest(walked.public_key_info, public_key)
        if not isinstance(walked.public_key, ec.EllipticCurvePublicKey):
            return False
        try:
            public_key = ec.EllipticCurvePublicKey.from_encoded_point(
                walked.public_key.curve, public_key
            )
        except ValueError:
            return False
    return walked.public_key == public_key


def _require_challenge(challenge: bytes) -> None:
    if not challenge:
        msg = "challenge must not be empty: it is what makes the evidence fresh"
        raise ValueError(msg)


def _require_encoding(description: KeyDescription, policy: AndroidKeyPolicy, audit: Audit) -> None:
    audit.require(
        "android.key/5-tag-order",
        policy.tag_order == "report" or description.tags_in_order,
        Reason.MALFORMED,
        "The tags of an authorization list are not in ascending order.",
    )
    audit.require(
        "android.key/5-boolean",
        policy.non_der_boolean == "report" or description.der_booleans,
        Reason.MALFORMED,
        "deviceLocked is TRUE in an encoding that is not DER.",
    )


def _require_provisioning(walked: AndroidChain, policy: AndroidKeyPolicy, audit: Audit) -> None:
    audit.require(
        "android.key/6-method",
        policy.provisioning == "any" or walked.method == "rkp",
        Reason.VERDICT,
        "The attestation key was not provisioned by Google's servers.",
        index=1,
    )
    audit.require(
        "android.key/6-lost",
        walked.provisioning is None or not walked.provisioning.lost_device,
        Reason.VERDICT,
        "The device was reported lost.",
        index=1,
    )


def _is_p256(key: CertificatePublicKeyTypes) -> bool:
    return isinstance(key, ec.EllipticCurvePublicKey) and isinstance(key.curve, ec.SECP256R1)
