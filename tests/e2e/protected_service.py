"""A service with one protected method, as a process of its own.

``python -m tests.e2e.protected_service <roster> <executions> <calls>``: says ``ready`` when its
guard is up, waits for a line, then issues the same call so many times at once and prints for each
what came of it. Every execution appends a line to the file. With ``0`` calls it issues one, says
``running`` from inside the handler and never comes back from it.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Final

from quorumkey.errors import QuorumkeyError
from quorumkey.protection import ApprovalRequired, Caller, Guard, Method, Roster

KILL: Final = "KillProcess"
RENAME: Final = "RenameHost"
METHODS: Final = (
    Method(KILL, kind="default"),
    Method(RENAME),
    Method("DeleteRule", kind="default", default_condition='resource.tag == "global"'),
)
ALICE: Final = Caller("person", "alice", "Alice")
REQUEST: Final = {"tag": "staging", "pids": [1, 2], "options": {"signal": 9, "tree": True}}


def _say(value: object) -> None:
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


async def serve(roster: Path, executions: Path, calls: int) -> None:
    """Run the service; the relay's address and the key are in the environment."""

    async def kill() -> str:
        with executions.open("a", encoding="utf-8") as file:
            file.write("killed\n")
        if not calls:
            _say("running")
            await asyncio.Event().wait()
        return "ran"

    async def call() -> str:
        try:
            return await guard.run(KILL, ALICE, REQUEST, kill)
        except ApprovalRequired as waiting:
            return waiting.txid
        except QuorumkeyError as error:
            return f"{type(error).__name__}: {error}"

    administrators = Roster.load(roster)
    async with Guard(service="workshop", methods=METHODS, administrators=administrators) as guard:
        _say("ready")
        await asyncio.to_thread(sys.stdin.readline)
        _say(await asyncio.gather(*(call() for _ in range(calls or 1))))


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))
