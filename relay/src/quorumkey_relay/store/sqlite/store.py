"""The SQLite store: memory for what is hot, one writer, reads by index.

The process that serves a data directory owns it: it keeps the directory of devices and the
pending requests in memory, so that deciding needs no read. What a commit changes is seen by
``load`` at once; what a read reports waits until it is durable. After a failed batch everything
in memory is read again from the disk, because nothing decided since is worth anything.
"""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from typing import TYPE_CHECKING, Final, cast

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.sqlite.apply import apply, check
from quorumkey_relay.store.sqlite.apply_jit import check_jit
from quorumkey_relay.store.sqlite.apply_protection import check_protection
from quorumkey_relay.store.sqlite.changes import take_change
from quorumkey_relay.store.sqlite.hot import MemoryDirectory, OpenRequests, Slot
from quorumkey_relay.store.sqlite.jit_store import JitStore
from quorumkey_relay.store.sqlite.lock import DirectoryLock
from quorumkey_relay.store.sqlite.outbox import OutboxStore
from quorumkey_relay.store.sqlite.protection_rows import GUARDED
from quorumkey_relay.store.sqlite.protection_store import TransactionStore
from quorumkey_relay.store.sqlite.prune import prune
from quorumkey_relay.store.sqlite.reader import Reader
from quorumkey_relay.store.sqlite.schema import MARK_FILE, connect, migrate
from quorumkey_relay.store.sqlite.webhook_queue import WebhookQueue
from quorumkey_relay.store.sqlite.writer import Statement, Writer, WriterCounters
from quorumkey_relay.store.writes import AppendEvent, Change, Commit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
    from pathlib import Path

    from quorumkey_relay.clock import Clock
    from quorumkey_relay.identity.principals import Attestation, Pairing
    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.protocol import Directory
    from quorumkey_relay.store.records import (
        EventRecord,
        Evidence,
        IdempotentAnswer,
        Stored,
        Summary,
    )

CHANGES_POLL_SECONDS: Final = 0.25


def _nobody(commits: int, seconds: float) -> None:
    """Hear of a transaction and do nothing."""
    del commits, seconds


def _complain(error: Exception) -> None:
    """Have what a listener raised logged; the store goes on."""
    asyncio.get_running_loop().call_exception_handler(
        {"message": "a listener of the store failed", "exception": error}
    )


class SqliteStore(OutboxStore, WebhookQueue, TransactionStore, JitStore):
    """One data directory, served by this process alone."""

    def __init__(
        self,
        data_dir: Path,
        *,
        vault: Vault,
        clock: Clock,
        on_transaction: Callable[[int, float], None] = _nobody,
    ) -> None:
        """Remember where; ``start`` opens it. ``on_transaction`` hears sizes and seconds."""
        super().__init__()
        self._on_transaction = on_transaction
        self._data_dir = data_dir
        self._vault = vault
        self._clock = clock
        self._lock = DirectoryLock(data_dir)
        self._directory = MemoryDirectory()
        self._open = OpenRequests()
        self._listeners: list[Callable[[Commit], None]] = []
        self._change_listeners: list[Callable[[Change, str], None]] = []
        self._seen_change = 0
        self._stale = False
        self._poller: asyncio.Task[None] | None = None

    # Life

    async def start(self) -> None:
        """Lock and open the directory and read what is hot.

        Raises ``AlreadyServed`` or ``StoreUnavailable``.
        """
        with ExitStack() as opened:
            self._lock.acquire()
            opened.callback(self._lock.release)
            self._connection = connect(self._data_dir)
            opened.callback(self._connection.close)
            migrate(self._connection)
            # From here on the writer waits for a lock by itself, without holding the event loop.
            self._connection.execute("PRAGMA busy_timeout = 0")
            self._reader = Reader(connect(self._data_dir, read_only=True), self._vault)
            opened.callback(self._reader.close)
            self._seen_change = self._reader.last_change()
            self._read_all()
            opened.pop_all()
        self._writer = Writer(
            self._connection,
            on_durable=self._durable,
            on_failure=self._recover,
            on_begin=self._hear_others_first,
            on_transaction=self._on_transaction,
            guarded=GUARDED,
        )
        self._poller = asyncio.create_task(self._poll())

    async def close(self) -> None:
        """Finish what was submitted and let go of the directory."""
        if self._poller is not None:
            self._poller.cancel()
        try:
            await self._writer.close()
        finally:
            self._reader.close()
            self._connection.close()
            self._lock.release()

    def _recover(self) -> None:
        """Read everything again after a failed batch; what memory held did not happen."""
        self._stale = True
        try:
            self._fresh()
        except StoreUnavailable:
            return  # nothing is decided on what memory holds before this works

    def _fresh(self) -> None:
        """See to it that memory holds what the disk does; raises ``StoreUnavailable``."""
        if self._stale:
            self._read_all()
            self._stale = False

    def _read_all(self) -> None:
        directory = MemoryDirectory(self._reader.pairing_by_code)
        open_requests = OpenRequests()
        directory.integrators = {found.id: found for found in self._reader.integrators()}
        directory.api_keys = {key.digest: key for key in self._reader.api_keys()}
        for number, device in self._reader.devices():
            directory.device_numbers[device.fingerprint] = number
            directory.devices[device.fingerprint] = device
        for pairing in self._reader.current_pairings(self._clock.now()):
            directory.put_pairing(pairing)
        for webhook in self._reader.webhooks.webhooks():
            directory.put_webhook(webhook)
        directory.app_attest_keys = {key.key_id: key for key in self._reader.app_attest_keys()}
        for number, stored in self._reader.open_requests():
            open_requests.insert(Slot(number, stored))
        for protection in self._reader.protection.protections():
            directory.put_protection(protection)
        for transaction in self._reader.protection.open_transactions():
            open_requests.open_transaction(transaction)
        open_requests.access.read_all(self._reader.jit)
        open_requests.next_number = self._reader.last_request_number() + 1
        self._directory, self._open = directory, open_requests

    # Commits

    @property
    def counters(self) -> WriterCounters:
        """What the writer did since start."""
        return self._writer.counters

    @property
    def directory(self) -> Directory:
        """The integrators, keys, devices and pairings."""
        return self._directory

    def commit(self, writes: Commit) -> Awaitable[None]:
        """Apply all writes or none; see ``Store.commit``."""
        self._fresh()
        for write in writes:
            check(write, self._directory, self._open)
        now = self._clock.now()
        check_protection(writes, self._directory, self._open, self._reader.protection, now)
        check_jit(writes, self._open.access, self._reader.jit)
        statements: list[Statement] = []
        for write in writes:
            statements += apply(write, self._directory, self._open, self._vault, now)
        return self._writer.submit(writes, statements)

    def _durable(self, commit: Commit) -> None:
        for listener in self._listeners:
            try:
                listener(commit)
            except Exception as error:  # noqa: BLE001 - it is durable, and who waits for it is told
                _complain(error)

    async def settled(self) -> None:
        """Return when every commit made before this call is durable."""
        self._fresh()
        await self._writer.settled()

    def subscribe(self, listener: Callable[[Commit], None]) -> None:
        """Call ``listener`` with every commit once it is durable, and with others' events."""
        self._listeners.append(listener)

    # Changes by the command line

    def subscribe_changes(self, listener: Callable[[Change, str], None]) -> None:
        """Call ``listener`` with what another process changed."""
        self._change_listeners.append(listener)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(CHANGES_POLL_SECONDS)
            try:
                self.take_changes()
            except Exception as error:  # noqa: BLE001 - revocations are still to be heard of
                _complain(error)

    def _hear_others_first(self) -> None:
        # Nobody else writes from here to the commit, so events are told in the order in which
        # they stand in the stream; one told late would be skipped by who resumes after ours.
        # The writer's connection is asked: it is up to date, which the other would have to become.
        (last,) = self._connection.execute("SELECT max(seq) FROM changes").fetchone()
        if (last or 0) > self._seen_change:
            self.take_changes()

    def take_changes(self) -> None:
        """Read what other processes changed since the last call, if anything."""
        try:
            changes = self._reader.changes(self._seen_change)
            for seq, kind, key in changes:
                self._take(cast("Change", kind), key)
                self._seen_change = seq
        except StoreUnavailable:
            return  # it is looked for again in a moment

    def _take(self, kind: Change, key: str) -> None:
        take_change(kind, key, reader=self._reader, directory=self._directory)
        if kind == "event" and (event := self._reader.event(key)) is not None:
            self._durable((AppendEvent(event),))
        for listener in self._change_listeners:
            listener(kind, key)

    # Reads

    async def load(self, request_id: str) -> Stored | None:
        """Return a request for deciding."""
        self._fresh()
        slot = self._open.get(request_id)
        if slot is None:
            found = self._reader.stored(request_id)
            if found is not None and found[1].state.status is Status.PENDING:
                # All that is open is in memory, so this one's end is on its way to the disk.
                await self._writer.settled()
                found = self._reader.stored(request_id)
            if found is None:
                return None
            slot = Slot(*found)
            if slot.stored.state.status is not Status.PENDING:
                self._open.remember(slot)
        return slot.stored

    def pending(self) -> Iterable[Stored]:
        """Return all pending requests, oldest first."""
        return self._open

    def find_pending(self, request_id: str) -> Stored | None:
        """Return a pending request."""
        return self._open.pending(request_id)

    def pending_for(self, device: str) -> Sequence[Stored]:
        """Return pending requests that name a device, oldest first."""
        return self._open.for_device(device)

    def pending_count(self, device: str, *, integrator_id: str, profile: str) -> int:
        """Return how many pending requests name a device, of one integrator and profile."""
        return self._open.count(device, integrator_id, profile)

    async def summary(self, request_id: str) -> Summary | None:
        """Return what a read reports."""
        await self._writer.settled()
        return self._reader.summary(request_id)

    async def summaries(
        self, *, integrator_id: str, status: Status | None, before: str | None, limit: int, now: int
    ) -> Sequence[Summary]:
        """Return summaries, newest first."""
        await self._writer.settled()
        return self._reader.summaries(
            integrator_id=integrator_id, status=status, before=before, limit=limit, now=now
        )

    async def device_requests(
        self, *, device: str, before: str | None, limit: int
    ) -> Sequence[Stored]:
        """Return requests that name a device, newest first."""
        await self._writer.settled()
        ids = self._reader.requests_of_device(
            device_number=self._directory.number(device), before=before, limit=limit
        )
        loaded = [await self.load(request_id) for request_id in ids]
        return [stored for stored in loaded if stored is not None]

    async def evidence(self, request_id: str) -> Sequence[Evidence]:
        """Return the decisions that count, in order."""
        await self._writer.settled()
        return self._reader.evidence(request_id)

    async def pairing(self, pairing_id: str) -> Pairing | None:
        """Return a pairing by id."""
        await self._writer.settled()
        return self._reader.pairing(pairing_id)

    async def devices(
        self, *, integrator_id: str, approver_id: str | None, before: str | None, limit: int
    ) -> Sequence[Pairing]:
        """Return ties of devices to an integrator, newest first."""
        await self._writer.settled()
        return self._reader.ties(
            integrator_id=integrator_id, approver_id=approver_id, before=before, limit=limit
        )

    async def tie(self, *, integrator_id: str, device: str) -> Pairing | None:
        """Return the newest tie of a device to an integrator."""
        await self._writer.settled()
        return self._reader.tie(integrator_id=integrator_id, device=device)

    async def attestation(self, device: str) -> Attestation | None:
        """Return what a device last proved."""
        await self._writer.settled()
        return self._reader.attestation(device)

    async def attested_by(
        self, serials: Collection[str], *, limit: int
    ) -> Sequence[tuple[str, str]]:
        """Return pairs of certificate serial and device."""
        await self._writer.settled()
        return self._reader.attested_by(serials, limit)

    async def app_attest_receipt(self, key_id: bytes) -> bytes | None:
        """Return the newest receipt of an App Attest key."""
        await self._writer.settled()
        return self._reader.app_attest_receipt(key_id)

    async def events(
        self, *, integrator_id: str, after: str | None, limit: int
    ) -> Sequence[EventRecord] | None:
        """Return events in order after event id ``after``."""
        await self._writer.settled()
        return self._reader.events(integrator_id=integrator_id, after=after, limit=limit)

    async def event(self, event_id: str) -> EventRecord | None:
        """Return an event by id."""
        return self._reader.event(event_id)

    async def answer(self, *, integrator_id: str, path: str, key: str) -> IdempotentAnswer | None:
        """Return the first answer under an idempotency key."""
        return self._reader.answer(integrator_id=integrator_id, path=path, key=key)

    async def successions(self) -> Sequence[tuple[bytes, str, int]]:
        """Return successions, oldest first."""
        return self._reader.successions()

    async def prune(self, *, requests_before: int, events_before: int, answers_before: int) -> int:
        """Delete what is older than these times; return how many rows of it went."""
        self._directory.forget_codes(self._clock.now())
        return await prune(
            self._writer,
            self._reader,
            requests_before=requests_before,
            events_before=events_before,
            answers_before=answers_before,
            now=self._clock.now(),
            forget=self._forget,
            memory=lambda: self._open.access,
        )

    def _forget(self, request_ids: Collection[str]) -> None:
        self._open.forget(request_ids)

    async def check(self) -> dict[str, str]:
        """Write a page that says nothing new; raises ``StoreUnavailable``."""
        await self._writer.submit((), [(MARK_FILE, ())])
        counters = self._writer.counters
        return {
            "backend": "sqlite",
            "synchronous": "FULL",
            "commits": str(counters.commits),
            "transactions": str(counters.transactions),
            "pending_requests": str(len(self._open)),
        }
