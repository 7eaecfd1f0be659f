"""Every numbered case of the catalogue: what it is refused for, and by which check alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_attestation import AttestationError
from quorumkey_attestation.audit import Audit
from quorumkey_attestation.testing import catalog

if TYPE_CHECKING:
    from quorumkey_attestation.testing.catalog import Entry

ACCEPTED = [entry for entry in catalog.entries() if entry.case.reason is None]
REFUSED = [entry for entry in catalog.entries() if entry.case.reason is not None]
CHECKS = frozenset(entry.case.check for entry in REFUSED if entry.case.check is not None)


def refused_by(entry: Entry, ignored: frozenset[str] = frozenset()) -> tuple[str, str | None]:
    """Return the reason and the check of the refusal."""
    with pytest.raises(AttestationError) as refused:
        entry.judge(Audit(ignored=ignored))
    return refused.value.reason, refused.value.check


@pytest.mark.parametrize("entry", ACCEPTED, ids=lambda entry: entry.case.id)
def test_what_has_to_be_accepted_is(entry: Entry) -> None:
    """A control passes, and says which checks it passed."""
    audit = Audit()
    entry.judge(audit)

    assert audit.checks


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry.case.id)
def test_a_case_is_refused_for_its_reason_by_its_check(entry: Entry) -> None:
    """A case is refused with the reason, and by the check, that it names."""
    assert (entry.case.reason, entry.case.check) == refused_by(entry)


@pytest.mark.parametrize(
    "entry", [each for each in REFUSED if each.case.has_reading], ids=lambda entry: entry.case.id
)
def test_nothing_but_its_check_stands_against_a_case(entry: Entry) -> None:
    """With that one check ignored the case is accepted."""
    entry.judge(Audit(ignored=frozenset({entry.case.check or ""})))


@pytest.mark.parametrize("entry", REFUSED, ids=lambda entry: entry.case.id)
def test_its_check_alone_is_enough_against_a_case(entry: Entry) -> None:
    """With every other check ignored at once, the case is refused by its own."""
    others = CHECKS - {entry.case.check}

    assert (entry.case.reason, entry.case.check) == refused_by(entry, others)


@pytest.mark.parametrize("letter", sorted(catalog.NUMBERS))
def test_the_numbers_of_a_letter_follow_one_another(letter: str) -> None:
    """From the controls' 0 to the last there is no gap, past the list's last number too."""
    ids = [catalog.number_of(entry.case.id) for entry in catalog.entries()]
    numbers = {number for first, number, _ in ids if first == letter}

    assert set(range(max(numbers) + 1)) == numbers
    assert max(numbers) >= catalog.NUMBERS[letter]
