"""What conditions cost: an ordinary one, and the worst that anybody could think of."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.hostile import HOSTILE, Call
from bench.report import Figures, Row, at_most
from quorumkey_relay.conditions import Conditions, compile_condition
from quorumkey_relay.server import settle_memory

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.hostile import Hostile

#: The specification's bound of a hostile condition, in milliseconds of CPU.
HOSTILE_MS: Final = 50.0

_ORDINARY: Final = 'request.rule.tag == "global"'
_CALL: Final[Call] = {
    "rule": {"name": "Allow backup", "tag": "finance"},
    "hosts": ["a1", "a2", "a3"],
}
_MS: Final = 1e3
_US: Final = 1e6


def measure_conditions(*, rounds: int, calls: int) -> list[Row]:
    """Time adding and evaluating conditions, on this thread, in CPU time.

    Args:
        rounds: how often.
        calls: evaluations of the ordinary condition in a round.
    """
    figures = Figures()
    condition = compile_condition(_ORDINARY)
    settle_memory()  # as a relay does: else a collection of all that is loaded falls into a round
    for _ in range(rounds):
        evaluated = spent(lambda: [condition.waits(_CALL, None) for _ in range(calls)])
        figures.add("ordinary", evaluated / calls * _US)
        figures.add("added", spent(partial(compile_condition, _ORDINARY)) * _US)
        figures.add("hostile", max(_worst(one) for one in HOSTILE) * _MS)
    many = f"{len(HOSTILE)} ideas"
    return [
        Row("condition evaluated", "µs CPU", figures.rounds("ordinary"), f"{calls:,}"),
        Row("condition added", "µs CPU", figures.rounds("added"), "1"),
        Row("hostile, worst", "ms CPU", figures.rounds("hostile"), many, at_most(HOSTILE_MS)),
    ]


def _worst(hostile: Hostile) -> float:
    """Return the CPU seconds of the longest step: the first also compiles the condition."""
    conditions = Conditions()
    return max(
        spent(partial(conditions.waits, hostile.condition, request, None))
        for request in hostile.requests
    )


def spent(work: Callable[[], object]) -> float:
    """Return the CPU seconds that something takes."""
    started = time.process_time()
    work()
    return time.process_time() - started
