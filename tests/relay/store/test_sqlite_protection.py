"""Protected methods on SQLite: older databases, what memory holds, and the way to the disk."""

from __future__ import annotations

import asyncio
import sqlite3
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pytest
from tests.contract.backends import SqliteBackend
from tests.contract.material import device, event, fingerprint, furnish, pairing, request
from tests.contract.protection_material import (
    approved,
    changed,
    claim,
    opened,
    protection,
    settled,
)
from tests.relay.domain.play import person
from tests.relay.simulator import ACME, START

from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.sqlite import SqliteStore, hot_protection, schema
from quorumkey_relay.store.sqlite import rows as request_rows
from quorumkey_relay.store.sqlite import store as store_module
from quorumkey_relay.store.sqlite.protection_rows import claim_row
from quorumkey_relay.store.writes import (
    PutProtection,
    SettleClaim,
    TakeClaim,
)

if TYPE_CHECKING:
    from quorumkey_relay.domain.transactions import Claim, Transaction
    from quorumkey_relay.store.protocol import Store

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[3]

CHANGES = 40
#: Another process that names administrators, each on what it has just read.
RIVAL = """
import pathlib, sys
from tests.contract.protection_material import changed
from tests.relay.simulator import ACME
from quorumkey_relay.identity.vault import Vault
from quorumkey_relay.store.protocol import Conflict
from quorumkey_relay.store.sqlite import AdminStore
from quorumkey_relay.store.writes import PutProtection
folder = pathlib.Path(sys.argv[1])
with AdminStore(folder, vault=Vault.open_in(folder)) as admin:
    print("ready", flush=True)
    for number in range(int(sys.argv[2])):
        while True:
            known = admin.read.protection.protection(ACME.id)
            after = changed(known, *known.administrators, f"rival-{number}")
            try:
                admin.commit(PutProtection(known, after))
                break
            except Conflict:
                pass
"""


def older(folder: Path) -> sqlite3.Connection:
    """A database of the schema before protected methods."""
    connection = schema.connect(folder)
    for version, migration in enumerate(schema.MIGRATIONS[:3], start=1):
        for statement in migration.split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
    return connection


async def test_a_database_without_protected_methods_is_brought_up(tmp_path: Path) -> None:
    """Its devices, requests and events are there, and its methods can be protected."""
    stored, record = request("alice"), event()
    alice, tie = device("alice"), pairing("alice")
    connection = older(tmp_path)
    for sql, values in (
        (request_rows.INSERT_INTEGRATOR, (ACME.id, ACME.name)),
        request_rows.device_row(1, alice),
        request_rows.pairing_row(tie),
        *request_rows.request_rows(1, stored, (1,), None),
        (
            (
                "INSERT INTO events (event_id, integrator_id, type, subject, body, created_at)"
                " VALUES (?, ?, ?, ?, ?, ?)"
            ),
            (record.id, ACME.id, record.type, record.subject, record.body, START),
        ),
    ):
        if isinstance(values, list):
            connection.executemany(sql, values)
        else:
            connection.execute(sql, values)
    connection.close()

    async with SqliteBackend(tmp_path).open() as store:
        devices = store.directory.devices_of(ACME.id, person("alice"))
        assert [fingerprint("alice")] == [one.fingerprint for one in devices]
        assert (None, []) == (store.directory.protection(ACME.id), list(store.open_transactions()))
        assert [record] == await store.events(integrator_id=ACME.id, after=None, limit=10)
        assert stored == await store.load(stored.terms.request_id)
        await store.commit((PutProtection(None, protection("alice")),))
        await approved(store, "alice")
        gone = await store.prune(requests_before=0, events_before=START + 1, answers_before=0)

    assert 1 == gone


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What stores that are opened now ask the disk, statement by statement."""
    statements: list[str] = []

    def connect(data_dir: Path, *, read_only: bool = False) -> sqlite3.Connection:
        connection = schema.connect(data_dir, read_only=read_only)
        if read_only:
            connection.set_trace_callback(statements.append)
        return connection

    monkeypatch.setattr(store_module, "connect", connect)
    return statements


async def test_what_has_ended_leaves_memory(
    backend: SqliteBackend, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beside the last few, transactions and claims that ended are read from the disk."""
    monkeypatch.setattr(hot_protection, "RECENT_TRANSACTIONS", 2)
    done: list[Transaction] = []
    async with backend.open() as store:
        await furnish(store, "alice")
        for number in range(4):
            stored, made = await approved(store, "alice", call=str(number))
            taken = claim(stored)
            await store.commit((TakeClaim(taken), SettleClaim(settled(taken))))
            done.append(msgspec.structs.replace(made, claim=settled(taken)))

        asked.clear()
        found = [await store.transaction(one.request_id) for one in reversed(done)]
        assert 2 == len(asked)
        asked.clear()
        claims = [await store.claim_of(one.request_id) for one in reversed(done)]
        assert 2 == len(asked)

        assert (done[::-1], [one.claim for one in done[::-1]]) == (found, claims)
        assert [] == list(store.open_transactions())
        for one in done:
            with pytest.raises(Conflict):
                await store.commit((TakeClaim(claim_again(one.request_id)),))


def claim_again(request_id: str) -> Claim:
    """Another claim on a request."""
    return msgspec.structs.replace(claim(request("alice")), request_id=request_id)


async def test_looking_for_a_call_reads_nothing(backend: SqliteBackend, asked: list[str]) -> None:
    """Neither an unprotected call nor one that waits already has the disk asked anything."""
    async with backend.open() as store:
        await furnish(store, "alice")
        first = protection("alice")
        await store.commit((PutProtection(None, first),))
        _, made = await opened(store, "alice")
        asked.clear()
        seen = (
            store.directory.protection(ACME.id),
            store.find_transaction(ACME.id, made.match_key),
            store.find_claimed(ACME.id, made.match_key, b""),
            store.find_pending(made.request_id) is not None,
            await store.load(made.request_id) is not None,
            len(store.directory.devices_of(ACME.id, person("alice"))),
        )

        assert ((first, made, None, True, True, 1), []) == (seen, asked)


async def test_a_claim_reads_nothing(backend: SqliteBackend, asked: list[str]) -> None:
    """Claim and result of an open transaction are judged in memory alone."""
    async with backend.open() as store:
        await furnish(store, "alice")
        stored, _ = await approved(store, "alice")
        taken = claim(stored)
        asked.clear()
        await store.commit((TakeClaim(taken),))
        await store.commit((SettleClaim(settled(taken)),))

        assert [] == asked


async def test_two_processes_lose_nothing_of_each_other(backend: SqliteBackend) -> None:
    """Each of many changes by two processes at once is made to what the other has made."""
    async with backend.open() as store:
        await store.commit((PutProtection(None, protection()),))
        rival = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", RIVAL, str(backend.folder), str(CHANGES)),
            cwd=ROOT,
            stdout=asyncio.subprocess.PIPE,
        )
        assert rival.stdout is not None
        assert b"ready\n" == await rival.stdout.readline()
        for number in range(CHANGES):
            await change(store, f"relay-{number}")
        assert 0 == await rival.wait()
        backend.follow(store)
        found = store.directory.protection(ACME.id)

    assert found is not None
    assert 1 + 2 * CHANGES == found.revision
    assert 2 * CHANGES == len(set(found.administrators)) == len(found.administrators)


async def change(store: Store, name: str) -> None:
    """Name an administrator more, however often another process is first."""
    while True:
        known = store.directory.protection(ACME.id)
        assert known is not None
        try:
            await store.commit((PutProtection(known, changed(known, *known.administrators, name)),))
        except Conflict:
            continue
        return


async def test_the_database_refuses_a_second_claim(backend: SqliteBackend) -> None:
    """Where memory missed a claim, the table's own rule makes the second one a conflict."""
    async with backend.open() as store:
        assert isinstance(store, SqliteStore)
        await furnish(store, "alice")
        stored, made = await approved(store, "alice")
        unseen = claim(stored)
        with sqlite3.connect(backend.folder / schema.DATABASE_NAME) as other:
            other.execute(*claim_row(unseen))
        other.close()

        with pytest.raises(Conflict):
            await store.commit((TakeClaim(claim(stored)),))

        assert msgspec.structs.replace(made, claim=unseen) == await store.transaction(
            made.request_id
        )
