"""``python -m examples.workshop grpc|asgi``: serve the example until it is interrupted."""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvicorn
from examples.workshop.asgi_service import make_app
from examples.workshop.callers import Callers
from examples.workshop.fleet import Fleet
from examples.workshop.grpc_service import make_server
from examples.workshop.methods import SERVICE, declared

from quorumkey.protection import Guard, Roster

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve as the arguments say; the relay and its API key are in the environment."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.workshop",
        description="Serve the example. QUORUMKEY_URL and QUORUMKEY_API_KEY name the relay.",
    )
    parser.add_argument("variant", choices=("grpc", "asgi"))
    parser.add_argument("--roster", type=Path, required=True, help="the administrators' keys")
    parser.add_argument("--callers", type=Path, required=True, help="who has which token")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    chosen = parser.parse_args(arguments)
    fleet = Fleet()
    guard = Guard(
        service=SERVICE, methods=declared(fleet), administrators=Roster.load(chosen.roster)
    )
    serve = _serve_grpc if chosen.variant == "grpc" else _serve_asgi
    asyncio.run(serve(fleet, guard, Callers.load(chosen.callers), chosen.port))


async def _serve_grpc(fleet: Fleet, guard: Guard, callers: Callers, port: int) -> None:
    told = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, told.set)
    async with guard:
        server = make_server(fleet, guard, callers)
        bound = server.add_insecure_port(f"127.0.0.1:{port}")
        await server.start()
        _say(bound)
        await told.wait()
        await server.stop(grace=None)


async def _serve_asgi(fleet: Fleet, guard: Guard, callers: Callers, port: int) -> None:
    listening = socket.create_server(("127.0.0.1", port))
    config = uvicorn.Config(make_app(fleet, guard, callers), log_level="warning", lifespan="on")
    _say(listening.getsockname()[1])
    await uvicorn.Server(config).serve([listening])


def _say(port: int) -> None:
    """Tell whoever started this where it serves."""
    sys.stdout.write(json.dumps({"address": f"127.0.0.1:{port}"}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
