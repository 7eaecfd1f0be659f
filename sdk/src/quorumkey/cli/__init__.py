"""The command ``quorumkey``; it needs the extra ``cli`` (typer, rich, websockets)."""

from __future__ import annotations

import sys
from typing import Final

__all__ = ["main"]

_USAGE: Final = 2
_EXTRA: Final = frozenset({"typer", "rich", "websockets"})


def main() -> None:
    """Run the command with the process's arguments and exit with its status."""
    try:
        from quorumkey.cli._app import run  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in _EXTRA:
            raise
        sys.stderr.write("quorumkey: the command needs more: pip install 'quorumkey[cli]'.\n")
        sys.exit(_USAGE)
    sys.exit(run(sys.argv[1:]))
