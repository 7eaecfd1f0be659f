"""The relay of the demonstration: its command line, and a process that serves."""

from __future__ import annotations

import asyncio
import os
import shlex
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

import msgspec

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from quorumkey_relay.demo.stage import Stage

START_SECONDS: Final = 30
STOP_SECONDS: Final = 15
_OWN_VARIABLES: Final = ("QUORUMKEY_", "_QUORUMKEY_")


class RelayFailedError(Exception):
    """The relay's process did not do what it was started for; the message is its last word."""


class Party(msgspec.Struct, frozen=True):
    """An integrator, as ``init`` names it."""

    id: str
    name: str


class Initialised(msgspec.Struct, frozen=True):
    """What ``quorumkey-relay init --json`` prints."""

    integrator: Party
    api_key: str
    relay: str


class Serving(msgspec.Struct, frozen=True):
    """What ``quorumkey-relay serve --json`` prints."""

    url: str
    relay: str


def environment(settings: Mapping[str, str] | None = None) -> Mapping[str, str]:
    """Return this process's variables, but for the relay's own none than ``settings``."""
    others = {
        name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)
    }
    return {**others, **(settings or {})}


async def _start(
    stage: Stage, *arguments: str, stderr: int, settings: Mapping[str, str] | None = None
) -> Process:
    stage.command(shlex.join(("quorumkey-relay", *arguments)))
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "quorumkey_relay",
        *arguments,
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=stderr,
        env=environment(settings),
    )


async def initialise(stage: Stage, data: Path, integrator: str) -> Initialised:
    """Set a data folder up; raises ``RelayFailedError``."""
    printed = await run(stage, "init", "--data-dir", str(data), "--integrator", integrator)
    return msgspec.json.decode(printed, type=Initialised)


async def run(stage: Stage, *arguments: str) -> bytes:
    """Run a command of the relay; return the JSON it prints, or raise ``RelayFailedError``."""
    process = await _start(stage, *arguments, "--json", stderr=PIPE)
    async with ended(process):
        printed, said = await process.communicate()
    if process.returncode:
        raise RelayFailedError(said.decode("utf-8", "replace").strip())
    return printed


@asynccontextmanager
async def served(
    stage: Stage, data: Path, settings: Mapping[str, str] | None = None
) -> AsyncGenerator[Serving]:
    """Serve a data folder on a free loopback port for as long as the context lasts."""
    log = data / "demo.log"
    with log.open("wb") as file:
        process = await _start(
            stage,
            *("serve", "--data-dir", str(data), "--host", "127.0.0.1", "--port", "0", "--json"),
            stderr=file.fileno(),
            settings=settings,
        )
    async with ended(process):
        line = await first_line(process)
        if not line:
            raise RelayFailedError(_last_line(log))
        yield msgspec.json.decode(line, type=Serving)


async def first_line(process: Process) -> bytes:
    """Return what a process prints first; nothing when it ends or takes too long."""
    if process.stdout is None:
        raise AssertionError
    try:
        async with asyncio.timeout(START_SECONDS):
            return await process.stdout.readline()
    except TimeoutError:
        return b""


@asynccontextmanager
async def ended(process: Process) -> AsyncGenerator[None]:
    """See to it that the process has ended when the context has, however it ends."""
    try:
        yield
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await process.communicate()
            except TimeoutError:
                process.kill()
                await process.communicate()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return lines[-1] if lines else "the relay did not start in time"
