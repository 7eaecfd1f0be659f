"""Reads about webhooks: each finds its first row by an index, however much has been delivered."""

# ruff: noqa: S608 - every piece that is put into a query is a constant of this package
from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_relay.store.sqlite import webhook_rows as rows
from quorumkey_relay.store.sqlite.attestation_rows import json_list

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection

    from quorumkey_relay.store.records import Webhook, WebhookAttempt, WebhookDelivery

    Ask = Callable[[str, dict[str, object] | tuple[object, ...]], list[sqlite3.Row]]

_JOINED: Final = " JOIN webhooks AS w ON w.id = d.webhook JOIN events AS e ON e.id = d.event"
# Webhooks that something is queued for, one search of the index each; then of each what is due,
# from its queue alone. So neither what was settled, nor a webhook that is disabled or slow with
# thousands of deliveries waiting, is in the way of the others.
_CLAIMABLE: Final = (
    "WITH RECURSIVE waiting (webhook) AS ("
    " SELECT (SELECT webhook FROM webhook_deliveries INDEXED BY webhook_deliveries_queued"
    " WHERE state = 'queued' AND webhook > :after ORDER BY webhook LIMIT 1)"
    " UNION ALL"
    " SELECT (SELECT d.webhook FROM webhook_deliveries AS d INDEXED BY webhook_deliveries_queued"
    " WHERE d.state = 'queued' AND d.webhook > waiting.webhook ORDER BY d.webhook LIMIT 1)"
    " FROM waiting WHERE waiting.webhook IS NOT NULL)"
    f" SELECT {rows.DELIVERY_COLUMNS} FROM waiting"
    " CROSS JOIN webhooks AS w ON w.id = waiting.webhook AND w.status = 'active'"
    " AND w.id <= :last AND w.webhook_id NOT IN (SELECT value FROM json_each(:busy))"
    " CROSS JOIN webhook_deliveries AS d ON d.webhook = w.id AND d.event IN ("
    " SELECT q.event FROM webhook_deliveries AS q INDEXED BY webhook_deliveries_queued"
    " WHERE q.webhook = w.id AND q.state = 'queued' AND q.next_at <= :now"
    " AND q.leased_until <= :now AND (q.not_after <= :now OR NOT EXISTS ("
    " SELECT 1 FROM webhook_deliveries AS earlier INDEXED BY webhook_deliveries_in_order"
    " WHERE earlier.state = 'queued' AND earlier.webhook = q.webhook"
    " AND earlier.subject = q.subject AND earlier.event < q.event))"
    " ORDER BY q.next_at, q.event LIMIT :share)"
    " CROSS JOIN events AS e ON e.id = d.event LIMIT :limit"
)
_LAST_NUMBER: Final = 2**63 - 1


class Claimable(NamedTuple):
    """A delivery that may be claimed, by the numbers of its rows."""

    webhook: int
    event: int
    row: sqlite3.Row


class WebhookReader:
    """Queries about webhooks and their deliveries."""

    def __init__(self, ask: Ask) -> None:
        """Read by ``ask``, which answers the rows of a query."""
        self._ask = ask

    def webhooks(self) -> list[Webhook]:
        """Return all webhooks, oldest first."""
        found = self._ask(f"SELECT {rows.WEBHOOK_COLUMNS} FROM webhooks ORDER BY id", ())
        return [rows.read_webhook(row) for row in found]

    def webhook(self, webhook_id: str) -> Webhook | None:
        """Return a webhook by id."""
        found = self._ask(
            f"SELECT {rows.WEBHOOK_COLUMNS} FROM webhooks WHERE webhook_id = ?", (webhook_id,)
        )
        return rows.read_webhook(found[0]) if found else None

    def claimable(  # noqa: PLR0913 - what is asked for, all of it
        self,
        *,
        now: int,
        after: int,
        share: int,
        limit: int,
        busy: Collection[str],
        last: int = _LAST_NUMBER,
    ) -> list[Claimable]:
        """Return what is due and nobody's, of webhooks numbered after ``after`` up to ``last``.

        Of each webhook up to ``share``, the longest due first; of each subject the earliest. What
        cannot be delivered in time any more is among them.
        """
        values: dict[str, object] = {
            "now": now,
            "after": after,
            "last": last,
            "share": share,
            "limit": limit,
            "busy": json_list(busy),
        }
        found = self._ask(_CLAIMABLE, values)
        return [Claimable(row["webhook"], row["event"], row) for row in found]

    def deliveries(
        self, *, webhook_id: str, before: str | None, limit: int
    ) -> list[tuple[WebhookDelivery, list[WebhookAttempt]]]:
        """Return deliveries to a webhook with their attempts, newest first."""
        narrowed = ""
        if before is not None:
            narrowed = " AND d.event < (SELECT id FROM events WHERE event_id = :before)"
        found = self._ask(
            f"SELECT {rows.DELIVERY_COLUMNS} FROM webhook_deliveries AS d{_JOINED}"
            " WHERE d.webhook = (SELECT id FROM webhooks WHERE webhook_id = :webhook)"
            f"{narrowed} ORDER BY d.event DESC LIMIT :limit",
            {"webhook": webhook_id, "before": before, "limit": limit},
        )
        return [(rows.read_delivery(row), self._attempts(row)) for row in found]

    def delivery(
        self, *, webhook_id: str, event_id: str
    ) -> tuple[WebhookDelivery, list[WebhookAttempt]] | None:
        """Return a delivery with its attempts."""
        found = self._ask(
            f"SELECT {rows.DELIVERY_COLUMNS} FROM webhook_deliveries AS d{_JOINED}"
            " WHERE w.webhook_id = ? AND e.event_id = ?",
            (webhook_id, event_id),
        )
        return (rows.read_delivery(found[0]), self._attempts(found[0])) if found else None

    def _attempts(self, delivery: sqlite3.Row) -> list[WebhookAttempt]:
        found = self._ask(
            "SELECT * FROM webhook_attempts WHERE webhook = ? AND event = ? ORDER BY number",
            (delivery["webhook"], delivery["event"]),
        )
        return [rows.read_attempt(row) for row in found]

    def prunable_events(self, *, lasting: int, before: int, now: int, limit: int) -> list[int]:
        """Return numbers of events from before ``before`` that go to no webhook any more.

        ``lasting`` is as in the table.
        """
        found = self._ask(
            "SELECT id FROM events AS e WHERE e.lasting = ? AND e.created_at < ? AND NOT EXISTS ("
            "SELECT 1 FROM webhook_deliveries AS d WHERE d.event = e.id AND d.state = 'queued'"
            " AND d.not_after > ?) LIMIT ?",
            (lasting, before, now, limit),
        )
        return [row["id"] for row in found]

    def abandoned(self, limit: int) -> list[tuple[int, int]]:
        """Return webhook and event of up to ``limit`` deliveries to webhooks that are gone."""
        found = self._ask(
            "WITH RECURSIVE known (webhook) AS ("
            " SELECT (SELECT webhook FROM webhook_deliveries WHERE webhook > 0"
            " ORDER BY webhook LIMIT 1)"
            " UNION ALL SELECT (SELECT d.webhook FROM webhook_deliveries AS d"
            " WHERE d.webhook > known.webhook ORDER BY d.webhook LIMIT 1)"
            " FROM known WHERE known.webhook IS NOT NULL)"
            " SELECT d.webhook, d.event FROM known"
            " CROSS JOIN webhook_deliveries AS d ON d.webhook = known.webhook"
            " WHERE NOT EXISTS (SELECT 1 FROM webhooks AS w WHERE w.id = known.webhook) LIMIT ?",
            (limit,),
        )
        return [(row["webhook"], row["event"]) for row in found]
