"""The command ``quorumkey-attest``; it needs the extra ``cli`` (typer, rich)."""

from __future__ import annotations

import sys
from typing import Final, TextIO

__all__ = ["main"]

_USAGE: Final = 2
_EXTRA: Final = frozenset({"typer", "rich"})


def main() -> None:
    """Run the command with the process's arguments and exit with its status."""
    try:
        from quorumkey_attestation.cli.app import run  # noqa: PLC0415  # the extra may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write(
            "quorumkey-attest: the command needs more: pip install 'quorumkey-attestation[cli]'.\n"
        )
        sys.exit(_USAGE)
    for stream in (sys.stdout, sys.stderr):
        _write_anything(stream)
    sys.exit(run(sys.argv[1:]))


def _write_anything(stream: TextIO) -> None:
    """Let characters that the terminal's encoding lacks be written as escapes."""
    reconfigure = getattr(stream, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
