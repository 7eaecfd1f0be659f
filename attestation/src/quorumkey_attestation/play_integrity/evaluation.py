"""The judgement of a decoded Play Integrity payload."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import Reason
from quorumkey_attestation.moment import require_aware
from quorumkey_attestation.play_integrity.policy import MAX_CLOCK_SKEW

if TYPE_CHECKING:
    from datetime import datetime

    from quorumkey_attestation.play_integrity.payload import (
        AppIntegrity,
        DeviceIntegrity,
        Environment,
        IntegrityPayload,
        RequestDetails,
    )
    from quorumkey_attestation.play_integrity.policy import IntegrityPolicy

__all__ = ["IntegrityVerdict", "evaluate_integrity", "examine_integrity"]

MIN_NONCE_CHARACTERS: Final = 16
MAX_NONCE_CHARACTERS: Final = 500
MAX_REQUEST_HASH_BYTES: Final = 500

_RISKS: Final = ("CAPTURING", "CONTROLLING", "OVERLAYS")
_UNKNOWN_RISKS: Final = frozenset(f"UNKNOWN_{risk}" for risk in _RISKS)
_KNOWN_RISKS: Final = frozenset(f"KNOWN_{risk}" for risk in _RISKS)
_REFUSED_RISKS: Final = (
    ("known_only", _UNKNOWN_RISKS),
    ("none", _UNKNOWN_RISKS | _KNOWN_RISKS),
)
_STRONG: Final = "MEETS_STRONG_INTEGRITY"
_PATCH_IMPLIED_FROM: Final = 33  # Android API level: 13


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityVerdict:
    """What an accepted payload says.

    Attributes:
        package: the app.
        version_code: its version code, where told.
        labels: every device label.
        sdk_version: the Android API level, where told.
        licensing: the licensing verdict, where told.
        access_risks: kinds of other apps found; empty where that was not evaluated.
        play_protect: Play Protect's verdict, where told.
        activity_level: 1 to 4, where told.
        recall_bits: the developer's recall bits that are set; None where not told.
        requested_at: when the app asked.
        nonce: the nonce it was judged by, to be spent (:func:`claim_nonce`); None for a hash.
        request_hash: the request hash it was judged by; None for a nonce.
        checks: the checks it passed, in order.
    """

    package: str
    version_code: int | None
    labels: frozenset[str]
    sdk_version: int | None
    licensing: str | None
    access_risks: frozenset[str]
    play_protect: str | None
    activity_level: int | None
    recall_bits: frozenset[str] | None
    requested_at: datetime
    nonce: str | None
    request_hash: str | None
    checks: tuple[str, ...]

    @property
    def recently_patched(self) -> bool:
        """Whether the verdict implies a security update within the last year.

        ``MEETS_STRONG_INTEGRITY`` does from Android 13 (API level 33) on, and not before.
        """
        return _STRONG in self.labels and (self.sdk_version or 0) >= _PATCH_IMPLIED_FROM


def evaluate_integrity(
    payload: IntegrityPayload,
    *,
    nonce: str | None,
    policy: IntegrityPolicy,
    now: datetime,
    request_hash: str | None = None,
) -> IntegrityVerdict:
    """Judge a payload whose origin is established: decoded by Google, or by our own decoder.

    A locally decoded token can be shown again and again: spend its nonce with
    :func:`~quorumkey_attestation.play_integrity.claim_nonce` when this has returned.

    1. It is not the made-up answer of a test.
    2. The app that asked is the policy's.
    3. The nonce, or the request hash, is exactly the one issued: other padding is another nonce.
    4. It is not older than ``max_age``, and not from the future by more than ``MAX_CLOCK_SKEW``.
    5. Google Play recognised the app.
    6. The app that runs is the policy's.
    7. One of its signing certificates is the policy's: base64url without padding, whole.
    8. Its version code is not below the floor.
    9. The device has the label, as a member of the list of all its labels.
    10. Its API level is not below the floor.
    11. The account is licensed.
    12. No other app can capture, overlay or control more than the policy allows.
    13. Play Protect's verdict is one of the policy's.
    14. The device fetched no more tokens of late than the policy allows.
    15. No recall bit is set.

    Steps 8 and 10 to 15 are made where the policy asks for them. What was not evaluated, and what
    is not told, passes none of them.

    Args:
        payload: what the token says.
        nonce: the nonce issued for a classic request; None for a standard one.
        policy: what is accepted.
        now: the moment of judgement, aware.
        request_hash: the request hash expected of a standard request.

    Raises:
        AttestationError: it is refused.
        ValueError: not exactly one of ``nonce`` and ``request_hash`` is given, one could not have
            been issued (a nonce has 16 to 500 characters, a hash at most 500 bytes), or ``now`` is
            naive.
    """
    return examine_integrity(
        payload, nonce=nonce, policy=policy, now=now, request_hash=request_hash, audit=Audit()
    )


def examine_integrity(  # noqa: PLR0913  # as evaluate_integrity, and the trail
    payload: IntegrityPayload,
    *,
    nonce: str | None,
    policy: IntegrityPolicy,
    now: datetime,
    audit: Audit,
    request_hash: str | None = None,
) -> IntegrityVerdict:
    """Judge a payload as :func:`evaluate_integrity` does, on a given trail."""
    _require_arguments(nonce, request_hash, now)
    audit.require(
        "play.evaluate/1-testing",
        not payload.is_test,
        Reason.ENVIRONMENT,
        "The verdict is a test response set up in the Play Console.",
    )
    _judge_request(payload.request, policy, audit, nonce=nonce, request_hash=request_hash, now=now)
    _judge_app(payload.app, policy, audit)
    _judge_device(payload.device, policy, audit)
    audit.require(
        "play.evaluate/11-licensing",
        not policy.require_licensed or payload.app.licensing == "LICENSED",
        Reason.VERDICT,
        "Google Play does not say that this account has the app from it.",
    )
    _judge_environment(payload.environment, policy, audit)
    _judge_history(payload.device, policy, audit)
    return IntegrityVerdict(
        package=policy.package,
        version_code=payload.app.version_code,
        labels=payload.device.labels,
        sdk_version=payload.device.sdk_version,
        licensing=payload.app.licensing,
        access_risks=payload.environment.access_risks,
        play_protect=payload.environment.play_protect,
        activity_level=payload.device.activity_level,
        recall_bits=payload.device.recall_bits,
        requested_at=payload.request.timestamp,
        nonce=nonce,
        request_hash=request_hash,
        checks=audit.checks,
    )


def _require_arguments(nonce: str | None, request_hash: str | None, now: datetime) -> None:
    if (nonce is None) == (request_hash is None):
        raise ValueError("give either the nonce or the request hash")
    if nonce is not None and not MIN_NONCE_CHARACTERS <= len(nonce) <= MAX_NONCE_CHARACTERS:
        raise ValueError(f"a nonce has {MIN_NONCE_CHARACTERS} to {MAX_NONCE_CHARACTERS} characters")
    if request_hash is not None and not 1 <= len(request_hash.encode()) <= MAX_REQUEST_HASH_BYTES:
        raise ValueError(f"a request hash has 1 to {MAX_REQUEST_HASH_BYTES} bytes")
    require_aware(now)


def _judge_request(  # noqa: PLR0913  # what was asked, what was expected, and when
    request: RequestDetails,
    policy: IntegrityPolicy,
    audit: Audit,
    *,
    nonce: str | None,
    request_hash: str | None,
    now: datetime,
) -> None:
    audit.require(
        "play.evaluate/2-package",
        request.package == policy.package,
        Reason.APP_ID,
        "Another app asked for the verdict.",
    )
    if nonce is not None:
        audit.require(
            "play.evaluate/3-nonce",
            request.nonce == nonce,
            Reason.NONCE,
            "The verdict was asked for with another nonce.",
        )
    else:
        audit.require(
            "play.evaluate/3-request-hash",
            request.request_hash == request_hash,
            Reason.NONCE,
            "The verdict was asked for with another request hash.",
        )
    age = now - request.timestamp
    audit.require(
        "play.evaluate/4-age",
        age <= policy.max_age,
        Reason.TIMESTAMP,
        f"The verdict is older than {policy.max_age.total_seconds():.0f} seconds.",
    )
    audit.require(
        "play.evaluate/4-future",
        age >= -MAX_CLOCK_SKEW,
        Reason.TIMESTAMP,
        "The verdict comes from the future.",
    )


def _judge_app(app: AppIntegrity, policy: IntegrityPolicy, audit: Audit) -> None:
    audit.require(
        "play.evaluate/5-recognition",
        not policy.require_play_recognized or app.recognition == "PLAY_RECOGNIZED",
        Reason.VERDICT,
        "Google Play does not recognise the app.",
    )
    audit.require(
        "play.evaluate/6-package",
        app.package == policy.package,
        Reason.APP_ID,
        "The verdict is about another app.",
    )
    accepted = {
        urlsafe_b64encode(digest).rstrip(b"=").decode() for digest in policy.certificate_digests
    }
    audit.require(
        "play.evaluate/7-certificate",
        not accepted.isdisjoint(app.certificate_digests),
        Reason.APP_ID,
        "The app is not signed with an expected certificate.",
    )
    audit.require(
        "play.evaluate/8-version",
        policy.min_version_code is None
        or (app.version_code is not None and app.version_code >= policy.min_version_code),
        Reason.VERDICT,
        "The app's version is below the lowest accepted one.",
    )


def _judge_device(device: DeviceIntegrity, policy: IntegrityPolicy, audit: Audit) -> None:
    audit.require(
        "play.evaluate/9-device",
        policy.device in device.labels,
        Reason.VERDICT,
        f"The device does not have the label {policy.device}.",
    )
    audit.require(
        "play.evaluate/10-sdk",
        policy.min_sdk_version is None
        or (device.sdk_version is not None and device.sdk_version >= policy.min_sdk_version),
        Reason.VERDICT,
        "The device's Android version is below the lowest accepted one, or not told.",
    )


def _judge_environment(environment: Environment, policy: IntegrityPolicy, audit: Audit) -> None:
    risks = environment.access_risks
    audit.require(
        "play.evaluate/12-access-evaluated",
        policy.access_risk == "any" or bool(risks),
        Reason.VERDICT,
        "Google did not evaluate the access of other apps.",
    )
    for allowed, refused in _REFUSED_RISKS:
        audit.require(
            "play.evaluate/12-access",
            policy.access_risk != allowed or risks.isdisjoint(refused),
            Reason.VERDICT,
            "Another app can capture or overlay the screen, or control the device.",
        )
    audit.require(
        "play.evaluate/13-play-protect",
        policy.play_protect is None or environment.play_protect in policy.play_protect,
        Reason.VERDICT,
        "Play Protect's verdict is not an accepted one.",
    )


def _judge_history(device: DeviceIntegrity, policy: IntegrityPolicy, audit: Audit) -> None:
    level = device.activity_level
    audit.require(
        "play.evaluate/14-activity",
        policy.max_activity_level is None
        or (level is not None and level <= policy.max_activity_level),
        Reason.VERDICT,
        "The device fetched too many verdicts of late, or how many is not told.",
    )
    audit.require(
        "play.evaluate/15-recall",
        policy.device_recall == "any" or device.recall_bits == frozenset(),
        Reason.VERDICT,
        "The device carries a recall mark, or whether it does is not told.",
    )
