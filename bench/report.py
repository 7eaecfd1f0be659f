"""Rows of figures, their bounds, the table, and the JSON file."""

from __future__ import annotations

import json
import statistics
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

RESULTS: Final = Path(__file__).resolve().parent / "results"

_HUNDRED: Final = 100


@dataclass(frozen=True, slots=True)
class Bound:
    """What a figure must reach, or must not exceed."""

    limit: float
    is_minimum: bool

    def holds(self, value: float) -> bool:
        """Say whether a figure is within the bound."""
        return value >= self.limit if self.is_minimum else value <= self.limit

    def __str__(self) -> str:
        """Write the bound as the table shows it."""
        return f"{'≥' if self.is_minimum else '≤'} {self.limit:g}"


def at_least(limit: float) -> Bound:
    """Return the bound of a figure that must reach ``limit``."""
    return Bound(limit, is_minimum=True)


def at_most(limit: float) -> Bound:
    """Return the bound of a figure that must not exceed ``limit``."""
    return Bound(limit, is_minimum=False)


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: a value a round, of which the median counts."""

    name: str
    unit: str
    rounds: tuple[float, ...]
    samples: str
    bound: Bound | None = None

    @property
    def value(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.rounds)

    @property
    def verdict(self) -> str:
        """Return what became of the bound; nothing where there is none."""
        if self.bound is None:
            return ""
        return "ok" if self.bound.holds(self.value) else "MISSED"

    def cells(self) -> tuple[str, ...]:
        """Return the row of the table."""
        low, high = _shown(min(self.rounds)), _shown(max(self.rounds))
        return (
            self.name,
            _shown(self.value),
            self.unit,
            f"{low} to {high}",
            "" if self.bound is None else str(self.bound),
            self.verdict,
            self.samples,
        )

    def to_json(self) -> dict[str, object]:
        """Return the row for the file."""
        return {
            "name": self.name,
            "unit": self.unit,
            "median": self.value,
            "rounds": list(self.rounds),
            "samples": self.samples,
            "bound": None if self.bound is None else str(self.bound),
            "verdict": self.verdict,
        }


@dataclass(slots=True)
class Figures:
    """Values by name, one for each round that was measured."""

    _values: dict[str, list[float]] = field(default_factory=dict[str, list[float]])

    def add(self, name: str, value: float) -> None:
        """Take one round's value."""
        self._values.setdefault(name, []).append(value)

    def rounds(self, name: str) -> tuple[float, ...]:
        """Return the values of all rounds."""
        return tuple(self._values[name])

    def ratios(self, name: str, other: str) -> tuple[float, ...]:
        """Return each round's value of one over the same round's value of the other."""
        pairs = zip(self._values[name], self._values[other], strict=True)
        return tuple(one / another for one, another in pairs)


HEADINGS: Final = (
    "measured",
    "median",
    "unit",
    "least to greatest",
    "bound",
    "",
    "samples a round",
)


def table(rows: Sequence[Row]) -> str:
    """Return the rows as text in columns."""
    lines = [HEADINGS, *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(HEADINGS))]
    rule = tuple("─" * width for width in widths)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in (lines[0], rule, *lines[1:])
    )


def write(
    folder: Path, rows: Sequence[Row], *, machine: Mapping[str, object], notes: Sequence[str]
) -> Path:
    """Write everything to a new file in ``folder`` and return its path."""
    now = datetime.now(UTC)
    document = {
        "measured_at": now.isoformat(timespec="seconds"),
        "machine": dict(machine),
        "notes": list(notes),
        "rows": [row.to_json() for row in rows],
    }
    folder.mkdir(exist_ok=True)
    path = folder / f"{now:%Y%m%dT%H%M%SZ}.json"
    path.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def _shown(value: float) -> str:
    if value >= _HUNDRED:
        return f"{value:,.0f}"
    return f"{value:.3g}"
