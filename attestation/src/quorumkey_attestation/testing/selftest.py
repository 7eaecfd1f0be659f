"""Run the numbered cases, and show that each is refused for its own reason and for no other.

A case that is refused proves little if it would be refused anyway. So the mutation switches off one
check at a time, every one that was made in any run, and looks at what then comes through: it has to
be the cases made for that check, all of them and nothing else. What is left are *structural*
refusals, where nothing could be read on with, and which are therefore listed by themselves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_attestation.audit import Audit
from quorumkey_attestation.errors import AttestationError, Reason
from quorumkey_attestation.testing.catalog import WITHOUT_CASE

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from quorumkey_attestation.testing.case import Case
    from quorumkey_attestation.testing.catalog import Entry

__all__ = ["Mutation", "Outcome", "Report", "mutate", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came out of one case.

    Attributes:
        case: the case.
        reason: why it was refused; None where it was accepted, or where the judge crashed.
        check: the check that refused it.
        detail: the refusal in a sentence, or what the judge crashed with.
        checks: the checks that it passed.
        crashed: whether the judge raised something else than a refusal. It never may.
    """

    case: Case
    reason: Reason | None
    check: str | None
    detail: str
    checks: tuple[str, ...]
    crashed: bool = False

    @property
    def is_accepted(self) -> bool:
        """Whether the evidence was accepted."""
        return self.reason is None and not self.crashed

    @property
    def is_as_expected(self) -> bool:
        """Whether reason and check are the ones that the case names."""
        expected = (self.case.reason, self.case.check)
        return not self.crashed and (self.reason, self.check) == expected


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """What one check stands for.

    Attributes:
        check: the check that was switched off.
        expected: the ids of the cases that it has to refuse and that can be read on without it.
        accepted: the ids of the refused cases that came through.
        crashed: the ids of the cases at which the judge crashed.
        structural: the ids of its cases that have no other reading.
    """

    check: str
    expected: tuple[str, ...]
    accepted: tuple[str, ...]
    crashed: tuple[str, ...]
    structural: tuple[str, ...]

    @property
    def is_as_expected(self) -> bool:
        """Whether exactly its own cases came through."""
        return set(self.expected) == set(self.accepted) and not self.crashed

    @property
    def has_case(self) -> bool:
        """Whether any case is refused by this check."""
        return bool(self.expected or self.structural)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All mutations.

    Attributes:
        mutations: one for every check, in the order of their names.
        without_case: the checks that no case is refused by and that have to have one.
    """

    mutations: tuple[Mutation, ...]

    @property
    def without_case(self) -> tuple[str, ...]:
        """The checks that need a case and have none."""
        bare = (each.check for each in self.mutations if not each.has_case)
        return tuple(check for check in bare if check not in WITHOUT_CASE)

    @property
    def is_as_expected(self) -> bool:
        """Whether every check lets exactly its own cases through, and has one."""
        return all(each.is_as_expected for each in self.mutations) and not self.without_case


def run(entries: Iterable[Entry], *, ignored: str | None = None) -> tuple[Outcome, ...]:
    """Judge every case.

    Args:
        entries: the cases.
        ignored: a check whose failure is passed over.
    """
    return tuple(_judge(entry, ignored) for entry in entries)


def _judge(entry: Entry, ignored: str | None) -> Outcome:
    audit = Audit(ignored=frozenset() if ignored is None else frozenset({ignored}))
    refusal: AttestationError | None = None
    crash: Exception | None = None
    try:
        entry.judge(audit)
    except AttestationError as error:
        refusal = error
    except Exception as error:  # noqa: BLE001  # what a crash is, is for the table to tell
        crash = error
    return Outcome(
        case=entry.case,
        reason=None if refusal is None else refusal.reason,
        check=None if refusal is None else refusal.check,
        detail=refusal.detail if refusal else repr(crash) if crash else "",
        checks=audit.checks,
        crashed=crash is not None,
    )


def mutate(
    entries: Sequence[Entry], outcomes: Sequence[Outcome], *, exhaustive: bool = False
) -> Report:
    """Switch off one check at a time, and see which cases then come through.

    Only the cases that a check refuses can change when it is switched off: another case either
    never fails it, or is refused before it gets there, and verification is deterministic.

    Args:
        entries: the cases.
        outcomes: what came out of them with every check on, in the same order.
        exhaustive: judge every case for every check all the same.
    """
    refused_by: dict[str, list[Entry]] = {check: [] for check in _checks(outcomes)}
    for entry, outcome in zip(entries, outcomes, strict=True):
        if outcome.check is not None:
            refused_by[outcome.check].append(entry)
    refused = [entry for entry, each in zip(entries, outcomes, strict=True) if not each.is_accepted]
    return Report(
        mutations=tuple(
            _mutation(check, own, run(refused if exhaustive else own, ignored=check))
            for check, own in sorted(refused_by.items())
        )
    )


def _checks(outcomes: Iterable[Outcome]) -> Mapping[str, None]:
    """Return the name of every check that was made."""
    names: dict[str, None] = {}
    for outcome in outcomes:
        names |= dict.fromkeys(outcome.checks)
        if outcome.check is not None:
            names[outcome.check] = None
        if outcome.case.check is not None:
            names[outcome.case.check] = None
    return names


def _mutation(check: str, own: Sequence[Entry], outcomes: Sequence[Outcome]) -> Mutation:
    return Mutation(
        check=check,
        expected=tuple(each.case.id for each in own if each.case.has_reading),
        accepted=tuple(each.case.id for each in outcomes if each.is_accepted),
        crashed=tuple(each.case.id for each in outcomes if each.crashed),
        structural=tuple(each.case.id for each in own if not each.case.has_reading),
    )
