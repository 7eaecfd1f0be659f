"""Between webhooks and rows: SQL of every write, and how rows are read back."""

# ruff: noqa: S608 - every piece that is put into a statement is a constant of this package
from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey_relay.store.records import (
    MAX_WEBHOOK_ATTEMPTS_KEPT,
    WEBHOOK_DELIVERY_SECONDS,
    EventRecord,
    Webhook,
    WebhookAttempt,
    WebhookDelivery,
)

if TYPE_CHECKING:
    import sqlite3

    from quorumkey_relay.store.sqlite.writer import Statement
    from quorumkey_relay.store.writes import (
        AppendEvent,
        QueueWebhookDelivery,
        SettleWebhookDelivery,
    )

_types: Final = msgspec.json.Decoder(tuple[str, ...])
_encode: Final = msgspec.json.encode

WEBHOOK_FIELDS: Final = tuple(field.name for field in fields(Webhook))
WEBHOOK_COLUMNS: Final = ", ".join(WEBHOOK_FIELDS)
#: Columns of ``webhook_deliveries AS d``, ``webhooks AS w`` and ``events AS e``.
DELIVERY_COLUMNS: Final = (
    "d.webhook, d.event, w.webhook_id, e.event_id, e.type AS event_type, d.subject, e.body,"
    " d.created_at, d.not_after, d.next_at, d.leased_until, d.attempts, d.state"
)

EVENT_COLUMNS: Final = "event_id AS id, integrator_id, type, subject, body, created_at"
INSERT_EVENT: Final = (
    "INSERT INTO events (event_id, integrator_id, type, subject, body, created_at, lasting)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
# What an event is queued for is decided here, so that one which the command line's process
# appends, with no webhook in its memory, is queued too.
_QUEUE: Final = (
    "INSERT INTO webhook_deliveries (webhook, event, subject, created_at, not_after, next_at,"
    " leased_until, attempts, state)"
    f" SELECT w.id, e.id, e.subject, ?1, ?1 + {WEBHOOK_DELIVERY_SECONDS}, ?1, 0, 0, 'queued'"
    " FROM events AS e CROSS JOIN webhooks AS w"
)
QUEUE_FOR_ALL: Final = (
    f"{_QUEUE} ON w.integrator_id = e.integrator_id AND w.status = 'active' AND"
    " (w.events = '[]' OR EXISTS (SELECT 1 FROM json_each(w.events) WHERE value = e.type))"
    " WHERE e.event_id = ?2"
)
QUEUE_FOR_ONE: Final = f"{_QUEUE} ON w.webhook_id = ?3 WHERE e.event_id = ?2"

INSERT_WEBHOOK: Final = (
    f"INSERT INTO webhooks ({WEBHOOK_COLUMNS}) VALUES ({', '.join('?' * len(WEBHOOK_FIELDS))})"
)
DELETE_WEBHOOK: Final = "DELETE FROM webhooks WHERE webhook_id = ?"
SET_WEBHOOK_STATUS: Final = (
    "UPDATE webhooks SET status = ?1, disabled_reason = ?2,"
    " failing_since = CASE WHEN ?1 = 'disabled' THEN failing_since END WHERE webhook_id = ?3"
)

_THIS: Final = (
    "webhook = (SELECT id FROM webhooks WHERE webhook_id = ?1)"
    " AND event = (SELECT id FROM events WHERE event_id = ?2)"
)
QUEUE_AGAIN: Final = (
    "UPDATE webhook_deliveries SET state = 'queued', next_at = ?3, not_after = ?4, attempts = 0"
    f" WHERE {_THIS}"
)
# Whoever queued it again while it was being tried wants it tried again, at once. One that arrived
# stays so, whatever another try comes to; and a try whose lease has ended says nothing of the one
# after it.
_ASKED_AGAIN: Final = "?3 <> 'delivered' AND not_after > ?6"
SETTLE: Final = (
    "UPDATE webhook_deliveries SET leased_until = 0,"
    f" state = CASE WHEN {_ASKED_AGAIN} THEN 'queued' ELSE ?3 END,"
    f" next_at = CASE WHEN {_ASKED_AGAIN} THEN next_at ELSE ?4 END,"
    f" attempts = CASE WHEN {_ASKED_AGAIN} THEN attempts ELSE ?5 END"
    f" WHERE {_THIS} AND (?3 = 'delivered'"
    " OR (state = 'queued' AND leased_until = ?7))"
)
INSERT_ATTEMPT: Final = (
    "INSERT INTO webhook_attempts (webhook, event, number, at, milliseconds, status, reason)"
    " SELECT webhook, event, 1 + coalesce((SELECT max(number) FROM webhook_attempts AS a"
    " WHERE a.webhook = d.webhook AND a.event = d.event), 0), ?3, ?4, ?5, ?6"
    f" FROM webhook_deliveries AS d WHERE {_THIS}"
)
FORGET_ATTEMPTS: Final = (
    f"DELETE FROM webhook_attempts WHERE {_THIS} AND number <= -{MAX_WEBHOOK_ATTEMPTS_KEPT} +"
    f" (SELECT max(number) FROM webhook_attempts WHERE {_THIS})"
)
LEASE: Final = (
    "UPDATE webhook_deliveries SET leased_until = ?"
    " WHERE webhook = ? AND event = ? AND state = 'queued'"
)
GIVE_UP: Final = (
    "UPDATE webhook_deliveries SET state = 'failed', leased_until = 0"
    " WHERE webhook = ? AND event = ? AND state = 'queued'"
)
RELEASE_WEBHOOK_DELIVERIES: Final = (
    "UPDATE webhook_deliveries INDEXED BY webhook_deliveries_queued SET leased_until = 0"
    " WHERE state = 'queued' AND leased_until > 0"
)


def event_rows(write: AppendEvent, now: int) -> list[Statement]:
    """Return the statements that store an event and queue it for whoever wants it."""
    event = write.event
    if write.only_for is not None:
        return [event_row(event), (QUEUE_FOR_ONE, (now, event.id, write.only_for))]
    return [event_row(event), (QUEUE_FOR_ALL, (now, event.id))]


def event_row(event: EventRecord) -> Statement:
    """Return the statement that stores an event alone."""
    values = (event.id, event.integrator_id, event.type, event.subject, event.body)
    return (INSERT_EVENT, (*values, event.created_at, int(event.lasts)))


def webhook_rows(webhook: Webhook, known: Webhook | None) -> list[Statement]:
    """Return the statement that stores a new webhook, or what is not as ``known`` of one."""
    values = _values(webhook)
    if known is None:
        return [(INSERT_WEBHOOK, tuple(values.values()))]
    before = _values(known)
    changed = [name for name in WEBHOOK_FIELDS if values[name] != before[name]]
    if not changed:
        return []
    columns = ", ".join(f"{name} = ?" for name in changed)
    return [
        (
            f"UPDATE webhooks SET {columns} WHERE webhook_id = ?",
            (*(values[name] for name in changed), webhook.webhook_id),
        )
    ]


def _values(webhook: Webhook) -> dict[str, object]:
    values = {name: getattr(webhook, name) for name in WEBHOOK_FIELDS}
    values["events"] = _encode(webhook.events).decode()
    return values


def status_row(webhook: Webhook) -> Statement:
    """Return the statement that disables or enables a webhook, and writes nothing else of it.

    That it failed is forgotten when it is enabled.
    """
    values = (webhook.status, webhook.disabled_reason, webhook.webhook_id)
    return (SET_WEBHOOK_STATUS, values)


def queue_row(write: QueueWebhookDelivery) -> Statement:
    """Return the statement that queues a delivery again."""
    return (QUEUE_AGAIN, (write.webhook_id, write.event_id, write.now, write.not_after))


def settle_rows(write: SettleWebhookDelivery) -> list[Statement]:
    """Return the statements that store what became of a delivery."""
    delivery, attempt = write.delivery, write.attempt
    this = (delivery.webhook_id, delivery.event_id)
    state = (delivery.state, delivery.next_at, delivery.attempts)
    claim = (delivery.not_after, delivery.leased_until)
    settled: Statement = (SETTLE, (*this, *state, *claim))
    if attempt is None:
        return [settled]
    tried = (attempt.at, attempt.milliseconds, attempt.status, attempt.reason)
    return [settled, (INSERT_ATTEMPT, (*this, *tried)), (FORGET_ATTEMPTS, this)]


def read_webhook(row: sqlite3.Row) -> Webhook:
    """Read ``WEBHOOK_COLUMNS``."""
    values = dict(row)
    values["events"] = _types.decode(row["events"])
    return Webhook(**values)


def read_delivery(row: sqlite3.Row, *, leased_until: int | None = None) -> WebhookDelivery:
    """Read ``DELIVERY_COLUMNS``; with another lease where it has just been claimed."""
    values = dict(row)
    del values["webhook"], values["event"]
    if leased_until is not None:
        values["leased_until"] = leased_until
    return WebhookDelivery(**values)


def read_attempt(row: sqlite3.Row) -> WebhookAttempt:
    """Read a row of ``webhook_attempts``."""
    return WebhookAttempt(
        at=row["at"],
        milliseconds=row["milliseconds"],
        status=row["status"],
        reason=row["reason"],
    )
