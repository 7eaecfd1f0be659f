"""A relay in a thread of its own, for tests whose calls block."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import uvloop

if TYPE_CHECKING:
    from collections.abc import Generator
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")


@contextmanager
def in_a_thread(opening: AbstractAsyncContextManager[T]) -> Generator[T]:
    """Have ``opening`` open in another thread, and closed there again."""
    ready: list[T] = []
    started, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with opening as opened:
            ready.append(opened)
            started.set()
            await asyncio.to_thread(stop.wait)

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve())
        finally:
            started.set()

    thread = threading.Thread(target=run)
    thread.start()
    started.wait()
    try:
        yield ready[0]
    finally:
        stop.set()
        thread.join()
