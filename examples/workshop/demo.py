"""``make demo-protected``: a dangerous call waits for a second administrator, and runs once.

Nothing in it is staged: a relay and the example's gRPC service run as processes of their own, two
administrators have software devices with keys in files, and the proof is verified from bytes.
"""

from __future__ import annotations

import sys

from examples.workshop.story import play

from quorumkey_relay.demo.program import program

if __name__ == "__main__":
    sys.exit(
        program(
            play,
            name="demo-protected",
            description="A call of a protected method waits for a second administrator.",
        )
    )
