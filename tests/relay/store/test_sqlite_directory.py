"""One data directory: one serving process, one schema, and a way in for the command line."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend
from tests.contract.material import (
    api_key,
    ended,
    envelope_bytes,
    event,
    fingerprint,
    furnish,
    happened,
)
from tests.relay.simulator import ACME

from quorumkey_relay.store.protocol import AlreadyServed, StoreUnavailable
from quorumkey_relay.store.sqlite import AdminStore, SqliteStore, schema
from quorumkey_relay.store.sqlite import store as store_module
from quorumkey_relay.store.sqlite.lock import DirectoryLock
from quorumkey_relay.store.writes import PutApiKey, PutIntegrator, PutSuccession

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.anyio

HOLDER = """
import sys, pathlib
from quorumkey_relay.store.sqlite.lock import DirectoryLock
lock = DirectoryLock(pathlib.Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def held_by_another_process(folder: Path) -> subprocess.Popen[str]:
    """A process that holds the lock of a folder."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "held\n" == process.stdout.readline()
    return process


async def test_a_second_process_cannot_serve(backend: SqliteBackend) -> None:
    """While one process serves a folder, a start in another says so and names the folder."""
    with held_by_another_process(backend.folder) as process:
        store = SqliteStore(backend.folder, vault=backend.vault, clock=backend.clock)
        with pytest.raises(AlreadyServed, match=f"another relay process serves {backend.folder}"):
            await store.start()
        process.kill()


async def test_the_lock_ends_with_a_killed_process(backend: SqliteBackend) -> None:
    """After ``kill -9`` of the process that served, the next one starts."""
    with held_by_another_process(backend.folder) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    async with backend.open() as store:
        await furnish(store)

        assert ACME == store.directory.integrator(ACME.id)


async def test_a_closed_store_lets_go(backend: SqliteBackend) -> None:
    """A folder can be served again after its store was closed."""
    async with backend.open():
        pass
    lock = DirectoryLock(backend.folder)

    lock.acquire()
    lock.release()
    lock.release()  # letting go of what is not held does nothing


async def test_a_failed_start_lets_go(backend: SqliteBackend) -> None:
    """What is no database is refused, and the lock is free again."""
    path = backend.folder / "relay.db"
    path.write_bytes(b"this is no database, whatever its name says" * 100)
    store = SqliteStore(backend.folder, vault=backend.vault, clock=backend.clock)

    with pytest.raises(StoreUnavailable, match="cannot open"):
        await store.start()

    path.unlink()
    async with backend.open() as opened:
        assert [] == list(opened.pending())


async def test_commits_wait_for_the_disk(tmp_path: Path) -> None:
    """Every connection runs with write-ahead log and full synchronisation."""
    connection = schema.connect(tmp_path)
    found = [
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("journal_mode", "synchronous")
    ]
    connection.close()

    assert ["wal", 2] == found


# Schema


def test_migrations_run_once(tmp_path: Path) -> None:
    """A new database runs them all, one that has them none."""
    connection = schema.connect(tmp_path)
    ran = [schema.migrate(connection), schema.migrate(connection)]
    connection.close()

    assert [len(schema.MIGRATIONS), 0] == ran


async def test_a_database_without_attestation_is_brought_up(tmp_path: Path) -> None:
    """What the first schema holds is there after the next one; its devices proved nothing."""
    connection = schema.connect(tmp_path)
    for statement in schema.MIGRATIONS[0].split(";"):
        connection.execute(statement)
    connection.execute("PRAGMA user_version = 1")
    connection.close()
    backend = SqliteBackend(tmp_path)
    async with backend.open() as opened:
        await furnish(opened, "alice")
        proved = await opened.attestation(fingerprint("alice"))
        known = opened.directory.device(fingerprint("alice"))

    assert None is proved
    assert known is not None


def test_a_newer_database_is_refused(tmp_path: Path) -> None:
    """What a newer release wrote is not touched."""
    connection = schema.connect(tmp_path)
    connection.execute("PRAGMA user_version = 999")

    with pytest.raises(StoreUnavailable, match="schema 999"):
        schema.migrate(connection)
    connection.close()


def test_a_migration_that_fails_leaves_the_schema_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each migration is one transaction: all of it, or nothing and a clear error."""
    monkeypatch.setattr(schema, "MIGRATIONS", ("CREATE TABLE a (x); CREATE TABLE a (x)",))
    connection = schema.connect(tmp_path)

    with pytest.raises(StoreUnavailable, match="cannot be brought to schema 1"):
        schema.migrate(connection)

    assert [] == connection.execute("SELECT name FROM sqlite_master").fetchall()
    connection.close()


def test_of_two_migrations_at_once_one_finds_the_work_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that waited for the lock looks again at what there is to do."""
    first, second = schema.connect(tmp_path), schema.connect(tmp_path)
    looks: list[sqlite3.Connection] = []
    real = schema.schema_version

    def version(connection: sqlite3.Connection) -> int:
        found = real(connection)
        if connection is second and not looks:
            looks.append(connection)
            schema.migrate(first)
        return found

    monkeypatch.setattr(schema, "schema_version", version)

    assert 0 == schema.migrate(second)
    assert [second] == looks
    first.close()
    second.close()


# The command line's way in


def test_there_must_be_a_relay(tmp_path: Path) -> None:
    """A folder without a database is told how to make one."""
    backend = SqliteBackend(tmp_path)

    with pytest.raises(StoreUnavailable, match="quorumkey-relay init"):
        AdminStore(tmp_path, vault=backend.vault)


def test_a_relay_is_made_where_that_is_wanted(tmp_path: Path) -> None:
    """With ``create`` an empty folder becomes a relay's."""
    backend = SqliteBackend(tmp_path)

    with AdminStore(tmp_path, vault=backend.vault, create=True) as admin:
        admin.commit(PutIntegrator(ACME))
        found = admin.read.integrators()

    assert [ACME] == found


async def test_an_admin_commit_is_all_or_nothing(backend: SqliteBackend) -> None:
    """A change that the database refuses takes the others with it."""
    succession = PutSuccession(envelope_bytes("next"), "ab" * 32, 0)
    async with backend.open():
        pass
    backend.administer(succession)

    with pytest.raises(StoreUnavailable, match="the database refused"):
        backend.administer(PutApiKey(api_key("a key")), succession)

    with AdminStore(backend.folder, vault=backend.vault) as admin:
        assert ([], 1) == (admin.read.api_keys(), admin.read.last_change())


async def test_an_admin_commit_beside_a_busy_relay_is_refused(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database that stays locked is unavailable, not waited for without end."""
    monkeypatch.setattr(schema, "BUSY_TIMEOUT_MS", 1)
    async with backend.open():
        pass
    other = sqlite3.connect(backend.folder / "relay.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(StoreUnavailable, match="locked"):
        backend.administer(PutIntegrator(ACME))
    other.close()


async def test_the_command_line_lists_everybodys_requests(backend: SqliteBackend) -> None:
    """Without an integrator, summaries are of all of them."""
    async with backend.open() as store:
        house = await furnish(store, "alice")
        stored = await house.open("alice")
        await store.commit(happened(event()))
    with AdminStore(backend.folder, vault=backend.vault) as admin:
        found = admin.read.summaries(
            integrator_id=None, status=None, before=None, limit=10, now=backend.clock.now()
        )

    assert [stored.terms.request_id] == [summary.request_id for summary in found]


async def test_a_request_that_left_memory_is_read_from_the_disk(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last few finished requests stay in memory; the others load just the same."""
    monkeypatch.setattr("quorumkey_relay.store.sqlite.hot.RECENT_REQUESTS", 0)
    async with backend.open() as store:
        house = await furnish(store, "alice")
        stored = await house.open("alice")
        await store.commit(ended(stored))

        assert await house.load(stored) == stored


async def test_a_reaction_that_fails_does_not_end_the_following(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A change whose listener raised is told again, and so is what comes after it."""
    monkeypatch.setattr(store_module, "CHANGES_POLL_SECONDS", 0)
    caught: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, context: caught.append(context["exception"])
    )
    broken = RuntimeError("not now")
    heard = asyncio.Event()

    def fail_once(*_: str) -> None:
        if not caught:
            raise broken
        heard.set()

    async with backend.open() as store:
        store.subscribe_changes(fail_once)
        backend.administer(PutIntegrator(ACME))

        await heard.wait()

    assert [broken] == caught


async def test_nobody_else_may_read_the_database(backend: SqliteBackend) -> None:
    """The database and the files beside it are their owner's alone, whatever the folder's mode."""
    backend.folder.chmod(0o755)
    async with backend.open() as store:
        await furnish(store)

        modes = {path.name: path.stat().st_mode & 0o777 for path in backend.folder.glob("relay.*")}

    assert dict.fromkeys(("relay.db", "relay.db-shm", "relay.db-wal"), 0o600) == modes
