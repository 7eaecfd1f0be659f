"""``make demo-protected``: a dangerous call waits for a second administrator, and runs once.

Nothing in it is staged: a relay and the example's gRPC service run as processes of their own, two
administrators have software devices with keys in files, and the proof is verified from bytes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING, Final

from examples.workshop.story import Summary, play

from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.demo.run import perform

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAILED: Final = 1
_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Show it; return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="make demo-protected",
        description="A call of a protected method waits for a second administrator.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--pace", type=float, help="seconds between events; 0.4 in a terminal")
    chosen = parser.parse_args(arguments)
    out = Output(as_json=chosen.json)
    try:
        summary: Summary = perform(play, pace=chosen.pace, out=out)
    except Refused as refused:
        sys.stderr.write(f"demo-protected: {refused}\n")
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    out.json(dataclasses.asdict(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
