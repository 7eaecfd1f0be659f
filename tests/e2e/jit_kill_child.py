"""A relay that dies while it grants and ends access: the process that a test starts and kills.

It works as `protected_kill_child` does. The target is a file that outlives the relay; beside every
operation of the database, the moments before and after the target has done something are moments at
which the relay may die.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import sys
import traceback
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

from tests.e2e.protected_kill_child import Fuse, Journal, fused
from tests.relay.jit.grant_world import (
    BOB,
    HOUR,
    START,
    Surroundings,
    Target,
    World,
    world,
)

from quorumkey_relay.store.sqlite import store as store_module

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.request import AccessRequest

ROLE_FILE: Final = "role"
CALLS_FILE: Final = "calls"


class FileTarget(Target):
    """A target that outlives the relay: who has the role stands in a file."""

    def __init__(self, folder: Path, fuse: Fuse) -> None:
        super().__init__(expires_by_itself=False)
        self._folder = folder
        self._fuse = fuse

    async def grant(self, activation: Activation, evidence: bytes | None) -> None:
        """Give the role."""
        del evidence
        self._do_to_file("grant", activation.activation_id)

    async def revoke(self, activation: Activation) -> None:
        """Take it back."""
        del activation
        self._do_to_file("revoke", "")

    def _do_to_file(self, verb: str, holder: str) -> None:
        self._fuse.burn()
        with (self._folder / CALLS_FILE).open("a") as calls:
            calls.write(verb + "\n")
        (self._folder / ROLE_FILE).write_text(holder)
        self._fuse.burn()


async def ended(one: World, journal: Journal) -> None:
    """Time passes until the access is over."""
    journal.write("late")
    one.clock.seconds = START + HOUR
    await one.settle()


async def peers(one: World, journal: Journal) -> None:
    """Somebody asks for the role, a reviewer approves on a device, access begins and ends."""
    if journal.last("late") is None:
        request = await waiting(one)
        if request is None and journal.last("asked") is None:
            request = await one.ask(BOB)
            journal.write("asked")
        if request is not None:
            stored = await one.signed(request)
            if stored.state.status == "pending":
                await one.decide(request)
                journal.write("approved")
        await one.settle()
        journal.write("granted")
    await ended(one, journal)


async def waiting(one: World) -> AccessRequest | None:
    """The request that waits, if the last life left one."""
    return next(iter(one.store.open_access_requests()), None)


async def alone(one: World, journal: Journal) -> None:
    """Somebody activates the role alone, once, and access ends."""
    if journal.last("late") is None:
        if not list(one.store.open_activations()) and journal.last("granted") is None:
            await one.activate_alone()
        await one.settle()
        journal.write("granted")
    await ended(one, journal)


async def revoked(one: World, journal: Journal) -> None:
    """Somebody activates the role alone and takes it back before its end."""
    if not list(one.store.open_activations()) and journal.last("granted") is None:
        await one.activate_alone()
    await one.settle()
    journal.write("granted")
    for role in one.store.open_activations():
        await one.take_back(role)
    await one.settle()
    journal.write("late")


CLIENTS: Final[dict[str, Callable[[World, Journal], Awaitable[None]]]] = {
    "peers": peers,
    "alone": alone,
    "revoked": revoked,
}


async def play(client: str, folder: Path, fuse: Fuse) -> None:
    """One life of a relay and its client, until the client has done what it wanted."""
    journal = Journal(folder)
    around = Surroundings(folder, FileTarget(folder, fuse))
    if journal.last("late") is not None:
        around.clock.seconds = START + HOUR
    async with world(around) as one:
        fuse.lit = True
        await one.settle()
        await CLIENTS[client](one, journal)
        fuse.lit = False


async def prepare(folder: Path) -> None:
    """A relay with the devices of reviewers."""
    async with world(Surroundings(folder, FileTarget(folder, Fuse(None)))):
        pass


def fork(order: dict[str, Any], base: Path) -> str:
    """Have a process of its own live once; answers how it ended."""
    folder = Path(order["folder"])
    if not folder.exists():
        shutil.copytree(base, folder)
    child = os.fork()
    if child == 0:
        fuse = Fuse(order["kill_at"])
        try:
            with patch.object(store_module, "connect", fused(fuse)):
                asyncio.run(play(order["client"], folder, fuse))
        except BaseException:  # noqa: BLE001 - nothing may get out into the parent's own work
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return "done" if os.WEXITSTATUS(status) == 0 else "failed"


def main() -> None:
    """Serve orders until the input ends."""
    base = Path(sys.argv[1])
    # What relays log goes elsewhere than the answers.
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    base.mkdir()
    asyncio.run(prepare(base))
    for line in sys.stdin:
        answers.write(fork(json.loads(line), base) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
