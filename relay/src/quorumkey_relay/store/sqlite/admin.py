"""The command line's way into a data directory, whether or not a relay serves it.

Each call is one transaction and leaves a note in ``changes``, which a serving relay reads within
a quarter of a second.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from quorumkey_relay.store.protocol import Conflict, StoreUnavailable
from quorumkey_relay.store.sqlite import protection_rows, rows, webhook_rows
from quorumkey_relay.store.sqlite.reader import Reader
from quorumkey_relay.store.sqlite.schema import DATABASE_NAME, connect, migrate
from quorumkey_relay.store.writes import (
    AppendEvent,
    Change,
    PutApiKey,
    PutDevice,
    PutIntegrator,
    PutPairing,
    PutProtection,
    PutSuccession,
    PutWebhook,
)

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.sqlite.writer import Statement

AdminWrite = (
    PutIntegrator
    | PutApiKey
    | PutPairing
    | PutDevice
    | PutSuccession
    | AppendEvent
    | PutWebhook
    | PutProtection
)


class AdminStore:
    """Short transactions of the command line; use as a context manager."""

    def __init__(self, data_dir: Path, *, vault: Vault, create: bool = False) -> None:
        """Open the database; raises ``StoreUnavailable`` when it is not there."""
        if not create and not (data_dir / DATABASE_NAME).is_file():
            message = f"there is no relay in {data_dir}; run: quorumkey-relay init --data-dir DIR"
            raise StoreUnavailable(message)
        with ExitStack() as opened:
            self._connection = connect(data_dir)
            opened.callback(self._connection.close)
            migrate(self._connection)
            self.read = Reader(connect(data_dir, read_only=True), vault)
            opened.pop_all()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close both connections."""
        self.read.close()
        self._connection.close()

    @contextmanager
    def _transaction(self) -> Generator[sqlite3.Connection]:
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            message = f"the database refused: {error}"
            raise StoreUnavailable(message) from error

    def commit(self, *writes: AdminWrite) -> None:
        """Apply all writes or none, durably; raises ``Conflict`` or ``StoreUnavailable``."""
        with self._transaction() as connection:
            for write in writes:
                statements, change = self._statements(write)
                for statement in statements:
                    _execute(connection, statement)
                connection.execute(rows.INSERT_CHANGE, change)

    def ask_for_recheck(self) -> None:
        """Have a serving relay look at the revocation list; raises ``StoreUnavailable``."""
        with self._transaction() as connection:
            change: tuple[Change, str] = ("recheck", "")
            connection.execute(rows.INSERT_CHANGE, change)

    def _statements(  # noqa: PLR0911 - one case a kind of write
        self, write: AdminWrite
    ) -> tuple[list[Statement], tuple[Change, str]]:
        match write:
            case PutIntegrator(integrator=integrator):
                values = (integrator.id, integrator.name)
                return [(rows.INSERT_INTEGRATOR, values)], ("integrator", integrator.id)
            case PutApiKey(key=key):
                return [rows.api_key_row(key)], ("api_key", key.key_id)
            case PutPairing(pairing=pairing):
                return [rows.pairing_row(pairing)], ("pairing", pairing.pairing_id)
            case PutDevice(device=device):
                # Everything else of a device is the serving relay's to write.
                revocation = (device.revoked_at, bytes.fromhex(device.fingerprint))
                return [(rows.REVOKE_DEVICE, revocation)], ("device", device.fingerprint)
            case AppendEvent(event=event):
                return webhook_rows.event_rows(write, event.created_at), ("event", event.id)
            case PutSuccession(envelope=envelope, next_fingerprint=after, not_before=since):
                named = (envelope, after, since)
                return [(rows.INSERT_SUCCESSION, named)], ("succession", after)
            case PutWebhook(webhook=webhook):
                # Secrets and the address are the serving relay's to write.
                return [webhook_rows.status_row(webhook)], ("webhook", webhook.webhook_id)
            case PutProtection(after=after):
                changed = protection_rows.protection_row(write)
                return [changed], ("protection", after.integrator_id)


def _execute(connection: sqlite3.Connection, statement: Statement) -> None:
    try:
        connection.execute(*statement)
    except sqlite3.IntegrityError as error:
        if statement[0] in protection_rows.GUARDED:
            message = "it was changed meanwhile"
            raise Conflict(message) from error
        raise
