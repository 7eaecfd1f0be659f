"""The stand-ins as a program in the foreground."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final

import uvloop

from quorumkey_relay.standins.stands import start_stand_ins

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from quorumkey_relay.standins.ledger import Received
    from quorumkey_relay.standins.stands import Ports, StandIns

_STOP_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


def run(
    folder: Path,
    ports: Ports,
    *,
    on_ready: Callable[[StandIns], None],
    on_received: Callable[[Received], None],
) -> None:
    """Serve until SIGINT or SIGTERM; raises ``OSError`` where a port cannot be taken."""
    uvloop.run(_serve(folder.resolve(), ports, on_ready=on_ready, on_received=on_received))


async def _serve(
    folder: Path,
    ports: Ports,
    *,
    on_ready: Callable[[StandIns], None],
    on_received: Callable[[Received], None],
) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in _STOP_SIGNALS:
        loop.add_signal_handler(number, stopped.set)
    async with start_stand_ins(folder, ports=ports, on_received=on_received) as stands:
        on_ready(stands)
        await stopped.wait()
