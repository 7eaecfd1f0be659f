"""What the benchmark says of just-in-time access."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.jit import BINDINGS_PER_SECOND, LISTING_MS, TOKENS_PER_SECOND, measure_jit
from bench.sizes import QUICK

if TYPE_CHECKING:
    from pathlib import Path


def test_the_rows_of_access(tmp_path: Path) -> None:
    """Listing, reading bindings and tokens have the bounds of the specification."""
    rows = measure_jit(tmp_path / "jit", QUICK)
    bounds = {row.name: row.bound.limit for row in rows if row.bound is not None}

    assert {
        "listing of eligible roles": LISTING_MS,
        "bindings parsed and split": BINDINGS_PER_SECOND,
        "token minted and verified, ES256": TOKENS_PER_SECOND,
    } == bounds
    assert all(row.value > 0 for row in rows)
