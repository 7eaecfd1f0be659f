from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, cast

import pytest
from tests.attestation.attest_terminal import all_entries, type_in

from quorumkey_attestation.errors import Reason
from quorumkey_attestation.testing import catalog, selftest
from quorumkey_attestation.testing.case import Case

if TYPE_CHECKING:
    from collections.abc import Mapping

    from quorumkey_attestation.audit import Audit

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)


class Judge:
    """Two checks, of which the first reads a number out of the evidence."""

    def cases(self) -> tuple[Case, ...]:
        """None: the tests make their own."""
        return ()

    def judge(self, case: Case, audit: Audit) -> object:
        """Refuse numbers above 9, and odd ones."""
        number = int(case.evidence["number.txt"])
        audit.require("made-up/1-small", number <= 9, Reason.LEVEL, "The number is too large.")
        audit.require("made-up/2-even", number % 2 == 0, Reason.ORIGIN, "The number is odd.")
        return number


def entry(
    number: bytes, reason: Reason | None = None, check: str | None = None, *, reads: bool = True
) -> catalog.Entry:
    """A case that is judged by :class:`Judge`."""
    case = Case(
        id=f"Z{number.decode()}",
        title="a number",
        procedure="play",
        reason=reason,
        check=check,
        has_reading=reads,
        evidence={"number.txt": number},
        settings={},
        at=NOW,
    )
    return catalog.Entry(case, Judge())


SMALL = entry(b"10", Reason.LEVEL, "made-up/1-small")
EVEN = entry(b"3", Reason.ORIGIN, "made-up/2-even")


@cache
def all_outcomes() -> tuple[selftest.Outcome, ...]:
    """What comes out of every case, judged once for a test process."""
    return selftest.run(all_entries())


@cache
def full_report() -> selftest.Report:
    """What every check stands for."""
    return selftest.mutate(all_entries(), all_outcomes())


def outcomes_by_id() -> dict[str, selftest.Outcome]:
    """What comes out of every case."""
    return {each.case.id: each for each in all_outcomes()}


def same(one: Case, other: Case) -> bool:
    """Whether two cases put the same question."""
    return (one.evidence, one.settings, one.at) == (other.evidence, other.settings, other.at)


def test_every_case_ends_as_it_says() -> None:
    """Controls are accepted; every other case is refused for its reason by its check."""
    wrong = {
        name: (each.reason, each.check, each.detail)
        for name, each in outcomes_by_id().items()
        if not each.is_as_expected
    }

    assert {} == wrong


def test_every_check_lets_exactly_its_own_cases_through() -> None:
    """With one check switched off, the cases made for it are accepted and no others."""
    report = full_report()

    assert [] == [each for each in report.mutations if not each.is_as_expected]
    assert () == report.without_case


@pytest.mark.slow
def test_no_other_case_comes_through_when_all_are_judged_again() -> None:
    """Judging every refused case for every check finds what judging a check's own cases does."""
    some = all_entries()[::9]  # all of them, quorumkey-attest selftest --mutate --exhaustive judges
    outcomes = selftest.run(some)

    assert selftest.mutate(some, outcomes) == selftest.mutate(some, outcomes, exhaustive=True)


@pytest.mark.parametrize("letter", sorted(catalog.NUMBERS))
def test_no_number_is_left_out(letter: str) -> None:
    """Every number of the list of negative cases has a case."""
    present = {
        number
        for entry in all_entries()
        for found, number, _ in [catalog.number_of(entry.case.id)]
        if found == letter
    }

    assert set(range(1, catalog.NUMBERS[letter] + 1)) <= present


def test_what_needs_no_case_is_a_check_without_one() -> None:
    """The list of checks that need no case names checks that are made, and have none."""
    report = full_report()
    bare = {each.check for each in report.mutations if not each.has_case}

    assert bare == set(catalog.WITHOUT_CASE)


def test_every_case_was_made_from_a_case_that_passes() -> None:
    """What a case names as its control exists, and is accepted."""
    outcomes = outcomes_by_id()
    orphans = [
        name
        for name, each in outcomes.items()
        if each.case.control is not None and not outcomes[each.case.control].is_accepted
    ]

    assert [] == orphans


def test_a_refused_case_has_a_control_and_is_judged_as_it_is() -> None:
    """Case and control are of one procedure, and differ."""
    cases = {entry.case.id: entry.case for entry in all_entries()}
    odd: list[str] = []
    for case in cases.values():
        control = cases.get(case.control or "")
        if case.reason is None:
            continue
        if control is None or control.procedure != case.procedure or same(case, control):
            odd.append(case.id)

    assert [] == odd


#: What follows from another difference: a signature from what is signed, a key from the evidence.
CONSEQUENCES = frozenset(
    {
        "signature.der",
        "expect.key_id",
        "expect.public_key",
        "expect.client_data",
        "revocation.fetched_at",
        "revocation.file",
        "revocation.max_age_seconds",
    }
)


def flat(table: Mapping[str, object], prefix: str = "") -> dict[str, object]:
    """A table without tables in it: names joined by dots."""
    found: dict[str, object] = {}
    for name, value in table.items():
        if isinstance(value, dict):
            found |= flat(cast("Mapping[str, object]", value), f"{prefix}{name}.")
        else:
            found[prefix + name] = value
    return found


def differences(one: Case, other: Case) -> set[str]:
    """Where two cases differ: files, settings and the moment."""
    mine, theirs = (
        {**case.evidence, **flat(case.settings), "at": case.at} for case in (one, other)
    )
    return {name for name in {*mine, *theirs} if mine.get(name) != theirs.get(name)}


def test_a_case_differs_from_its_control_in_one_place() -> None:
    """One file, one setting or the moment, beside what follows from it."""
    cases = {entry.case.id: entry.case for entry in all_entries()}
    wide = {
        case.id: places
        for case in cases.values()
        if case.reason is not None and case.control is not None
        if len(places := differences(case, cases[case.control]) - CONSEQUENCES) > 1
    }

    assert {} == wide


def test_structural_cases_stay_the_exception() -> None:
    """Fewer than a quarter of the refused cases have no reading with their check switched off."""
    refused = [entry.case for entry in all_entries() if entry.case.reason is not None]

    assert 4 * sum(not case.has_reading for case in refused) < len(refused)


def test_minting_twice_gives_the_same_cases() -> None:
    """The cases do not depend on the process, the clock or randomness."""
    assert [entry.case for entry in all_entries()] == [entry.case for entry in catalog.entries()]


def test_an_id_that_is_none_is_told() -> None:
    """An id is a letter, a number and perhaps letters."""
    assert ("S", 3, "b") == catalog.number_of("S3b")
    with pytest.raises(ValueError, match="no id"):
        catalog.number_of("3S")


def test_two_cases_of_one_id_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are unique over all modules."""

    class Twice(Judge):
        def cases(self) -> tuple[Case, ...]:
            return (SMALL.case, SMALL.case)

    monkeypatch.setattr(catalog, "_MODULES", (Twice(),))

    with pytest.raises(ValueError, match="Z10"):
        catalog.entries()


def test_a_case_that_is_refused_for_another_reason_is_seen() -> None:
    """Reason and check both have to be the ones that the case names."""
    for wrong in (
        replace(SMALL.case, reason=Reason.ORIGIN),
        replace(SMALL.case, check="made-up/2-even"),
        replace(SMALL.case, reason=None, check=None),
    ):
        (outcome,) = selftest.run([catalog.Entry(wrong, Judge())])
        assert not outcome.is_as_expected


def test_a_crash_is_no_refusal() -> None:
    """An exception other than a refusal is told as a crash, and the run goes on."""
    crashing = entry(b"x", Reason.LEVEL, "made-up/1-small")
    crashed, refused = selftest.run([crashing, SMALL])

    assert (True, False, False) == (
        crashed.crashed,
        crashed.is_accepted,
        crashed.is_as_expected,
    )
    assert refused.is_as_expected


def test_a_case_that_two_checks_refuse_is_seen() -> None:
    """Switched off, the first check leaves the case to the second: the mutation says so."""
    both = entry(b"11", Reason.LEVEL, "made-up/1-small")
    report = selftest.mutate([both], selftest.run([both]))

    assert ["made-up/1-small"] == [each.check for each in report.mutations]
    assert not report.is_as_expected
    assert ((), ("Z11",)) == (report.mutations[0].accepted, report.mutations[0].expected)


def test_a_structural_case_that_can_be_read_on_is_seen() -> None:
    """A case that calls itself structural and comes through is one too many."""
    claims = replace(SMALL.case, has_reading=False)
    report = selftest.mutate([catalog.Entry(claims, Judge()), EVEN], selftest.run([SMALL, EVEN]))

    assert ["made-up/1-small"] == [
        each.check for each in report.mutations if not each.is_as_expected
    ]


def test_a_check_without_a_case_is_seen() -> None:
    """A check that every case passes is listed."""
    report = selftest.mutate([EVEN], selftest.run([EVEN]))

    assert ("made-up/1-small",) == report.without_case
    assert not report.is_as_expected


def test_the_command_prints_the_table() -> None:
    """A row for each case, a summary, and exit status 0."""
    done = type_in("selftest")

    assert 0 == done.status
    assert len(all_entries()) <= len(done.out.splitlines())
    assert "0 not as expected" in done.out
    assert done.out.endswith("ok\n")


def test_the_command_prints_what_comes_through() -> None:
    """With --mutate there is a row for each check."""
    done = type_in("selftest", "--mutate")

    assert 0 == done.status
    assert "apple.attestation/9" in done.out
    assert "checks: 0 let other cases through than their own" in done.out


def test_the_command_gives_all_of_it_as_json() -> None:
    """One object with every case, and with --mutate every check."""
    done = type_in("selftest", "--mutate", "--json").object

    assert True is done["as_expected"]
    assert str(done["cases"]).count("'procedure':") == len(all_entries())
    assert str(done["checks"]).count("'check':") == len(full_report().mutations)


def test_an_unexpected_end_is_status_1(monkeypatch: pytest.MonkeyPatch) -> None:
    """The command tells what was expected, what came, and fails."""
    wrong = catalog.Entry(replace(SMALL.case, reason=Reason.ORIGIN, check="other"), Judge())
    monkeypatch.setattr(
        catalog,
        "entries",
        lambda: (wrong, entry(b"11", Reason.LEVEL, "made-up/1-small"), entry(b"x")),
    )
    plain, mutated = type_in("selftest"), type_in("selftest", "--mutate")

    assert (1, 1) == (plain.status, mutated.status)
    assert "WRONG: other expected" in plain.out
    assert "CRASHED" in plain.out
    assert "still refused: " in mutated.out
    assert plain.out.endswith("FAILED\n")


def test_a_missing_extra_is_told_before_anything_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the cases would prove nothing; the command names what to install."""
    monkeypatch.setattr(catalog, "missing_extras", lambda: ("receipt", "webauthn"))
    done = type_in("selftest")

    assert 1 == done.status
    assert "pip install 'quorumkey-attestation[receipt,webauthn]'" in done.err


def test_exhaustive_alone_is_no_command() -> None:
    """--exhaustive says how to mutate."""
    assert 2 == type_in("selftest", "--exhaustive").status
