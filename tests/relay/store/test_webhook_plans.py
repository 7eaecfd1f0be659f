"""What concerns webhooks is found by an index, however much has been delivered to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from tests.contract.hooks import about, hook

from quorumkey_relay.store.records import WebhookAttempt, WebhookDelivery
from quorumkey_relay.store.sqlite import webhook_rows
from quorumkey_relay.store.sqlite.prune import BY_DELIVERY, BY_EVENT
from quorumkey_relay.store.sqlite.reader import Reader
from quorumkey_relay.store.sqlite.schema import connect, migrate
from quorumkey_relay.store.writes import AppendEvent, QueueWebhookDelivery, SettleWebhookDelivery

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Generator

    from tests.contract.backends import SqliteBackend

    from quorumkey_relay.store.sqlite.writer import Statement

READS: dict[str, Callable[[Reader], object]] = {
    "what may be claimed": lambda reader: reader.webhooks.claimable(
        now=0, after=0, share=5, limit=20, busy=["a"]
    ),
    "deliveries": lambda reader: reader.webhooks.deliveries(webhook_id="a", before="b", limit=20),
    "newest deliveries": lambda reader: reader.webhooks.deliveries(
        webhook_id="a", before=None, limit=20
    ),
    "a delivery": lambda reader: reader.webhooks.delivery(webhook_id="a", event_id="b"),
    "events to prune": lambda reader: reader.webhooks.prunable_events(
        lasting=0, before=1, now=1, limit=20
    ),
    "deliveries of webhooks that are gone": lambda reader: reader.webhooks.abandoned(20),
}

DELIVERY = WebhookDelivery(
    webhook_id="a",
    event_id="b",
    event_type="mpa.approved",
    subject="r1",
    body=b"{}",
    created_at=0,
    not_after=1,
    next_at=0,
)
ATTEMPT = WebhookAttempt(at=0, milliseconds=1, status=200, reason=None)
WRITES: dict[str, list[Statement]] = {
    "an event for all": webhook_rows.event_rows(AppendEvent(about("r1")), 0),
    "an event for one": webhook_rows.event_rows(AppendEvent(about("r1"), only_for="a"), 0),
    "a webhook": webhook_rows.webhook_rows(hook(), None),
    "settling": webhook_rows.settle_rows(SettleWebhookDelivery(DELIVERY, ATTEMPT)),
    "queuing again": [webhook_rows.queue_row(QueueWebhookDelivery("a", "b", 0, 1))],
    "claiming": [(webhook_rows.LEASE, (1, 2, 3)), (webhook_rows.GIVE_UP, (2, 3))],
    "releasing": [(webhook_rows.RELEASE_WEBHOOK_DELIVERIES, ())],
    "deleting": [(webhook_rows.DELETE_WEBHOOK, ("a",))],
    "pruning events": [(sql, (1,)) for sql in BY_EVENT],
    "pruning deliveries": [(sql, (1, 2)) for sql in BY_DELIVERY],
}

# The steps of a recursion over numbers, the list that a query was given, and the queue alone.
SMALL = (
    "SCAN CONSTANT ROW",
    "SCAN waiting",
    "SCAN known",
    "SCAN json_each VIRTUAL TABLE",
    "SCAN webhook_deliveries USING INDEX webhook_deliveries_queued",
)


@pytest.fixture
def connection(backend: SqliteBackend) -> Generator[sqlite3.Connection, None, None]:
    """A database without a row."""
    opened = connect(backend.folder)
    migrate(opened)
    yield opened
    opened.close()


def scans(connection: sqlite3.Connection, sql: str, values: object = ()) -> list[str]:
    """The steps of a statement's plan that read more than they look for."""
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", cast("tuple[str, ...]", values))
    steps = [str(row[3]) for row in plan]
    return [
        step
        for step in steps
        if ("SCAN" in step or "TEMP B-TREE" in step) and not step.startswith(SMALL)
    ]


@pytest.mark.parametrize("name", READS)
def test_no_read_scans_a_table(
    connection: sqlite3.Connection, backend: SqliteBackend, name: str
) -> None:
    """Every row is found by search, and in the order that is asked for."""
    asked: list[str] = []
    reader = Reader(connection, backend.vault)
    connection.set_trace_callback(asked.append)
    READS[name](reader)
    connection.set_trace_callback(None)

    assert [] == [step for sql in asked for step in scans(connection, sql)]
    assert asked


@pytest.mark.parametrize("name", WRITES)
def test_no_write_scans_a_table(connection: sqlite3.Connection, name: str) -> None:
    """What is written or deleted is found by search."""
    found = [step for sql, values in WRITES[name] for step in scans(connection, sql, values)]

    assert [] == found
