"""What the benchmark says of just-in-time access."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from bench.hostile_bindings import HOSTILE
from bench.jit import BINDINGS_PER_SECOND, LISTING_MS, TOKENS_PER_SECOND, measure_jit
from bench.sizes import QUICK

from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.conditions.iam import MAX_EXPRESSION_BYTES
from quorumkey_relay.eligibility.condition import read_condition

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


def test_hostile_bindings() -> None:
    """Each is within the limit of a text, and is read or refused."""
    taken = 0
    for text in HOSTILE:
        assert MAX_EXPRESSION_BYTES >= len(text.encode())
        with suppress(ConditionError):
            taken += read_condition(text).activation_type == "JIT"

    assert 10 < taken < len(HOSTILE)
