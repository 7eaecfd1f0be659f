"""Group commit: many commits in one transaction, one sync for all of them.

Statements run on the event loop's thread, where they cost microseconds; only ``COMMIT``, which
waits for the disk, runs in the writer's thread. While it waits, the next batch gathers. So two
thread hand-overs serve a whole batch, and no statement competes for the interpreter lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_relay.store.protocol import Conflict, StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from quorumkey_relay.store.writes import Commit

MAX_BATCH_COMMITS: Final = 512
BUSY_RETRY_SECONDS: Final = 0.01
MAX_BUSY_SECONDS: Final = 5.0
#: SQL and its values; a list holds the values of several rows.
Statement = tuple[str, tuple[object, ...] | list[tuple[object, ...]]]


@dataclass(slots=True)
class WriterCounters:
    """What the writer did since start: durable commits, and transactions that held them."""

    commits: int = 0
    transactions: int = 0


@dataclass(frozen=True, slots=True)
class _Job:
    commit: Commit
    statements: list[Statement]
    done: asyncio.Future[None]


class Writer:
    """The one writer of a database; all methods but the thread's run on the event loop."""

    def __init__(  # noqa: PLR0913 - its listeners
        self,
        connection: sqlite3.Connection,
        *,
        on_durable: Callable[[Commit], None],
        on_failure: Callable[[], None],
        on_begin: Callable[[], None],
        on_transaction: Callable[[int, float], None],
        guarded: Collection[str] = (),
    ) -> None:
        """Start the thread.

        ``on_durable`` is called for each commit in order once it is on disk, before its awaiter
        goes on; ``on_failure`` after a batch failed and was rolled back; ``on_begin`` when a
        transaction has the write lock and has written nothing yet; ``on_transaction`` with the
        number of commits and the seconds of each transaction. ``guarded`` are the statements that
        the database refuses where another process was first: their commits end with ``Conflict``.
        """
        self.counters = WriterCounters()
        self._connection = connection
        self._on_durable = on_durable
        self._on_failure = on_failure
        self._on_begin = on_begin
        self._on_transaction = on_transaction
        self._guarded = guarded
        self._loop = asyncio.get_running_loop()
        self._waiting: list[_Job] = []
        self._busy_since: float | None = None
        self._scheduled = False
        self._committing: list[_Job] | None = None
        self._orders: queue.SimpleQueue[list[_Job] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sqlite-commit", daemon=True)
        self._thread.start()

    @property
    def idle(self) -> bool:
        """Whether the connection is free for the event loop and nothing waits."""
        return self._committing is None and not self._waiting

    def submit(self, commit: Commit, statements: list[Statement]) -> asyncio.Future[None]:
        """Queue a commit; the future ends when it is durable, or with ``StoreUnavailable``."""
        done: asyncio.Future[None] = self._loop.create_future()
        self._waiting.append(_Job(commit, statements, done))
        self._schedule()
        return done

    async def settled(self) -> None:
        """Wait until everything submitted so far is durable; raises ``StoreUnavailable``."""
        if not self.idle:
            await self.submit((), [])

    async def close(self) -> None:
        """Finish what is queued, then end the thread."""
        try:
            await self.settled()
        finally:
            self._orders.put(None)
            self._thread.join()

    def _schedule(self) -> None:
        # One turn of the loop later, so that all that is ready in this turn shares the batch.
        if not self._scheduled and self._committing is None:
            self._scheduled = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._scheduled = False
        if self._committing is not None or not self._waiting:
            return
        batch = self._waiting[:MAX_BATCH_COMMITS]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
        except sqlite3.Error as error:
            self._wait_for_lock(error)
            return
        self._busy_since = None
        del self._waiting[:MAX_BATCH_COMMITS]
        try:
            self._on_begin()
            self._execute(batch)
        except Exception as error:  # noqa: BLE001 - also what the driver makes of a bad value
            self._fail(batch, error)
            return
        self._committing = batch
        self._orders.put(batch)

    def _execute(self, batch: list[_Job]) -> None:
        """Run the batch's statements in order; neighbours of one kind as one call."""
        same, rows = "", list[tuple[object, ...]]()
        for job in batch:
            for sql, values in job.statements:
                if sql != same:
                    self._run(same, rows)
                    same, rows = sql, []
                if isinstance(values, list):
                    rows += values
                else:
                    rows.append(values)
        self._run(same, rows)

    def _run(self, sql: str, rows: list[tuple[object, ...]]) -> None:
        # What is no row's change, as a PRAGMA, stands alone; the driver takes several of rows only.
        try:
            if len(rows) == 1:
                self._connection.execute(sql, rows[0])
            elif rows:
                self._connection.executemany(sql, rows)
        except sqlite3.IntegrityError as error:
            if sql in self._guarded:
                message = "another process was first"
                raise Conflict(message) from error
            raise

    def _wait_for_lock(self, error: sqlite3.Error) -> None:
        now = time.monotonic()
        self._busy_since = self._busy_since or now
        if now - self._busy_since > MAX_BUSY_SECONDS or "locked" not in str(error):
            self._busy_since = None
            self._fail([], error)
            return
        self._scheduled = True
        self._loop.call_later(BUSY_RETRY_SECONDS, self._flush)

    def _work(self) -> None:
        while (batch := self._orders.get()) is not None:
            started = time.perf_counter()
            error: sqlite3.Error | None = None
            try:
                self._connection.execute("COMMIT")
            except sqlite3.Error as caught:
                error = caught
            taken = time.perf_counter() - started
            self._loop.call_soon_threadsafe(self._committed, batch, taken, error)

    def _committed(self, batch: list[_Job], taken: float, error: sqlite3.Error | None) -> None:
        self._committing = None
        if error is not None:
            self._fail(batch, error)
            return
        if commits := sum(bool(job.statements) for job in batch):
            self.counters.commits += commits
            self.counters.transactions += 1
            self._on_transaction(commits, taken)
        for job in batch:
            self._on_durable(job.commit)
            if not job.done.done():
                job.done.set_result(None)
        if self._waiting:
            self._flush()

    def _fail(self, batch: list[_Job], error: Exception) -> None:
        """Refuse the batch and all that was decided on top of it: nothing of it happened."""
        with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
            self._connection.execute("ROLLBACK")
        refused, self._waiting = [*batch, *self._waiting], []
        try:
            self._on_failure()
        finally:
            for job in refused:
                if not job.done.done():
                    job.done.set_exception(self._refusal(job, error))
                    job.done.exception()  # whoever waits gets it; nobody waiting is no leak

    def _refusal(self, job: _Job, error: Exception) -> Exception:
        if isinstance(error, Conflict) and any(sql in self._guarded for sql, _ in job.statements):
            return Conflict(str(error))
        return StoreUnavailable(f"the database refused: {error}")
