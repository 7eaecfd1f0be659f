"""``quorumkey-relay demo``: the demonstration from its start to an empty temporary folder."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar, cast

from rich.console import Console

from quorumkey.errors import QuorumkeyError
from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.demo.phones import PhoneFailedError
from quorumkey_relay.demo.process import RelayFailedError
from quorumkey_relay.demo.proof import ForgeryAcceptedError
from quorumkey_relay.demo.scenario import ScenarioError, read_scenario
from quorumkey_relay.demo.stage import Stage
from quorumkey_relay.demo.story import UnexpectedOutcomeError, play

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from quorumkey_relay.demo.story import Summary

T = TypeVar("T")

#: Seconds between events where a person watches.
TERMINAL_PACE: Final = 0.4

_STOP_SIGNALS: Final = (signal.SIGTERM, signal.SIGHUP)
_FAILURES: Final = (
    ForgeryAcceptedError,
    PhoneFailedError,
    QuorumkeyError,
    RelayFailedError,
    ScenarioError,
    TimeoutError,
    UnexpectedOutcomeError,
)


def demonstrate(scenario_file: Path | None, *, pace: float | None, out: Output) -> None:
    """Play the scenario; raises ``Refused`` when it does not end as it should."""

    async def whole(stage: Stage, folder: Path) -> Summary:
        return await play(read_scenario(scenario_file), stage, folder)

    out.json(dataclasses.asdict(perform(whole, pace=pace, out=out)))


def perform(
    play: Callable[[Stage, Path], Coroutine[None, None, T]], *, pace: float | None, out: Output
) -> T:
    """Run a play on a stage of its own, in a folder that is gone afterwards.

    Raises ``Refused`` when it does not end as it should, and ``KeyboardInterrupt`` when the
    process is told to end.
    """
    # With --json, standard output is for the result alone.
    console = Console(
        file=sys.stderr if out.as_json else sys.stdout,
        markup=False,
        emoji=False,
        highlight=False,
        soft_wrap=True,
    )
    if pace is None:
        pace = TERMINAL_PACE if console.is_terminal else 0.0
    try:
        with tempfile.TemporaryDirectory(prefix="quorumkey-demo-") as folder:
            stage = Stage(console, pace=pace)
            return asyncio.run(_unless_told_to_stop(play(stage, Path(folder))))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except ExceptionGroup as group:
        raise _refusal(group) from None
    except _FAILURES as error:
        raise _refusal(error) from None


async def _unless_told_to_stop(play: Coroutine[None, None, T]) -> T:
    """Cancel the play where the process is told to end, so that it cleans up behind itself."""
    task = asyncio.ensure_future(play)
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, task.cancel)
    return await task


def _refusal(error: Exception) -> Refused:
    """Return the sentence of the first failure of ours; raises what is none."""
    while isinstance(error, ExceptionGroup):
        error = cast("ExceptionGroup[Exception]", error).exceptions[0]
    if isinstance(error, _FAILURES):
        return Refused(f"the demonstration failed: {error}")
    raise error
