"""What the relay is compared with: ``python -m bench.target KIND`` serves one of

* ``baseline``: a bare Starlette application under the relay's own settings of uvicorn and of the
  garbage collector. ``POST /echo`` answers the body it was sent; ``POST /verified`` verifies one
  P-256 signature before it does;
* ``null``: no web server at all, the same few bytes in answer to whatever comes in, which shows
  how much the load generator can ask for.

Like ``quorumkey-relay serve --json`` the process prints ``{"url": …}`` once it answers.
"""  # noqa: D415 - the first line goes on in the list

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from typing import TYPE_CHECKING, Final, cast

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from quorumkey.protocol import PrivateKey
from quorumkey_relay.server import settle_memory, uvicorn_config
from quorumkey_relay.settings import Settings

if TYPE_CHECKING:
    import socket

    from starlette.requests import Request

#: As long as what a device signs when it decides.
SIGNED_BYTES: Final = 350

_HOST: Final = "127.0.0.1"
_NULL_ANSWER: Final = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def announce(port: int) -> None:
    """Say where calls are answered."""
    sys.stdout.write(json.dumps({"url": f"http://{_HOST}:{port}"}) + "\n")
    sys.stdout.flush()


def baseline() -> Starlette:
    """Return the application that the relay is compared with."""
    key = PrivateKey.generate()
    message = bytes(SIGNED_BYTES)
    signature = key.sign(message)
    verify = key.public_key.verify

    async def echo(request: Request) -> Response:
        return Response(await request.body(), media_type="application/json")

    async def verified(request: Request) -> Response:
        body = await request.body()
        verify(signature, message)
        return Response(body, media_type="application/json")

    return Starlette(
        routes=[
            Route("/echo", echo, methods=["POST"]),
            Route("/verified", verified, methods=["POST"]),
        ]
    )


class _Baseline(uvicorn.Server):
    """uvicorn's server, saying when it is up."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        announce(self.servers[0].sockets[0].getsockname()[1])


async def serve_baseline() -> None:
    """Serve the baseline until SIGTERM."""
    config = uvicorn_config(baseline(), Settings())
    config.host, config.port = _HOST, 0
    settle_memory()
    await _Baseline(config).serve()


class _Null(asyncio.Protocol):
    """Answers each read; the load generator has one call on the way per connection."""

    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are of the right kind without deriving from it.
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        del data
        self._transport.write(_NULL_ANSWER)


async def serve_null() -> None:
    """Serve fixed bytes until SIGTERM."""
    listening = await asyncio.get_running_loop().create_server(_Null, _HOST, 0)
    announce(listening.sockets[0].getsockname()[1])
    await listening.serve_forever()


KINDS: Final = {"baseline": serve_baseline, "null": serve_null}


def main() -> None:
    """Read the command line and serve."""
    parser = argparse.ArgumentParser(prog="python -m bench.target")
    parser.add_argument("kind", choices=KINDS)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(KINDS[parser.parse_args().kind]())


if __name__ == "__main__":
    main()
