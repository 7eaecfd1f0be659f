"""The stores under contract, and the ways in which each is made to fail for real."""

from __future__ import annotations

import resource
import sqlite3
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Protocol

from tests.relay.simulator import ManualClock

from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.store.sqlite import AdminStore, SqliteStore
from quorumkey_relay.store.writes import PutDevice

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from pathlib import Path

    from quorumkey_relay.identity.principals import Device
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.sqlite.admin import AdminWrite


class Backend(Protocol):
    """One place where data lies; it may be opened again and again, one opening at a time."""

    clock: ManualClock

    def open(self) -> AbstractAsyncContextManager[Store]:
        """A started store on the data, closed at the end."""
        ...

    def unwritable(self) -> AbstractContextManager[None]:
        """Meanwhile nothing can be written, as on a full disk; reading works."""
        ...

    def unreachable(self) -> AbstractContextManager[None]:
        """Meanwhile requests can be neither written nor read."""
        ...

    def administer(self, *writes: AdminWrite) -> None:
        """Change the data as another process does."""
        ...

    def revoke(self, device: Device, *, at: int) -> None:
        """Revoke a device as another process does."""
        ...

    def holds_event(self, event_id: str) -> bool:
        """Whether another process can read an event."""
        ...

    def follow(self, store: Store) -> None:
        """Let an open store see now what other processes changed."""
        ...


class SqliteBackend:
    """A data directory."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = ManualClock()
        self.vault = Vault.open_in(folder)

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[SqliteStore, None]:
        """Serve the directory."""
        store = SqliteStore(self.folder, vault=self.vault, clock=self.clock)
        await store.start()
        try:
            yield store
        finally:
            await store.close()

    @contextmanager
    def unwritable(self) -> Generator[None, None, None]:
        """Let no file of this process grow: a commit's write-ahead log is refused by the kernel."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    @contextmanager
    def unreachable(self) -> Generator[None, None, None]:
        """Take the table of requests away."""
        self._run("ALTER TABLE requests RENAME TO elsewhere")
        try:
            yield
        finally:
            self._run("ALTER TABLE elsewhere RENAME TO requests")

    def administer(self, *writes: AdminWrite) -> None:
        """Write as the command line does."""
        with AdminStore(self.folder, vault=self.vault) as admin:
            admin.commit(*writes)

    def revoke(self, device: Device, *, at: int) -> None:
        """Revoke as the command line does."""
        self.administer(PutDevice(replace(device, revoked_at=at)))

    def holds_event(self, event_id: str) -> bool:
        """Read as the command line does."""
        with AdminStore(self.folder, vault=self.vault) as admin:
            return admin.read.event(event_id) is not None

    def follow(self, store: Store) -> None:
        """Do now what the store's poll does four times a second."""
        assert isinstance(store, SqliteStore)
        store.take_changes()

    def _run(self, sql: str) -> None:
        connection = sqlite3.connect(self.folder / "relay.db", isolation_level=None)
        connection.execute(sql)
        connection.close()
