"""Play Integrity's numbered cases, P1 and following."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_der_public_key

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.expectations import expect_play
from quorumkey_attestation.play_integrity import (
    claim_nonce,
    examine_integrity,
    examine_payload,
    examine_token,
)
from quorumkey_attestation.policy_file import integrity_policy
from quorumkey_attestation.testing import pki, play
from quorumkey_attestation.testing.play_case import (
    control_token,
    payload_case,
    settings_of,
    token_case,
)
from quorumkey_attestation.testing.play_token_cases import token_cases

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from quorumkey_attestation.audit import Audit
    from quorumkey_attestation.play_integrity import IntegrityVerdict
    from quorumkey_attestation.testing.case import Case
    from quorumkey_attestation.testing.play import Json

__all__ = ["cases", "judge"]

_DEVICE: Final = "MEETS_DEVICE_INTEGRITY"
_BASIC: Final = "MEETS_BASIC_INTEGRITY"
_STRONG: Final = "MEETS_STRONG_INTEGRITY"
_OTHER_PACKAGE: Final = f"{play.PACKAGE}.other"
_TEN_MINUTES_MS: Final = 600_000

#: Every check that a policy may ask for, asked for.
_STRICT: Final[Mapping[str, object]] = {
    "min_version_code": 42,
    "min_sdk_version": 33,
    "access_risk": "known_only",
    "play_protect": ["NO_ISSUES"],
    "max_activity_level": 2,
    "device_recall": "clear",
}


def cases() -> tuple[Case, ...]:
    """Return the controls, then every case in the order of its number."""
    numbered = (*token_cases(), *_request_cases(), *_verdict_cases(), *_further_cases())
    return (*_controls(), *sorted(numbered, key=_number))


def _number(case: Case) -> tuple[int, str]:
    digits = case.id[1:].rstrip("abcdefgh")
    return int(digits), case.id


def judge(case: Case, audit: Audit) -> IntegrityVerdict:
    """Return the verdict on a case's token or payload, its nonce spent.

    Raises:
        AttestationError: it is refused.
    """
    policy = integrity_policy(case.settings)
    expected = expect_play(case.settings["expect"], "expect")
    if "token.txt" in case.evidence:
        payload = examine_token(
            case.evidence["token.txt"].decode(),
            decryption_key=expected.decryption_key or b"",
            verification_key=_public_key(expected.verification_key or b""),
            audit=audit,
        )
    else:
        payload = examine_payload(case.evidence["payload.json"], audit=audit)
    verdict = examine_integrity(
        payload,
        nonce=expected.nonce,
        request_hash=expected.request_hash,
        policy=policy,
        now=case.at,
        audit=audit,
    )
    if verdict.nonce is not None:
        claim_nonce(_Ledger(expected.used_nonces), verdict.nonce, audit=audit)
    return verdict


def _public_key(spki: bytes) -> ec.EllipticCurvePublicKey:
    key = load_der_public_key(spki)
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise TypeError("verification_key")
    return key


class _Ledger:
    """A ledger that knows every nonce as issued, and some as used."""

    def __init__(self, used: frozenset[str]) -> None:
        self._used = set(used)

    def spend(self, nonce: str) -> bool:
        """See :meth:`NonceLedger.spend`."""
        is_unused = nonce not in self._used
        self._used.add(nonce)
        return is_unused


def _without(*path: str) -> dict[str, Json]:
    """Return the control's payload without one member."""
    changed = play.payload()
    part = changed
    for name in path[:-1]:
        inner = part[name]
        part = inner if isinstance(inner, dict) else {}
    del part[path[-1]]
    return changed


def _controls() -> tuple[Case, ...]:
    hash_settings = settings_of(expect={"request_hash": play.REQUEST_HASH})
    return (
        token_case("P0a", "a classic token, opened with our own keys", control_token().encrypt()),
        payload_case("P0b", "a classic payload, decoded by Google", {}, control=None),
        payload_case(
            "P0c",
            "a standard payload, decoded by Google",
            {},
            control=None,
            settings=hash_settings,
            payload=play.payload({"requestHash": play.REQUEST_HASH}),
        ),
        payload_case(
            "P0d",
            "a policy that asks for everything",
            {},
            control=None,
            settings=settings_of(_STRICT),
        ),
        payload_case(
            "P0e",
            "a policy under which no app may overlay",
            {},
            control=None,
            settings=settings_of({**_STRICT, "access_risk": "none"}),
        ),
    )


def _request_cases() -> tuple[Case, ...]:
    nonce, app_id = "play.evaluate/3-nonce", Reason.APP_ID
    return (
        payload_case(
            "P6a",
            "another app asked",
            {"requestDetails": {"requestPackageName": _OTHER_PACKAGE}},
            app_id,
            "play.evaluate/2-package",
        ),
        payload_case(
            "P6b",
            "the verdict is about another app",
            {"appIntegrity": {"packageName": _OTHER_PACKAGE}},
            app_id,
            "play.evaluate/6-package",
        ),
        payload_case(
            "P6c",
            "which app asked is not told",
            {},
            app_id,
            "play.evaluate/2-package",
            payload=_without("requestDetails", "requestPackageName"),
        ),
        token_case(
            "P7a",
            "a nonce that was used before",
            control_token().encrypt(),
            Reason.NONCE,
            "play.nonce/1-unused",
            expect={"used_nonces": [play.NONCE]},
        ),
        payload_case(
            "P7b",
            "another nonce",
            {"requestDetails": {"nonce": play.base64url(play.derive("another nonce"))}},
            Reason.NONCE,
            nonce,
        ),
        payload_case(
            "P7c",
            "the nonce without its padding",
            {"requestDetails": {"nonce": play.NONCE.rstrip("=")}},
            Reason.NONCE,
            nonce,
        ),
        payload_case(
            "P7d",
            "another request hash",
            {},
            Reason.NONCE,
            "play.evaluate/3-request-hash",
            control="P0c",
            settings=settings_of(expect={"request_hash": play.REQUEST_HASH}),
            payload=play.payload({"requestHash": play.base64url(play.derive("another hash"))}),
        ),
        payload_case(
            "P8a",
            "ten minutes old",
            {"requestDetails": {"timestampMillis": _shifted(-_TEN_MINUTES_MS)}},
            Reason.TIMESTAMP,
            "play.evaluate/4-age",
        ),
        payload_case(
            "P8b",
            "ten minutes from the future",
            {"requestDetails": {"timestampMillis": _shifted(_TEN_MINUTES_MS)}},
            Reason.TIMESTAMP,
            "play.evaluate/4-future",
        ),
    )


def _shifted(milliseconds: int, moment: datetime = pki.NOW) -> str:
    return str(int(play.milliseconds(moment)) + milliseconds)


def _verdict_cases() -> tuple[Case, ...]:
    verdict = Reason.VERDICT
    recognition, device = "play.evaluate/5-recognition", "play.evaluate/9-device"
    licensing, certificate = "play.evaluate/11-licensing", "play.evaluate/7-certificate"
    digest = play.base64url(play.CERTIFICATE_DIGEST)

    def with_recognition(value: str) -> dict[str, dict[str, Json]]:
        return {"appIntegrity": {"appRecognitionVerdict": value}}

    def with_labels(labels: Json) -> dict[str, dict[str, Json]]:
        return {"deviceIntegrity": {"deviceRecognitionVerdict": labels}}

    def with_digest(value: str) -> dict[str, dict[str, Json]]:
        return {"appIntegrity": {"certificateSha256Digest": [value]}}

    return (
        payload_case(
            "P9a", "app not evaluated", with_recognition("UNEVALUATED"), verdict, recognition
        ),
        payload_case("P9b", "no device label", with_labels([]), verdict, device),
        payload_case(
            "P9c",
            "device labels not told",
            {},
            verdict,
            device,
            payload=_without("deviceIntegrity", "deviceRecognitionVerdict"),
        ),
        payload_case(
            "P9d",
            "licence not evaluated",
            {"accountDetails": {"appLicensingVerdict": "UNEVALUATED"}},
            verdict,
            licensing,
        ),
        payload_case(
            "P9e", "licence not told", {}, verdict, licensing, payload=_without("accountDetails")
        ),
        payload_case(
            "P10",
            "unrecognised version",
            with_recognition("UNRECOGNIZED_VERSION"),
            verdict,
            recognition,
        ),
        payload_case("P11", "only basic integrity", with_labels([_BASIC]), verdict, device),
        payload_case("P12", "all three labels pass", with_labels([_BASIC, _DEVICE, _STRONG])),
        payload_case(
            "P13",
            "a test response",
            {"testingDetails": {"isTestingResponse": True}},
            Reason.ENVIRONMENT,
            "play.evaluate/1-testing",
        ),
        payload_case(
            "P14a",
            "the certificate's digest inside a longer text",
            with_digest(f"A{digest}A"),
            Reason.APP_ID,
            certificate,
        ),
        payload_case(
            "P14b",
            "the certificate's digest in hex",
            with_digest(play.CERTIFICATE_DIGEST.hex()),
            Reason.APP_ID,
            certificate,
        ),
        payload_case(
            "P14c",
            "the beginning of the certificate's digest",
            with_digest(digest[:20]),
            Reason.APP_ID,
            certificate,
        ),
        payload_case(
            "P16",
            "one label where a list is expected",
            with_labels(_DEVICE),
            Reason.MALFORMED,
            "play.payload/4-list",
        ),
        _risk_case("P17a", "an unknown app controls the device", ["UNKNOWN_CONTROLLING"]),
        _risk_case("P17b", "a known app overlays, none may", ["KNOWN_OVERLAYS"], allowed="none"),
        _risk_case("P17c", "access not evaluated", [], check="play.evaluate/12-access-evaluated"),
    )


def _risk_case(
    number: str,
    title: str,
    risks: list[Json],
    *,
    allowed: str = "known_only",
    check: str = "play.evaluate/12-access",
) -> Case:
    return payload_case(
        number,
        title,
        {"environmentDetails": {"appAccessRiskVerdict": {"appsDetected": risks}}},
        Reason.VERDICT,
        check,
        control="P0d" if allowed == "known_only" else "P0e",
        settings=settings_of({**_STRICT, "access_risk": allowed}),
    )


def _further_cases() -> tuple[Case, ...]:
    def strict(
        number: str, title: str, changes: Mapping[str, Mapping[str, Json]], step: str
    ) -> Case:
        return payload_case(
            number,
            title,
            changes,
            Reason.VERDICT,
            f"play.evaluate/{step}",
            control="P0d",
            settings=settings_of(_STRICT),
        )

    return (
        strict("P23", "version too low", {"appIntegrity": {"versionCode": "41"}}, "8-version"),
        strict(
            "P24",
            "Android too old",
            {"deviceIntegrity": {"deviceAttributes": {"sdkVersion": 32}}},
            "10-sdk",
        ),
        strict(
            "P25",
            "Play Protect found something",
            {"environmentDetails": {"playProtectVerdict": "HIGH_RISK"}},
            "13-play-protect",
        ),
        strict(
            "P26",
            "too many tokens of late",
            {"deviceIntegrity": {"recentDeviceActivity": {"deviceActivityLevel": "LEVEL_3"}}},
            "14-activity",
        ),
        strict(
            "P27",
            "a recall bit is set",
            {"deviceIntegrity": {"deviceRecall": {"values": {"bitSecond": True}}}},
            "15-recall",
        ),
        *_unreadable_payloads(),
    )


def _unreadable_payloads() -> tuple[Case, ...]:
    whole = play.payload()
    request: dict[str, Json] = {"requestPackageName": play.PACKAGE, "nonce": play.NONCE}
    without_request = {name: each for name, each in whole.items() if name != "requestDetails"}
    labels: list[Json] = [_DEVICE, *(f"MEETS_{number}" for number in range(64))]
    payloads: tuple[tuple[str, str, Mapping[str, Json], str], ...] = (
        ("P31a", "no request", without_request, "2-request"),
        ("P31b", "no moment", {**whole, "requestDetails": request}, "2-timestamp"),
        ("P32", "an account that is a list", {**whole, "accountDetails": []}, "3-type"),
        (
            "P33",
            "too many labels",
            {**whole, "deviceIntegrity": {"deviceRecognitionVerdict": labels}},
            "4-length",
        ),
    )
    return tuple(
        replace(
            payload_case(
                number, title, {}, Reason.MALFORMED, f"play.payload/{step}", payload=payload
            ),
            has_reading=False,
        )
        for number, title, payload, step in payloads
    )
