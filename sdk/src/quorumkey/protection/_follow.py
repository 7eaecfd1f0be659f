"""Following the relay: registering the catalogue, and hearing of changes as they are made."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from quorumkey.errors import (
    ClientError,
    ConfigurationError,
    RateLimitedError,
    RelayError,
    TransportError,
)
from quorumkey.protection import _calls
from quorumkey.protection._snapshot import SnapshotCache

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from quorumkey.protection._relay import Relay
    from quorumkey.protection.declarations import Method

__all__ = ["Follower"]

_LOG: Final = logging.getLogger("quorumkey.protection")
#: Pause after an answer without news that was not held, and after a failure (doubled to the cap).
_PAUSE_SECONDS: Final = 0.2
_LONGEST_PAUSE_SECONDS: Final = 5.0


class Follower:
    """Keeps a `SnapshotCache` fresh for as long as it runs."""

    def __init__(
        self,
        relay: Relay,
        service: str,
        methods: Mapping[str, Method],
        *,
        monotonic: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """Prepare to follow this relay."""
        self.cache = SnapshotCache()
        self._relay = relay
        self._service = service
        self._methods = methods
        self._monotonic = monotonic
        self._sleep = sleep
        self._registered = False
        self._silent = False
        self._news = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Register the catalogue and begin to follow.

        A relay that cannot be reached is tried again in the background.

        Raises:
            ApiError: the relay refuses the catalogue, or the API key.
            ConfigurationError: this has begun before.
        """
        if self._task is not None or self._relay.closed:
            raise ConfigurationError("A guard is entered once; make another one.")
        try:
            await self._register()
        except (TransportError, RelayError, RateLimitedError) as error:
            self._missed(error)
        except BaseException:
            await self._relay.close()
            raise
        self._task = asyncio.get_running_loop().create_task(self._follow())

    async def stop(self) -> None:
        """Follow no more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def reach(self, revision: int) -> None:
        """Wait until this revision or a later one is known."""
        while self.cache.revision is None or self.cache.revision < revision:
            self._news.clear()
            await self._news.wait()

    async def _follow(self) -> None:
        pause = _PAUSE_SECONDS
        while True:
            asked_at, before = self._monotonic(), self.cache.revision
            try:
                await (self._poll() if self._registered else self._register())
            except Exception as error:  # noqa: BLE001 - a guard that stops listening must not do so unheard
                self._missed(error)
                await self._sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
                continue
            pause = _PAUSE_SECONDS
            if self.cache.revision == before and self._monotonic() - asked_at < _PAUSE_SECONDS:
                # A relay that does not hold the question must not be asked without a pause.
                await self._sleep(_PAUSE_SECONDS)

    async def _register(self) -> None:
        asked_at = self._monotonic()
        call = _calls.register(self._service, self._methods.values())
        self.cache.take(await self._relay.ask_once(call), asked_at)
        self._registered = True
        self._heard()

    async def _poll(self) -> None:
        asked_at = self._monotonic()
        call = _calls.get_snapshot(self.cache.revision)
        self.cache.take(await self._relay.poll(call), asked_at)
        self._heard()

    def _heard(self) -> None:
        self._news.set()
        if self._silent:
            _LOG.warning("The relay is heard again.")
        self._silent = False

    def _missed(self, error: Exception) -> None:
        """Say once that the relay is not heard."""
        if not self._silent:
            _LOG.warning(
                "The relay is not heard, so calls of %s that could be protected do not run: %s",
                self._service,
                error,
                exc_info=None if isinstance(error, ClientError) else error,
            )
        self._silent = True
