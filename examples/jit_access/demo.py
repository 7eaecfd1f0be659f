"""``make demo-jit``: Alice asks for a role, Bob approves it on his device, and time takes it away.

Google Cloud and the identity provider are stand-ins, and the clock is moved by hand; the relay, the
e-mail, the commands that people type, the signature and the proof are real.
"""

from __future__ import annotations

import sys

from examples.jit_access.story import play

from quorumkey_relay.demo.program import program

if __name__ == "__main__":
    sys.exit(
        program(
            play,
            name="demo-jit",
            description="A role is given for a while, with a peer's approval, and ends by itself.",
        )
    )
