"""Conditions under which a protected method waits: CEL, bounded when added, fail-closed when run.

A condition is looked at before it is taken: its text, its syntax tree and its type have limits, and
from the tree follows what evaluating it can cost at most. A call whose condition cannot be
evaluated, for whatever reason, waits. ADR 14 has the measurements.
"""

from __future__ import annotations

from quorumkey_relay.conditions.condition import (
    Condition,
    ConditionError,
    Conditions,
    compile_condition,
    why_unusable,
)

__all__ = ["Condition", "ConditionError", "Conditions", "compile_condition", "why_unusable"]
