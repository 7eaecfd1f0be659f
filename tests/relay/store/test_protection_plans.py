"""What concerns protected methods is found by an index, however many calls have waited."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.material import request
from tests.contract.protection_material import (
    changed,
    claim,
    protection,
    settled,
    transaction,
    withdrawal,
)

from quorumkey_relay.store.sqlite import protection_rows as rows
from quorumkey_relay.store.sqlite.prune import AGE_LASTING, BY_REQUEST
from quorumkey_relay.store.sqlite.reader import Reader
from quorumkey_relay.store.sqlite.schema import connect, migrate
from quorumkey_relay.store.writes import PutProtection

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.sqlite.writer import Statement

READS: dict[str, Callable[[Reader], object]] = {
    "a protection": lambda reader: reader.protection.protection("acme"),
    "open transactions": lambda reader: reader.protection.open_transactions(),
    "a transaction": lambda reader: reader.protection.transaction("a"),
    "transactions": lambda reader: reader.protection.transactions(
        integrator_id="acme", before="a", limit=20
    ),
    "newest transactions": lambda reader: reader.protection.transactions(
        integrator_id="acme", before=None, limit=20
    ),
    "a claim": lambda reader: reader.protection.claim("a"),
    "the claim on a request": lambda reader: reader.protection.claim_of("a"),
    "overdue claims": lambda reader: reader.protection.overdue_claims(now=1, limit=20),
    "what is kept of who did what": lambda reader: reader.protection.audited(
        integrator_id="acme", limit=20
    ),
    "requests to prune": lambda reader: reader.finished_before(1, 20),
    "lasting events that get old": lambda reader: reader.protection.events_to_age(
        before=1, limit=20
    ),
    "lasting events to prune": lambda reader: reader.webhooks.prunable_events(
        lasting=1, before=1, now=1, limit=20
    ),
}

STORED = request("alice")
CLAIM = claim(STORED)
FIRST = protection("alice")
WRITES: dict[str, list[Statement]] = {
    "a first protection": [rows.protection_row(PutProtection(None, FIRST))],
    "a changed protection": [rows.protection_row(PutProtection(FIRST, changed(FIRST)))],
    "opening": [rows.transaction_row(transaction(STORED))],
    "withdrawing": [rows.withdrawal_row("a", withdrawal())],
    "closing": [(rows.CLOSE_TRANSACTION, ("a",))],
    "claiming": [rows.claim_row(CLAIM)],
    "settling": rows.settle_rows(settled(CLAIM)),
    "pruning requests": [(sql, (1,)) for sql in BY_REQUEST],
    "lasting events": [(AGE_LASTING, (1,))],
}


@pytest.fixture
def connection(backend: SqliteBackend) -> Generator[sqlite3.Connection, None, None]:
    """An empty database."""
    opened = connect(backend.folder)
    migrate(opened)
    yield opened
    opened.close()


def scans(connection: sqlite3.Connection, sql: str, values: tuple[object, ...] = ()) -> list[str]:
    """The steps of a statement's plan that read a whole table."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", values)
    return [step for *_, step in plan if step.startswith("SCAN")]


#: What is open is all that is in this index.
OPEN = "SCAN t USING INDEX transactions_open"


@pytest.mark.parametrize("name", READS)
def test_no_read_about_protected_methods_reads_a_whole_table(
    backend: SqliteBackend, connection: sqlite3.Connection, name: str
) -> None:
    """Each query finds its first row by search, and open transactions among themselves."""
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    READS[name](Reader(connection, backend.vault))
    connection.set_trace_callback(None)
    connection.row_factory = None

    assert asked
    assert [] == [step for sql in asked for step in scans(connection, sql) if step != OPEN]


@pytest.mark.parametrize("name", WRITES)
def test_no_write_about_protected_methods_reads_a_whole_table(
    connection: sqlite3.Connection, name: str
) -> None:
    """Each statement finds its rows by search."""
    steps: list[str] = []
    for sql, values in WRITES[name]:
        assert isinstance(values, tuple)
        steps += scans(connection, sql, values)

    assert [] == steps
