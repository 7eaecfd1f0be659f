"""A real relay on a loopback socket in a thread of its own, for clients that know only the page.

This is the one module of these tests that knows the relay's code: it starts it, moves its clock
and creates two integrators. Everything else goes over the sockets.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import threading
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import httpx2
import uvloop
from tests.e2e.protocol_client import PATIENCE, Integrator, Relay

from quorumkey_relay.app import Relay as Service
from quorumkey_relay.app import build
from quorumkey_relay.identity import principals
from quorumkey_relay.mint import SystemMint
from quorumkey_relay.server import serving
from quorumkey_relay.settings import Settings
from quorumkey_relay.store.writes import PutApiKey, PutIntegrator

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

#: When a world begins, in seconds since 1970.
START = 1_800_000_000

GENEROUS: dict[str, Any] = {
    "rate_api_key": 10_000_000,
    "rate_device": 10_000_000,
    "rate_ip": 10_000_000,
    "rate_ip_failures": 10_000_000,
    "max_pending_per_device": 1_000_000,
}

ACME = ("0190a000-0000-7000-8000-000000000001", "Acme Corp", "qk_test_" + "1a" * 32)
UMBRELLA = ("0190a000-0000-7000-8000-000000000002", "Umbrella", "qk_test_" + "2b" * 32)


class Clock:
    """The relay's clock, which tests move."""

    def __init__(self) -> None:
        self.seconds = START

    def now(self) -> int:
        """Seconds since 1970."""
        return self.seconds

    def monotonic(self) -> float:
        """Seconds for rate limits."""
        return float(self.seconds)

    def advance(self, seconds: int) -> None:
        """Let time pass."""
        self.seconds += seconds


@dataclass
class World:
    """A served relay and two integrators of it."""

    relay: Relay
    acme: Integrator
    umbrella: Integrator
    clock: Clock
    stopping: Event


class Event:
    """Asks the relay's thread to end, from any other."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._event = asyncio.Event()

    def set(self) -> None:
        """Ask."""
        self._loop.call_soon_threadsafe(self._event.set)

    async def wait(self) -> None:
        """Wait in the relay's loop until asked."""
        await self._event.wait()


async def _serve(settings: Settings, clock: Clock, started: Future[tuple[str, Event]]) -> None:
    made = functools.partial(build, clock=clock, mint=SystemMint())
    async with serving(settings, made) as service:
        relay = cast("Service", service)
        for integrator_id, name, api_key in (ACME, UMBRELLA):
            await relay.store.commit(
                (
                    PutIntegrator(principals.Integrator(integrator_id, name)),
                    PutApiKey(_api_key(integrator_id, api_key)),
                )
            )
        stopping = Event()
        started.set_result((relay.settings.url, stopping))
        await stopping.wait()


def _api_key(integrator_id: str, text: str) -> principals.ApiKey:
    return principals.ApiKey(
        key_id=integrator_id,
        integrator_id=integrator_id,
        scope="integrator",
        name="tests",
        digest=hashlib.sha256(text.encode()).digest(),
        created_at=START,
    )


@contextmanager
def served(data_dir: Path, **settings: object) -> Generator[World, None, None]:
    """Serve a relay with generous limits, unless told otherwise, on a free port."""
    said: dict[str, Any] = GENEROUS | settings
    chosen = Settings(data_dir=data_dir, port=0, **said)
    clock = Clock()
    started: Future[tuple[str, Event]] = Future()

    def work() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(_serve(chosen, clock, started))
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    thread = threading.Thread(target=work, name="relay")
    thread.start()
    url, stopping = started.result(timeout=PATIENCE)
    try:
        with httpx2.Client(base_url=url, timeout=PATIENCE, trust_env=False) as http:
            relay = Relay(url, http)
            yield World(
                relay=relay,
                acme=_integrator(relay, ACME),
                umbrella=_integrator(relay, UMBRELLA),
                clock=clock,
                stopping=stopping,
            )
    finally:
        stopping.set()
        thread.join(timeout=PATIENCE)
        assert not thread.is_alive()


def _integrator(relay: Relay, row: tuple[str, str, str]) -> Integrator:
    integrator_id, name, api_key = row
    return Integrator(relay, api_key, integrator_id, name)
