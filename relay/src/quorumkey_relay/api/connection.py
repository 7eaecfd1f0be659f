"""The sending side of one socket: a bounded queue that costs nothing while it is empty."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from starlette.types import Send

#: Frames that may wait for a slow reader before it is dropped (a challenge is some 1.5 kB).
MAX_QUEUED_FRAMES: Final = 64

#: How long a close frame may wait for a reader that takes nothing.
CLOSE_SECONDS: Final = 5.0


class Connection:
    """One accepted socket. ``offer`` and ``close`` never block; a task runs only while sending."""

    __slots__ = ("_flusher", "_frames", "_owner", "_send", "close_code", "is_dropped")

    def __init__(self, send: Send) -> None:
        """Send through ``send``; the current task is the one that receives."""
        self._send = send
        self._owner = asyncio.current_task()
        self._frames: list[bytes] = []
        self._flusher: asyncio.Task[None] | None = None
        self.close_code: int | None = None
        self.is_dropped = False

    def begin(self, frames: Sequence[bytes]) -> None:
        """Send what a new connection starts with; it does not count against the queue."""
        if self.close_code is None:
            self._flusher = asyncio.ensure_future(self._flush(frames))

    def offer(self, frame: bytes) -> bool:
        """Queue a frame; False when the socket is closing, or now dropped as too slow."""
        if self.close_code is not None or self.is_dropped:
            return False
        if len(self._frames) >= MAX_QUEUED_FRAMES:
            self.drop()
            return False
        self._frames.append(frame)
        if self._flusher is None:
            self._flusher = asyncio.ensure_future(self._flush(()))
        return True

    def close(self, code: int) -> None:
        """Close with ``code``, sending nothing more; only the first close counts."""
        if self.close_code is not None or self.is_dropped:
            return
        self.close_code = code
        self._stop_flushing()
        self._flusher = asyncio.ensure_future(self._finish(code))

    def drop(self) -> None:
        """Give the socket up without a close frame, which its reader would not take."""
        if not self.is_dropped:
            self.is_dropped = True
            self._stop_flushing()
            if self._owner is not None:
                self._owner.cancel()

    def _stop_flushing(self) -> None:
        self._frames.clear()
        if self._flusher is not None:
            self._flusher.cancel()
            self._flusher = None

    async def _flush(self, first: Sequence[bytes]) -> None:
        """Send ``first``, then whatever was offered meanwhile."""
        batch = first
        while True:
            for frame in batch:
                if not await self._sent({"type": "websocket.send", "text": frame.decode()}):
                    return
            batch, self._frames = self._frames, []
            if not batch:
                self._flusher = None
                return

    async def _finish(self, code: int) -> None:
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._sent({"type": "websocket.close", "code": code})
        except TimeoutError:
            self.drop()

    async def _sent(self, message: dict[str, object]) -> bool:
        """Send one message; False when the peer has gone, which the receiving side notices."""
        try:
            await self._send(message)
        except OSError:  # the ASGI specification's way to say that the peer has gone
            return False
        return True
