"""The process around a relay: its socket, uvicorn's settings, signals and the way down.

Going down: stop accepting, close device sockets with 4503, end event streams and long polls,
finish the calls under way within the grace, then stop the relay.
"""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
import socket
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import TYPE_CHECKING, Final, Protocol

import uvicorn
import uvloop

from quorumkey.protocol.limits import MAX_FRAME_BYTES, PING_SECONDS
from quorumkey_relay.api.application import Application
from quorumkey_relay.api.ports import RelayPort
from quorumkey_relay.app import build as build_relay
from quorumkey_relay.observe import logs
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.wire import BoundedProtocol, BoundedSocketProtocol

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator
    from types import FrameType

    from starlette.types import ASGIApp

    from quorumkey_relay.settings import Settings

#: Longer than the idle time of common reverse proxies (60 s), so that they close first.
KEEP_ALIVE_SECONDS: Final = 75

#: How long a device may take to answer a ping.
PONG_SECONDS: Final = 20

#: How long close frames may take to go out at shutdown.
DRAIN_SECONDS: Final = 2.0

#: Objects made and not yet gone after which the garbage collector looks at them, and how often
#: it looks at older ones. Python's 700 would take a twelfth of the time of a decision; with many
#: more than this a single look takes tens of milliseconds.
COLLECT_AFTER: Final = (5_000, 10, 10)

#: Files and sockets that may be open: devices' streams, and 2,048 sends with their kept
#: connections. Many systems begin with 1,024 and allow far more to who asks; with none left
#: nobody could connect.
OPEN_FILES: Final = 65_536

_BACKLOG: Final = 4_096
_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)


class Service(RelayPort, Protocol):
    """A relay with its life cycle."""

    async def start(self) -> None:
        """Open the store and start the work in the background."""
        ...

    async def stop(self) -> None:
        """Finish that work and close the store."""
        ...


def run(
    settings: Settings,
    build: Callable[[Settings], Service] = build_relay,
    *,
    on_ready: Callable[[Service], None] | None = None,
) -> None:
    """Serve until SIGINT or SIGTERM, logging as the settings say.

    Raises ConfigError when the address cannot be taken, and what ``Service.start`` raises.
    ``on_ready`` is called once calls are answered; the service's settings have the bound port.
    """
    logs.configure(settings.log_level, settings.log_format)
    allow_open_files()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_run(settings, build, on_ready))


async def _run(
    settings: Settings,
    build: Callable[[Settings], Service],
    on_ready: Callable[[Service], None] | None,
) -> None:
    async with _prepared(settings, build) as (server, service):
        settle_memory()
        server.handles_signals = True
        if on_ready is not None:
            server.on_ready = lambda: on_ready(service)
        await server.serve()


@asynccontextmanager
async def serving(
    settings: Settings, build: Callable[[Settings], Service] = build_relay
) -> AsyncGenerator[Service, None]:
    """Serve in this event loop for as long as the context lasts; leaves signals alone."""
    async with _prepared(settings, build) as (server, service):
        ready = asyncio.Event()
        server.on_ready = ready.set
        task = asyncio.create_task(server.serve())
        waiting = asyncio.create_task(ready.wait())
        try:
            await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
            if not ready.is_set():
                task.result()
            yield service
        finally:
            waiting.cancel()
            server.should_exit = True
            await task


@asynccontextmanager
async def _prepared(
    settings: Settings, build: Callable[[Settings], Service]
) -> AsyncGenerator[tuple[_Server, Service], None]:
    """Bind the address, start the relay, and stop it when the server is done."""
    log = logs.get()
    with _bound(settings) as listener:
        bound = settings.bound_to(int(listener.getsockname()[1]))
        service = build(bound)
        await service.start()
        try:
            application = Application(service)
            server = _Server(uvicorn_config(application, bound), application, listener)
            log.info("relay_started", url=bound.url, mode=bound.mode, port=bound.port)
            yield server, service
        finally:
            await service.stop()
            log.info("relay_stopped")


@contextmanager
def _bound(settings: Settings) -> Generator[socket.socket, None, None]:
    """Take the address; nobody is answered before uvicorn listens on it."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError((f"The host {settings.host} is not known: {error}.",)) from None
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            problem = f"{settings.host} port {settings.port} cannot be listened on: {error}."
            raise ConfigError((problem,)) from None
        yield listener


def allow_open_files() -> None:
    """Raise the soft limit of open files to ``OPEN_FILES``, or as far as the hard one allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return
    with suppress(ValueError, OSError):  # macOS allows less than what it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def settle_memory() -> None:
    """Have the garbage collector leave alone what was loaded at start, and look less often.

    Programs, devices and pairings stay for as long as the process runs: looking through them again
    and again would find nothing, and stop every call for as long as it takes.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


def uvicorn_config(application: ASGIApp, settings: Settings) -> uvicorn.Config:
    """Return what the relay is served with; the benchmark's baselines are served with the same."""
    return uvicorn.Config(
        application,
        interface="asgi3",
        http=BoundedProtocol,
        ws=BoundedSocketProtocol,
        ws_max_size=MAX_FRAME_BYTES,
        ws_ping_interval=PING_SECONDS,
        ws_ping_timeout=PONG_SECONDS,
        ws_per_message_deflate=False,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=_BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.shutdown_grace_seconds,
    )


class _Server(uvicorn.Server):
    """uvicorn's server with our way down, and a word when it is up."""

    def __init__(
        self, config: uvicorn.Config, application: Application, listener: socket.socket
    ) -> None:
        super().__init__(config)
        self._application = application
        self._listener = listener
        self.on_ready: Callable[[], None] | None = None
        self.handles_signals = False

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve on the socket that was bound."""
        await super().serve([self._listener] if sockets is None else sockets)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, then say so."""
        await super().startup(sockets)
        if self.on_ready is not None:
            self.on_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close what would wait for ever, then let uvicorn finish the rest."""
        for server in self.servers:
            server.close()
        try:
            async with asyncio.timeout(DRAIN_SECONDS):
                await self._application.drain()
        except TimeoutError:
            logs.get().warning("drain_timed_out")
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """Let signals end the serving; unlike uvicorn's, without raising them again after it."""
        if not self.handles_signals:
            yield
            return
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Go down at the first signal, at once at the second."""
        if self.should_exit:
            self.force_exit = True
        super().handle_exit(sig, frame)
