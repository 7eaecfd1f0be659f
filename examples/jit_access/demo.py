"""``make demo-jit``: Alice asks for a role, Bob approves it on his device, and time takes it away.

Google Cloud and the identity provider are stand-ins, and the clock is moved by hand; the relay, the
e-mail, the commands that people type, the signature and the proof are real.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from typing import TYPE_CHECKING, Final

from examples.jit_access.story import Summary, play

from quorumkey_relay.cli.output import Output, Refused
from quorumkey_relay.demo.run import perform

if TYPE_CHECKING:
    from collections.abc import Sequence

_FAILED: Final = 1
_INTERRUPTED: Final = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Show it; return the process's exit status."""
    parser = argparse.ArgumentParser(
        prog="make demo-jit",
        description="A role is given for a while, with a peer's approval, and ends by itself.",
    )
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("--pace", type=float, help="seconds between events; 0.4 in a terminal")
    chosen = parser.parse_args(arguments)
    out = Output(as_json=chosen.json)
    try:
        summary: Summary = perform(play, pace=chosen.pace, out=out)
    except Refused as refused:
        sys.stderr.write(f"demo-jit: {refused}\n")
        return _FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED
    out.json(dataclasses.asdict(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
