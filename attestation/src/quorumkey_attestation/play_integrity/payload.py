"""What a Play Integrity token says, as values of fixed types.

Source: https://developer.android.com/google/play/integrity/verdicts and the response of
``playintegrity.googleapis.com`` method ``decodeIntegrityToken``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias, cast

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.strict_json import parse_object

__all__ = [
    "MAX_PAYLOAD_BYTES",
    "AppIntegrity",
    "DeviceIntegrity",
    "Environment",
    "IntegrityPayload",
    "RequestDetails",
    "examine_payload",
]

MAX_PAYLOAD_BYTES: Final = 32_768  # bytes of JSON; real payloads have about 1,000
MAX_LABELS: Final = 64  # members of one list of labels or digests

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_MILLISECONDS: Final = 253_402_300_799_999  # the last of the year 9999
_DIGITS: Final = re.compile(r"[0-9]{1,19}", re.ASCII)
_RECALL_BITS: Final = ("bitFirst", "bitSecond", "bitThird")

_Members: TypeAlias = Mapping[str, object]


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestDetails:
    """``requestDetails``: what the app asked with.

    Attributes:
        package: the app that asked, by its package name.
        nonce: the nonce of a classic request, as the app gave it.
        request_hash: the hash of a standard request, as the app gave it.
        timestamp: when it asked, by Google's clock.
    """

    package: str | None
    nonce: str | None
    request_hash: str | None
    timestamp: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class AppIntegrity:
    """``appIntegrity``, and ``accountDetails``' verdict about the installation.

    Attributes:
        recognition: ``PLAY_RECOGNIZED``, ``UNRECOGNIZED_VERSION`` or ``UNEVALUATED``.
        package: the package name of the app that runs.
        certificate_digests: SHA-256 of its signing certificates, base64url without padding.
        version_code: its version code.
        licensing: ``LICENSED``, ``UNLICENSED`` or ``UNEVALUATED``.
    """

    recognition: str | None = None
    package: str | None = None
    certificate_digests: frozenset[str] = frozenset()
    version_code: int | None = None
    licensing: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceIntegrity:
    """``deviceIntegrity``: what Google holds the device for.

    Attributes:
        labels: every label that the device has: ``MEETS_DEVICE_INTEGRITY`` and so on. Stronger
            ones stand beside weaker ones, not in their place.
        sdk_version: the Android API level, where the app asked for device attributes.
        activity_level: 1 to 4, how many tokens the device fetched of late; None: not evaluated.
        recall_bits: which of the developer's three bits are set for this device; None: not told.
    """

    labels: frozenset[str] = frozenset()
    sdk_version: int | None = None
    activity_level: int | None = None
    recall_bits: frozenset[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """``environmentDetails``: what else is on the device.

    Attributes:
        access_risks: kinds of apps found: ``UNKNOWN_CAPTURING`` and so on; empty: not evaluated.
        play_protect: ``NO_ISSUES``, ``HIGH_RISK`` and so on; None: not told.
    """

    access_risks: frozenset[str] = frozenset()
    play_protect: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntegrityPayload:
    """The content of a token, not judged yet.

    Members that are not known here are passed over: Google adds new ones.

    Attributes:
        request: what the app asked with.
        app: what Google says of the app and its installation.
        device: what Google says of the device.
        environment: what Google says of what else runs there.
        is_test: whether the answer was made up in the Play Console for a tester.
    """

    request: RequestDetails
    app: AppIntegrity
    device: DeviceIntegrity
    environment: Environment
    is_test: bool = False

    @classmethod
    def from_json(cls, payload: bytes | Mapping[str, object]) -> IntegrityPayload:
        """Read a payload that has been decoded, by Google's server for instance.

        Where it comes from is the caller's to know: nothing in it is signed.

        Args:
            payload: the JSON object, as bytes or as Python values; Google's answer may be given
                whole, with the payload as its ``tokenPayloadExternal``.

        Raises:
            AttestationError: ``malformed``.
        """
        return examine_payload(payload, audit=Audit())


def examine_payload(payload: bytes | Mapping[str, object], *, audit: Audit) -> IntegrityPayload:
    """Read a decoded payload, as :meth:`IntegrityPayload.from_json`.

    1. As bytes it has at most ``MAX_PAYLOAD_BYTES``, is UTF-8 and one JSON object, in which no
       member stands twice.
    2. ``requestDetails`` is there, with ``timestampMillis``.
    3. Every member that is there has its type; a whole number may be written as a string.
    4. A list of labels is a list of at most ``MAX_LABELS``, not one label by itself.

    Args:
        payload: the JSON object, as bytes or as Python values.
        audit: the trail of this verification.

    Raises:
        AttestationError: ``malformed``.
    """
    members = (
        _parse(payload, audit)
        if isinstance(payload, bytes)
        else _as_object(payload, "outermost value")
    )
    if "tokenPayloadExternal" in members:
        members = _object(members, "tokenPayloadExternal")
    if "requestDetails" not in members:
        raise _malformed("The payload has no requestDetails.", "play.payload/2-request")
    app = _object(members, "appIntegrity")
    device = _object(members, "deviceIntegrity")
    environment = _object(members, "environmentDetails")
    risk = _object(environment, "appAccessRiskVerdict")
    return IntegrityPayload(
        request=_request(_object(members, "requestDetails")),
        app=AppIntegrity(
            recognition=_text(app, "appRecognitionVerdict"),
            package=_text(app, "packageName"),
            certificate_digests=_labels(app, "certificateSha256Digest", audit),
            version_code=_integer(app, "versionCode"),
            licensing=_text(_object(members, "accountDetails"), "appLicensingVerdict"),
        ),
        device=DeviceIntegrity(
            labels=_labels(device, "deviceRecognitionVerdict", audit),
            sdk_version=_integer(_object(device, "deviceAttributes"), "sdkVersion"),
            activity_level=_activity(_object(device, "recentDeviceActivity")),
            recall_bits=_recall(_object(device, "deviceRecall")),
        ),
        environment=Environment(
            access_risks=_labels(risk, "appsDetected", audit),
            play_protect=_text(environment, "playProtectVerdict"),
        ),
        is_test=_flag(_object(members, "testingDetails"), "isTestingResponse"),
    )


def _malformed(detail: str, check: str) -> AttestationError:
    return AttestationError(Reason.MALFORMED, detail, check=check)


def _wrong_type(name: str) -> AttestationError:
    return _malformed(f"The payload's {name} is of another type.", "play.payload/3-type")


def _parse(payload: bytes, audit: Audit) -> _Members:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise _malformed(
            f"The payload is larger than {MAX_PAYLOAD_BYTES} bytes.", "play.payload/1-size"
        )

    return parse_object(payload, audit, what="payload", step="play.payload/1")


def _as_object(value: object, name: str) -> _Members:
    if not isinstance(value, Mapping):
        raise _wrong_type(name)
    # Whether every name is a string does not matter: only known names are looked up.
    return cast("_Members", value)


def _object(members: _Members, name: str) -> _Members:
    """Return a member that is an object; an absent one is an empty one."""
    return _as_object(members.get(name, {}), name)


def _text(members: _Members, name: str) -> str | None:
    value = members.get(name)
    if name in members and not isinstance(value, str):
        raise _wrong_type(name)
    return value if isinstance(value, str) else None


def _flag(members: _Members, name: str) -> bool:
    value = members.get(name, False)
    if not isinstance(value, bool):
        raise _wrong_type(name)
    return value


def _integer(members: _Members, name: str) -> int | None:
    if name not in members:
        return None
    value = members[name]
    # A 64-bit integer is a string in Google's JSON, and true is an int in Python.
    if isinstance(value, str) and _DIGITS.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong_type(name)
    return value


def _labels(members: _Members, name: str, audit: Audit) -> frozenset[str]:
    value = members.get(name, [])
    # Looked up in a string, a label would be found as a part of it.
    audit.require(
        "play.payload/4-list",
        isinstance(value, list),
        Reason.MALFORMED,
        f"The payload's {name} is not a list.",
    )
    labels = cast("list[object]", value) if isinstance(value, list) else [value]
    if len(labels) > MAX_LABELS:
        raise _malformed(f"The payload's {name} is too long.", "play.payload/4-length")
    texts = [label for label in labels if isinstance(label, str)]
    if len(texts) != len(labels):
        raise _wrong_type(name)
    return frozenset(texts)


def _request(members: _Members) -> RequestDetails:
    milliseconds = _integer(members, "timestampMillis")
    if milliseconds is None or not 0 <= milliseconds <= _MAX_MILLISECONDS:
        raise _malformed("The payload does not say when it was made.", "play.payload/2-timestamp")
    return RequestDetails(
        package=_text(members, "requestPackageName"),
        nonce=_text(members, "nonce"),
        request_hash=_text(members, "requestHash"),
        timestamp=_EPOCH + timedelta(milliseconds=milliseconds),
    )


def _activity(members: _Members) -> int | None:
    level = re.fullmatch(r"LEVEL_([1-4])", _text(members, "deviceActivityLevel") or "")
    return int(level[1]) if level else None


def _recall(members: _Members) -> frozenset[str] | None:
    if "values" not in members:
        return None
    values = _object(members, "values")
    return frozenset(bit for bit in _RECALL_BITS if _flag(values, bit))
