"""The evaluator, beyond its numbered cases."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from quorumkey_attestation import AttestationError, Reason
from quorumkey_attestation.play_integrity import (
    AppIntegrity,
    DeviceIntegrity,
    Environment,
    IntegrityPayload,
    IntegrityPolicy,
    IntegrityVerdict,
    claim_nonce,
    evaluate_integrity,
)
from quorumkey_attestation.testing import pki, play

PAYLOAD = IntegrityPayload.from_json(play.encode_json(play.payload()))
POLICY = IntegrityPolicy(
    package=play.PACKAGE, certificate_digests=frozenset({play.CERTIFICATE_DIGEST})
)


def evaluate(
    payload: IntegrityPayload = PAYLOAD, policy: IntegrityPolicy = POLICY, now: datetime = pki.NOW
) -> IntegrityVerdict:
    """Judge a payload that was asked for with the test nonce."""
    return evaluate_integrity(payload, nonce=play.NONCE, policy=policy, now=now)


def test_the_verdict_says_what_was_accepted() -> None:
    """Package, labels, nonce and time come back, with the trail of checks in order."""
    verdict = evaluate()

    assert (play.PACKAGE, 42, play.NONCE, None, pki.NOW) == (
        verdict.package,
        verdict.version_code,
        verdict.nonce,
        verdict.request_hash,
        verdict.requested_at,
    )
    assert frozenset({"MEETS_DEVICE_INTEGRITY"}) == verdict.labels
    assert ("play.evaluate/1-testing", "play.evaluate/15-recall") == (
        verdict.checks[0],
        verdict.checks[-1],
    )


def test_an_answer_that_was_decoded_too_often_is_refused() -> None:
    """Google's server empties the verdicts of a token that it is shown again; none passes."""
    emptied = replace(
        PAYLOAD, app=AppIntegrity(recognition="UNEVALUATED"), device=DeviceIntegrity()
    )
    with pytest.raises(AttestationError) as refused:
        evaluate(emptied)

    assert Reason.VERDICT is refused.value.reason


@pytest.mark.parametrize(
    ("labels", "sdk_version", "implied"),
    [
        ({"MEETS_STRONG_INTEGRITY"}, 33, True),
        ({"MEETS_STRONG_INTEGRITY"}, 32, False),
        ({"MEETS_STRONG_INTEGRITY"}, None, False),
        ({"MEETS_DEVICE_INTEGRITY"}, 36, False),
    ],
    ids=["strong on 13", "strong on 12", "strong, version not told", "device on 16"],
)
def test_a_strong_label_implies_patches_from_android_13_on(
    labels: set[str], sdk_version: int | None, *, implied: bool
) -> None:
    """Before API level 33 the label says nothing about security updates."""
    verdict = replace(evaluate(), labels=frozenset(labels), sdk_version=sdk_version)

    assert implied is verdict.recently_patched


@pytest.mark.parametrize(
    ("age", "accepted"), [(300, True), (301, False), (-60, True), (-61, False)], ids=str
)
def test_age_and_skew_have_exact_bounds(age: int, *, accepted: bool) -> None:
    """Five minutes back and sixty seconds ahead are accepted, a second more is not."""
    now = pki.NOW + timedelta(seconds=age)
    if accepted:
        assert pki.NOW == evaluate(now=now).requested_at
        return
    with pytest.raises(AttestationError) as refused:
        evaluate(now=now)

    assert Reason.TIMESTAMP is refused.value.reason


def test_a_policy_that_asks_for_nothing_more_looks_at_nothing_more() -> None:
    """Without environment and history, a payload passes a policy that leaves them open."""
    bare = replace(
        PAYLOAD,
        environment=Environment(),
        device=DeviceIntegrity(labels=frozenset({"MEETS_DEVICE_INTEGRITY"})),
    )

    assert evaluate(bare).recall_bits is None


@pytest.mark.parametrize(
    "policy",
    [
        replace(POLICY, min_sdk_version=1),
        replace(POLICY, min_version_code=0),
        replace(POLICY, access_risk="none"),
        replace(POLICY, play_protect=frozenset({"NO_ISSUES"})),
        replace(POLICY, max_activity_level=4),
        replace(POLICY, device_recall="clear"),
        replace(POLICY, device="MEETS_BASIC_INTEGRITY"),
    ],
    ids=["Android", "app", "access risk", "Play Protect", "activity", "recall", "weak label"],
)
def test_what_is_not_told_passes_no_check(policy: IntegrityPolicy) -> None:
    """What a policy asks for beyond the plain one has to be told, however low the bar."""
    terse = replace(
        PAYLOAD,
        app=replace(PAYLOAD.app, version_code=None),
        environment=Environment(),
        device=DeviceIntegrity(labels=frozenset({"MEETS_DEVICE_INTEGRITY"})),
    )
    assert evaluate(terse, POLICY).checks
    with pytest.raises(AttestationError) as refused:
        evaluate(terse, policy)

    assert Reason.VERDICT is refused.value.reason


def test_an_unrecognised_app_is_still_compared() -> None:
    """Where Google Play need not know the app, its name and certificate have to be told."""
    policy = replace(POLICY, require_play_recognized=False, require_licensed=False)
    unknown = replace(PAYLOAD, app=replace(PAYLOAD.app, recognition="UNRECOGNIZED_VERSION"))
    assert evaluate(unknown, policy).checks
    with pytest.raises(AttestationError) as refused:
        evaluate(replace(PAYLOAD, app=AppIntegrity()), policy)

    assert Reason.APP_ID is refused.value.reason


@pytest.mark.parametrize(
    ("nonce", "request_hash", "now", "complaint"),
    [
        (None, None, pki.NOW, "either"),
        (play.NONCE, play.REQUEST_HASH, pki.NOW, "either"),
        ("short", None, pki.NOW, "16 to 500"),
        ("n" * 501, None, pki.NOW, "16 to 500"),
        (None, "", pki.NOW, "1 to 500"),
        (None, "é" * 251, pki.NOW, "1 to 500"),
        (play.NONCE, None, pki.NOW.replace(tzinfo=None), "aware"),
    ],
    ids=["neither", "both", "short", "long", "empty hash", "long hash", "naive now"],
)
def test_impossible_arguments_are_the_caller_s_mistake(
    nonce: str | None, request_hash: str | None, now: datetime, complaint: str
) -> None:
    """What the server cannot have issued is a bug there, not a refusal of evidence."""
    with pytest.raises(ValueError, match=complaint):
        evaluate_integrity(PAYLOAD, nonce=nonce, request_hash=request_hash, policy=POLICY, now=now)


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"package": ""}, "package"),
        ({"certificate_digests": frozenset[bytes]()}, "empty"),
        ({"certificate_digests": frozenset({bytes(20)})}, "32 bytes"),
        ({"max_age": timedelta(0)}, "positive"),
        ({"play_protect": frozenset[str]()}, "nothing"),
        ({"device": "MEETS_EVERYTHING"}, "label"),
        ({"access_risk": "known"}, "access_risk"),
        ({"device_recall": "none"}, "device_recall"),
    ],
    ids=["package", "no digest", "SHA-1", "max_age", "play_protect", "device", "access", "recall"],
)
def test_a_policy_that_is_none_cannot_be_made(changes: dict[str, object], complaint: str) -> None:
    """Empty means refuse, and says so where the policy is written."""
    settings: dict[str, object] = {
        "package": POLICY.package,
        "certificate_digests": POLICY.certificate_digests,
    }
    with pytest.raises(ValueError, match=complaint):
        IntegrityPolicy(**{**settings, **changes})  # type: ignore[arg-type]  # wrong on purpose


class Ledger:
    """A ledger of one nonce."""

    def __init__(self) -> None:
        self.left = {play.NONCE}

    def spend(self, nonce: str) -> bool:
        """Take a nonce out, if it is there."""
        is_unused = nonce in self.left
        self.left.discard(nonce)
        return is_unused


def test_a_nonce_counts_once() -> None:
    """The first claim of a nonce passes, the second is refused."""
    ledger = Ledger()
    claim_nonce(ledger, play.NONCE)
    with pytest.raises(AttestationError) as refused:
        claim_nonce(ledger, play.NONCE)

    assert Reason.NONCE is refused.value.reason
