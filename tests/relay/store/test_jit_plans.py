"""What concerns just-in-time access is found by an index, however much access there was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.jit_material import asked, given, mail, moved, policy, voted
from tests.contract.material import request

from quorumkey_relay.store.sqlite import jit_rows as rows
from quorumkey_relay.store.sqlite.reader import Reader
from quorumkey_relay.store.sqlite.schema import connect, migrate
from quorumkey_relay.store.writes import PutAccessRequest, PutActivation, PutPolicy

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.sqlite.writer import Statement


def listed(
    reader: Reader, *, beneficiary: str | None = None, reviewer: str | None = None
) -> object:
    """A page of requests for roles."""
    return reader.jit.access_requests(
        integrator_id="acme", beneficiary=beneficiary, reviewer=reviewer, before="a", limit=20
    )


READS: dict[str, Callable[[Reader], object]] = {
    "open requests": lambda reader: reader.jit.open_access_requests(),
    "a request": lambda reader: reader.jit.access_request("a"),
    "the request of a signed one": lambda reader: reader.jit.access_request_of("a"),
    "requests": listed,
    "requests of a beneficiary": lambda reader: listed(reader, beneficiary="alice"),
    "requests of a reviewer": lambda reader: listed(reader, reviewer="bob"),
    "open activations": lambda reader: reader.jit.open_activations(),
    "an activation": lambda reader: reader.jit.activation("a"),
    "the activation of a request": lambda reader: reader.jit.activation_of("a"),
    "activations": lambda reader: reader.jit.activations(
        integrator_id="acme", beneficiary=None, before="a", limit=20
    ),
    "activations of a beneficiary": lambda reader: reader.jit.activations(
        integrator_id="acme", beneficiary="alice", before=None, limit=20
    ),
    "due mail": lambda reader: reader.jit.due_mail(now=1, limit=20),
    "activations to prune": lambda reader: reader.jit.activations_over(before=1, limit=20),
    "requests to prune": lambda reader: reader.jit.access_requests_over(before=1, limit=20),
    "mail to prune": lambda reader: reader.jit.mail_over(before=1, limit=20),
    "signed requests to prune": lambda reader: reader.finished_before(1, 20),
}
#: What is open is all that is in these indices.
OPEN = {
    "SCAN access_requests USING INDEX access_requests_open",
    "SCAN activations USING INDEX activations_open",
}

REQUEST, ROLE, POLICY = asked(signed=request("bob")), given(), policy()
WRITES: dict[str, Callable[[Vault], list[Statement]]] = {
    "a new request": lambda _: rows.access_request_rows(PutAccessRequest(None, REQUEST)),
    "a changed request": lambda _: rows.access_request_rows(
        PutAccessRequest(REQUEST, voted(REQUEST))
    ),
    "a new activation": lambda _: [rows.activation_row(PutActivation(None, ROLE))],
    "a changed activation": lambda _: [
        rows.activation_row(PutActivation(ROLE, moved(ROLE, "active")))
    ],
    "a policy": lambda _: rows.policy_rows(PutPolicy(None, POLICY)),
    "no policy": lambda _: rows.policy_rows(PutPolicy(POLICY, None)),
    "mail": lambda vault: [rows.mail_row(mail(), vault)],
    "pruning requests": lambda _: [(sql, (1,)) for sql in rows.BY_ACCESS_REQUEST],
    "pruning activations and mail": lambda _: [
        (rows.DELETE_ACTIVATION, (1,)),
        (rows.DELETE_MAIL, (1,)),
    ],
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
    return [step for *_, step in plan if step.startswith("SCAN") or "TEMP B-TREE" in step]


@pytest.mark.parametrize("name", READS)
def test_no_read_about_access_reads_a_whole_table(
    backend: SqliteBackend, connection: sqlite3.Connection, name: str
) -> None:
    """Each query finds its first row by search and sorts nothing; what is open stands together."""
    asked_for: list[str] = []
    connection.set_trace_callback(asked_for.append)
    READS[name](Reader(connection, backend.vault))
    connection.set_trace_callback(None)
    connection.row_factory = None

    assert asked_for
    assert [] == [step for sql in asked_for for step in scans(connection, sql) if step not in OPEN]


@pytest.mark.parametrize("name", WRITES)
def test_no_write_about_access_reads_a_whole_table(
    backend: SqliteBackend, connection: sqlite3.Connection, name: str
) -> None:
    """Each statement finds its rows by search."""
    steps: list[str] = []
    for sql, values in WRITES[name](backend.vault):
        one = values[0] if isinstance(values, list) else values
        steps += scans(connection, sql, one)

    assert [] == steps
