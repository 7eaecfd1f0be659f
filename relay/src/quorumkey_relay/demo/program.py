"""A demonstration as a program of its own: its options, its result, its exit status."""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING, Final, TypeVar

from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.demo.run import perform

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    from _typeshed import DataclassInstance

    from quorumkey_relay.demo.stage import Stage

    S = TypeVar("S", bound=DataclassInstance)

_FAILED: Final = 1
_INTERRUPTED: Final = 130


def program(
    play: Callable[[Stage, Path], Coroutine[None, None, S]],
    *,
    name: str,
    description: str,
) -> int:
    """Show what ``make NAME`` shows, with the process's arguments; return its exit status."""
    parser = argparse.ArgumentParser(prog=f"make {name}", description=description)
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--pace", type=float, help="seconds between events; 0.4 in a terminal")
    chosen = parser.parse_args()
    out = Output(as_json=chosen.json)
    try:
        summary = perform(play, pace=chosen.pace, out=out)
    except Refused as refused:
        sys.stderr.write(f"{name}: {refused}\n")
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    out.json(dataclasses.asdict(summary))
    return 0
