"""The operator's command, ``quorumkey-relay``: set up, serve, and look after a relay."""

from __future__ import annotations

import os
import sys
from typing import Final, TextIO

from quorumkey_relay.cli.app import run

__all__ = ["main"]

#: Nothing that the relay writes is anybody else's to read.
_UMASK: Final = 0o077


def main() -> None:
    """Run the command with the process's arguments and exit with its status."""
    os.umask(_UMASK)
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    sys.exit(run(sys.argv[1:]))


def _write_anything(stream: TextIO) -> None:
    """Let characters that the terminal's encoding lacks be written as escapes."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
