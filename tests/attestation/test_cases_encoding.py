"""The cases of encoding: what each is refused for, and by which check alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation import AttestationError
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.testing.catalog import number_of
from quorumkey_attestation.testing.encoding_cases import cases, judge

if TYPE_CHECKING:
    from quorumkey_attestation.testing.case import Case

ACCEPTED = [case for case in cases() if case.reason is None]
REFUSED = [case for case in cases() if case.reason is not None]
CHECKS = sorted({case.check for case in REFUSED if case.check is not None})


def passes(case: Case, ignored: str) -> bool:
    """Say whether a case is accepted with one check ignored."""
    try:
        judge(case, Audit(ignored=frozenset({ignored})))
    except AttestationError:
        return False
    return True


@pytest.mark.parametrize("case", ACCEPTED, ids=lambda case: case.id)
def test_positive_cases_are_accepted(case: Case) -> None:
    """Controls pass, and so do signatures with either s (E8)."""
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
    letting_pass = [check for check in CHECKS if passes(case, check)]

    assert ([case.check] if case.has_reading else []) == letting_pass


def test_every_number_up_to_the_last_has_a_case() -> None:
    """E1 to E12 are all there, after the controls, and minted the same every time."""
    numbers = [number_of(case.id)[1] for case in cases() if case.control]

    assert all(before <= after <= before + 1 for before, after in pairwise(numbers))
    assert (1, 12) == (numbers[0], numbers[-1])
    assert [case.evidence for case in cases()] == [case.evidence for case in cases()]
