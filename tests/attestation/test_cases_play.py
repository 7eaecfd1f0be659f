"""Play Integrity's numbered cases: what each is refused for, and by which check alone."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation import AttestationError
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.testing.play_cases import cases, judge

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
    """Controls pass, and so does a device with all three labels (P12)."""
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
    """Whatever check the controls pass, a case exists that it refuses."""
    made: set[str] = set()
    for case in ACCEPTED:
        audit = Audit()
        judge(case, audit)
        made.update(audit.checks)

    assert made <= {case.check for case in REFUSED}


def test_every_number_up_to_the_last_has_a_case() -> None:
    """P0 to P33 are all there, in order, and minted the same every time."""
    numbers = [int(case.id[1:].rstrip("abcdefgh")) for case in cases()]

    assert all(before <= after <= before + 1 for before, after in pairwise(numbers))
    assert (0, 33) == (numbers[0], numbers[-1])
    assert [case.evidence for case in cases()] == [case.evidence for case in cases()]
