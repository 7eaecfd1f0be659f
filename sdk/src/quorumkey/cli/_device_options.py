"""What the device's commands share: their options, and running one device's work."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeVar

import typer

from quorumkey.cli._integrator import HttpHostOption, JsonOption, RequestArgument
from quorumkey.device import SoftwareDevice
from quorumkey.protocol.pictogram import pictogram, speakable

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

__all__ = [
    "DEFAULT_HOME",
    "HomeOption",
    "HttpHostOption",
    "JsonOption",
    "RelayOption",
    "RequestArgument",
    "YesOption",
    "device_at",
    "pictogram_of",
    "run_device",
]

T = TypeVar("T")

DEFAULT_HOME: Final = Path("~/.quorumkey")

HomeOption = Annotated[
    Path, typer.Option("--home", help="The device's folder; only yours to read.")
]
RelayOption = Annotated[
    str | None,
    typer.Option(
        "--relay", metavar="URL", help="Which relay, for a typed code or where it knows several."
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask; for scripts.")]


def device_at(home: Path, relay: str | None, http_hosts: list[str] | None) -> SoftwareDevice:
    """The device in a folder."""
    return SoftwareDevice(home.expanduser(), relay_url=relay, http_hosts=http_hosts or ())


def run_device(
    device: SoftwareDevice, work: Callable[[SoftwareDevice], Coroutine[None, None, T]]
) -> T:
    """Do a device's work and close its connections."""

    async def inside() -> T:
        async with device:
            return await work(device)

    return asyncio.run(inside())


def pictogram_of(fingerprint: str) -> str:
    """The five emoji and their names."""
    return f"{' '.join(pictogram(fingerprint))}  {speakable(fingerprint)}"
