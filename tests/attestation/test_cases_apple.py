from __future__ import annotations

import base64
import hashlib
import re
import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from quorumkey_attestation.anchors import TrustAnchors
from quorumkey_attestation.apple import (
    AppAttestKey,
    AppAttestPolicy,
    verify_app_assertion,
    verify_app_attestation,
    verify_app_receipt,
)
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError
from quorumkey_attestation.testing import (
    apple,
    apple_assertion_cases,
    apple_cases,
    apple_receipt_cases,
    pki,
)
from quorumkey_attestation.testing.apple_certificates import app_attest_root
from quorumkey_attestation.testing.apple_receipt import receipt_root

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey_attestation.testing.case import Case

JUDGES: Final[dict[str, Callable[[Case, Audit], object]]] = {
    "apple-attestation": apple_cases.judge,
    "apple-assertion": apple_assertion_cases.judge,
    "apple-receipt": apple_receipt_cases.judge,
}
CASES: Final = (
    *apple_cases.cases(),
    *apple_assertion_cases.cases(),
    *apple_receipt_cases.cases(),
)
CONTROLS: Final = {case.id: case for case in CASES if case.reason is None}
REFUSED: Final = [case for case in CASES if case.reason is not None]
NONCE: Final = hashlib.sha256(b"a nonce").digest()
DEVICE_KEY: Final = b"\2" + hashlib.sha256(b"a device's key").digest()


def judge(case: Case, *ignored: str) -> object:
    """Judge a case with checks ignored."""
    return JUDGES[case.procedure](case, Audit(ignored=frozenset(ignored)))


def outcome(case: Case, *ignored: str) -> tuple[str, str | None] | None:
    """Return reason and check of a refusal, or None."""
    try:
        judge(case, *ignored)
    except AttestationError as error:
        return error.reason, error.check
    return None


def named(case: Case) -> str:
    """Return what pytest calls a case."""
    return case.id


def policy() -> AppAttestPolicy:
    """Return the default policy, but for the test roots."""
    return AppAttestPolicy(
        app_ids=frozenset({apple.APP_ID}),
        anchors=TrustAnchors((app_attest_root().certificate,), allow_test_roots=True),
        receipt_anchors=TrustAnchors((receipt_root().certificate,), allow_test_roots=True),
    )


def attested(evidence: dict[str, str], device_key: bytes = DEVICE_KEY) -> AppAttestKey:
    """Verify the evidence of an enrolment as the relay does."""
    return verify_app_attestation(
        base64.b64decode(evidence["object"]),
        key_id=base64.b64decode(evidence["key_id"]),
        client_data_hash=hashlib.sha256(NONCE + device_key).digest(),
        policy=policy(),
        now=pki.NOW,
    )


@pytest.mark.parametrize("case", REFUSED, ids=named)
def test_a_case_is_made_from_a_control(case: Case) -> None:
    """Each case names a control of its own procedure, from which it differs."""
    control = CONTROLS[case.control or ""]

    assert control.procedure == case.procedure
    same = (control.evidence, control.settings, control.at)
    assert same != (case.evidence, case.settings, case.at)


@pytest.mark.parametrize("number", ["A0a", "R0a"])
def test_a_name_of_an_impossible_type_is_refused(number: str) -> None:
    """A common name that is a BIT STRING, which the X.509 library will not read, is refused."""
    control = CONTROLS[number]
    (file, encoded), *_ = control.evidence.items()
    common_name = b"\x55\x04\x03\x0c"
    start = encoded.index(common_name) + len(common_name) - 1
    altered = encoded[:start] + b"\x03" + encoded[start + 1 :]

    assert outcome(replace(control, evidence={**control.evidence, file: altered})) is not None


@pytest.mark.parametrize(("letter", "last"), [("A", 23), ("S", 10), ("R", 8)])
def test_every_number_of_the_list_has_a_case(letter: str, last: int) -> None:
    """No number of the list of negative cases is left out."""
    numbers = {int(re.sub(r"\D", "", case.id)) for case in REFUSED if case.id[0] == letter}

    assert set(range(1, last + 1)) <= numbers


def test_ids_are_unique() -> None:
    """No two cases have one id."""
    assert len(CASES) == len({case.id for case in CASES})


def test_another_process_mints_the_same_bytes() -> None:
    """What is minted follows from the sources alone."""
    program = (
        "import hashlib\n"
        "from quorumkey_attestation.testing import apple_assertion_cases as s\n"
        "from quorumkey_attestation.testing import apple_cases as a, apple_receipt_cases as r\n"
        "cases = [*a.cases(), *s.cases(), *r.cases()]\n"
        "print(hashlib.sha256(repr(cases).encode()).hexdigest())\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert hashlib.sha256(repr([*CASES]).encode()).hexdigest() == run.stdout.strip()


def test_a_phones_evidence_verifies() -> None:
    """What the software device sends is the attestation of a key for this nonce and this device."""
    key = attested(apple.apple_evidence(NONCE, DEVICE_KEY))

    assert (apple.APP_ID, "production", 0) == (key.app_id, key.environment, key.counter)


def test_a_phones_evidence_is_for_one_device_key() -> None:
    """The same evidence for another device key is refused."""
    evidence = apple.apple_evidence(NONCE, DEVICE_KEY)

    with pytest.raises(AttestationError) as refusal:
        attested(evidence, b"\3" + DEVICE_KEY[1:])
    assert refusal.value.check == "apple.attestation/4-nonce"


def test_labels_give_different_keys() -> None:
    """Two software devices can have two App Attest keys."""
    one, other = (apple.apple_evidence(NONCE, DEVICE_KEY, label=label) for label in ("a", "b"))

    assert one["key_id"] != other["key_id"]


def test_a_phones_assertion_verifies_over_the_same_bytes() -> None:
    """A later assertion by the same key is over a nonce and the device's key."""
    key = attested(apple.apple_evidence(NONCE, DEVICE_KEY))
    assertion = apple.apple_assertion(NONCE, DEVICE_KEY, counter=7)

    accepted = verify_app_assertion(
        assertion,
        client_data=NONCE + DEVICE_KEY,
        key=key,
        last_counter=6,
        policy=policy(),
        challenge=NONCE,
    )

    assert 7 == accepted.counter


@pytest.mark.parametrize("environment", ["production", "development"])
def test_the_receipt_in_a_phones_evidence_verifies(environment: apple.Environment) -> None:
    """An attestation encloses a receipt about its own key."""
    attestation = apple.Attestation(client_data_hash=bytes(32), environment=environment)
    judged_by = replace(policy(), environment=environment)
    key = verify_app_attestation(
        attestation.object,
        key_id=attestation.key_id,
        client_data_hash=bytes(32),
        policy=judged_by,
        now=pki.NOW,
    )

    receipt = verify_app_receipt(key.receipt, key=key, policy=judged_by, now=pki.NOW)

    assert (bytes(32), pki.NOW) == (receipt.client_hash, receipt.created)


def test_a_receipt_of_apples_answer_has_a_risk_metric() -> None:
    """The control of type RECEIPT says how many keys the device made."""
    receipt = judge(CONTROLS["R0b"])

    assert 4 == getattr(receipt, "risk_metric", None)
