"""Verifications on one thread: how many a second, and how near to the signatures they contain."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.report import Figures, Row, at_least

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

#: The share of the rate of its bare signature verifications that a verification has to reach.
OF_SIGNATURES: Final = 0.6

#: Faster than the other library, in the same rounds.
FASTER: Final = 1.0


@dataclass(frozen=True, slots=True)
class Candidate:
    """One kind of evidence, and what its verification is compared with.

    Attributes:
        name: what the table calls it.
        verify: judges the evidence once; raises when it is refused.
        signatures: verifies its signatures and nothing else, with keys that are already loaded.
        other: the same evidence judged by another library, and that library's name.
    """

    name: str
    verify: Callable[[], object]
    signatures: Callable[[], object]
    other: tuple[str, Callable[[], object]] | None = None


def measure(candidates: Sequence[Candidate], *, rounds: int, calls: int) -> list[Row]:
    """Time every candidate in turn, round after round, and return the rows.

    Args:
        candidates: what to time.
        rounds: how often; one more comes first and is thrown away.
        calls: verifications a round of each.
    """
    figures = Figures()
    for number in range(rounds + 1):
        for candidate in candidates:
            rates = {
                candidate.name: _rate(candidate.verify, calls),
                f"{candidate.name}: signatures": _rate(candidate.signatures, calls),
            }
            if candidate.other is not None:
                rates[f"{candidate.name}: other"] = _rate(candidate.other[1], calls)
            for name, rate in rates.items() if number else ():
                figures.add(name, rate)
    return [row for candidate in candidates for row in _rows(candidate, figures, calls)]


def _rate(call: Callable[[], object], calls: int) -> float:
    started = time.perf_counter()
    for _ in range(calls):
        call()
    return calls / (time.perf_counter() - started)


def _rows(candidate: Candidate, figures: Figures, calls: int) -> list[Row]:
    name = candidate.name
    signatures = f"{name}: signatures"
    rows = [
        Row(name, "/s", figures.rounds(name), str(calls)),
        Row(name, "x signatures", figures.ratios(name, signatures), "", at_least(OF_SIGNATURES)),
    ]
    if candidate.other is not None:
        ratios = figures.ratios(name, f"{name}: other")
        rows.append(Row(name, f"x {candidate.other[0]}", ratios, "", at_least(FASTER)))
    return rows
