"""``quorumkey-relay demo``: the demonstration from its start to an empty temporary folder."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

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
    from collections.abc import Coroutine

    from quorumkey_relay.demo.story import Summary

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
        scenario = read_scenario(scenario_file)
        with tempfile.TemporaryDirectory(prefix="quorumkey-demo-") as folder:
            stage = Stage(console, pace=pace)
            summary = asyncio.run(_unless_told_to_stop(play(scenario, stage, Path(folder))))
    except asyncio.CancelledError:
        raise KeyboardInterrupt from None
    except ExceptionGroup as group:
        raise _refusal(group) from None
    except _FAILURES as error:
        raise _refusal(error) from None
    out.json(dataclasses.asdict(summary))


async def _unless_told_to_stop(play: Coroutine[None, None, Summary]) -> Summary:
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
