"""The numbered WebAuthn cases: what each is refused for, and by which check alone."""

from __future__ import annotations

import hashlib
from string import ascii_lowercase
from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation import AttestationError
from quorumkey_attestation.anchors import subject_public_key_info
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.testing.webauthn_cases import cases, judge
from quorumkey_attestation.testing.webauthn_certificates import webauthn_root
from quorumkey_attestation.testing_roots import TEST_ROOT_SPKI_SHA256

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

ACCEPTED = [case for case in cases() if case.reason is None]
REFUSED = [case for case in cases() if case.reason is not None]


def passes(case: Case, ignored: str | None = None) -> bool:
    """Say whether a case is accepted with one check ignored."""
    try:
        judge(case, Audit(ignored=frozenset(filter(None, (ignored,)))))
    except AttestationError:
        return False
    return True


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.id)
def test_positive_cases_are_accepted(case: Case) -> None:
    """Controls pass, and so do chains without a root (W3) and unknown tags (W10)."""
    audit = Audit()
    judge(case, audit)

    assert audit.checks


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_each_case_is_refused_for_its_reason_by_its_check(case: Case) -> None:
    """A case is refused with the reason and by the check that it names."""
    with pytest.raises(AttestationError) as refused:
        judge(case, Audit())

    assert (case.reason, case.check) == (refused.value.reason, refused.value.check)


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case.id)
def test_only_its_check_stands_against_a_case(case: Case) -> None:
    """With its check ignored a case passes if it has a reading; with any other it does not."""
    names = sorted({each.check for each in REFUSED if each.check is not None})
    letting_pass = [name for name in names if passes(case, name)]

    assert ([case.check] if case.has_reading else []) == letting_pass


def test_every_check_has_a_case() -> None:
    """Whatever check of WebAuthn's own the controls pass, a case exists that it refuses."""
    made: set[str] = set()
    for case in ACCEPTED:
        audit = Audit()
        judge(case, audit)
        made.update(check for check in audit.checks if check.startswith("webauthn."))

    assert made <= {case.check for case in REFUSED}


def test_every_number_up_to_the_last_has_a_case() -> None:
    """W0 to W27 are all there."""
    numbers = {int(case.id[1:].rstrip(ascii_lowercase)) for case in cases()}

    assert set(range(28)) == numbers


def test_a_case_is_made_from_one_that_is_accepted() -> None:
    """The control that a refused case names is a control, judged by the same procedure."""
    controls = {case.id: case.procedure for case in ACCEPTED}

    assert [case.procedure for case in REFUSED] == [
        controls[case.control or ""] for case in REFUSED
    ]


def test_the_root_that_signs_the_cases_is_denied() -> None:
    """The SHA-256 of the test root's key is on the list of this package's own test roots."""
    spki = subject_public_key_info(webauthn_root().der)

    assert hashlib.sha256(spki).hexdigest() in TEST_ROOT_SPKI_SHA256
