"""Looking up names with the machine's own resolver, off the event loop and within bounds.

A name's server may be its owner's, and answer never. So a lookup has a thread of its own, which
neither the loop's few threads nor the end of the process wait for, and there are only so many.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

#: Returns the addresses of a host as text, as they are to be tried; raises ``OSError``.
Resolve = Callable[[str], Awaitable[Sequence[str]]]

MAX_LOOKUPS_AT_ONCE: Final = 64


class SystemResolver:
    """``getaddrinfo`` (RFC 3493), whose order of addresses is that of RFC 6724."""

    def __init__(self, *, limit: int = MAX_LOOKUPS_AT_ONCE) -> None:
        """Run up to ``limit`` lookups at once; others wait."""
        self._slots = asyncio.Semaphore(limit)

    async def __call__(self, host: str) -> Sequence[str]:
        """Return the addresses of ``host``; raises ``OSError``, also where there are none."""
        await self._slots.acquire()
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Sequence[str]] = loop.create_future()
        threading.Thread(
            target=self._look_up, args=(host, loop, answer), name="lookup", daemon=True
        ).start()
        return await answer

    def _look_up(
        self, host: str, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Sequence[str]]
    ) -> None:
        found: Sequence[str] | OSError
        try:
            rows = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            found = tuple(dict.fromkeys(str(address[0]) for *_, address in rows))
        except OSError as error:
            found = error
        except UnicodeError:  # a label that the IDNA codec of Python refuses
            found = OSError("no such name")
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
            loop.call_soon_threadsafe(self._take, found, answer)

    def _take(self, found: Sequence[str] | OSError, answer: asyncio.Future[Sequence[str]]) -> None:
        self._slots.release()
        if answer.done():  # who asked has given up
            return
        if isinstance(found, OSError):
            answer.set_exception(found)
        else:
            answer.set_result(found)
