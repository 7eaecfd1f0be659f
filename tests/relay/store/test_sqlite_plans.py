"""Lists are read from an index, however much is stored beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.material import delivery, request

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.sqlite.reader import Reader
from quorumkey_relay.store.sqlite.schema import connect, migrate

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.contract.backends import SqliteBackend


def requests(status: Status | None) -> Callable[[Reader], object]:
    """List requests of a status."""
    return lambda reader: reader.summaries(
        integrator_id="acme", status=status, before="a", limit=20, now=0
    )


ONE = delivery(request("alice"), "alice")

LISTS: dict[str, Callable[[Reader], object]] = {
    **{f"requests, {status or 'any'}": requests(status) for status in (None, *Status)},
    "devices": lambda reader: reader.ties(
        integrator_id="acme", approver_id=None, before="a", limit=20
    ),
    "devices of a person": lambda reader: reader.ties(
        integrator_id="acme", approver_id="alice", before="a", limit=20
    ),
    "requests of a device": lambda reader: reader.requests_of_device(
        device_number=1, before="a", limit=20
    ),
    "events": lambda reader: reader.events(integrator_id="acme", after=None, limit=20),
    "due deliveries": lambda reader: reader.outbox.due(now=0, limit=20, busy=("fcm",)),
    "claimed deliveries": lambda reader: reader.outbox.claimed([ONE], 30),
    "deliveries of a request": lambda reader: reader.outbox.of_request("a"),
    "a delivery": lambda reader: reader.outbox.one("a"),
    "devices of certificates": lambda reader: reader.attested_by(["1", "ab"], 20),
    "finished requests": lambda reader: reader.finished_before(0, 20),
}


@pytest.mark.parametrize("name", LISTS)
def test_no_list_reads_a_whole_table(backend: SqliteBackend, name: str) -> None:
    """SQLite finds the first row by search, so a list costs its own length."""
    connection = connect(backend.folder)
    migrate(connection)
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    LISTS[name](Reader(connection, backend.vault))
    connection.set_trace_callback(None)

    plans = [
        str(row["detail"])
        for sql in asked
        for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}")
    ]

    connection.close()
    # A virtual table is the list that the query was given, d what it has cut to the limit.
    small = ("subquery", "VIRTUAL TABLE", "SCAN d")
    assert [] == [
        step
        for step in plans
        if step.startswith("SCAN") and not any(word in step for word in small)
    ]
