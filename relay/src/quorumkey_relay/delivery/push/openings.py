"""The first call of an origin goes alone, so that a burst opens one connection and not one each.

Until TLS has agreed on HTTP/2 a client cannot know that one connection will serve all calls.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from quorumkey_relay.delivery.transport import Answer

#: How long the first call holds up the others; then they go all the same.
FIRST_ANSWER_SECONDS: Final = 1.0
#: After so long without an answer the connection may be gone; clients close idle ones later.
OPEN_SECONDS: Final = 50.0
MAX_ORIGINS: Final = 1_024


class Openings:
    """Which origins have a connection by all that is known, and who is opening one."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        """Know of no connection."""
        self._monotonic = monotonic
        self._answered: OrderedDict[str, float] = OrderedDict()
        self._opening: dict[str, asyncio.Future[None]] = {}

    async def call(self, origin: str, send: Callable[[], Awaitable[Answer]]) -> Answer:
        """Return what ``send`` returns, after the call that opens the connection if need be."""
        answered = self._answered.get(origin)
        if answered is not None and self._monotonic() - answered < OPEN_SECONDS:
            answer = await send()
        elif origin in self._opening:
            await asyncio.wait((self._opening[origin],), timeout=FIRST_ANSWER_SECONDS)
            answer = await send()
        else:
            opening = self._opening[origin] = asyncio.get_running_loop().create_future()
            try:
                answer = await send()
            finally:
                del self._opening[origin]
                opening.set_result(None)
        self._answered[origin] = self._monotonic()
        self._answered.move_to_end(origin)
        if len(self._answered) > MAX_ORIGINS:
            self._answered.popitem(last=False)
        return answer
