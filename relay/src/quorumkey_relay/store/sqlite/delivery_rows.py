"""The outbox of messages to devices: its SQL, and how its rows are read back."""

# ruff: noqa: S608 - every piece that is put into a statement is a constant of this package
from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey_relay.store.records import Delivery

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Sequence

    from quorumkey_relay.store.sqlite.writer import Statement

    Ask = Callable[[str, tuple[object, ...]], list[sqlite3.Row]]

_FIELDS: Final = (
    "id",
    "request_id",
    "device",
    "channel",
    "kind",
    "not_after",
    "next_at",
    "created_at",
    "changed_at",
    "leased_until",
    "attempts",
    "state",
    "reason",
)
_COLUMNS: Final = (
    "d.delivery_id, r.request_id, d.device, d.channel, d.kind, d.not_after, d.next_at,"
    " d.created_at, d.changed_at, d.leased_until, d.attempts, d.state, d.reason"
)
_JOINED: Final = "JOIN requests AS r ON r.id = d.request"
# What may be sent now by whoever claims it. The index of queued rows holds all three columns.
_DUE: Final = "state = 'queued' AND next_at <= ? AND leased_until <= ?"

UPSERT_DELIVERY: Final = (
    "INSERT INTO deliveries (delivery_id, request, device, channel, kind, not_after, next_at,"
    " created_at, changed_at, leased_until, attempts, state, reason)"
    " VALUES (?, coalesce(?, (SELECT id FROM requests WHERE request_id = ?)),"
    " ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (delivery_id) DO UPDATE SET next_at = excluded.next_at,"
    " changed_at = excluded.changed_at, leased_until = excluded.leased_until,"
    " attempts = excluded.attempts, state = excluded.state, reason = excluded.reason"
    " WHERE deliveries.state != 'acknowledged'"
)
# The condition once more: a claim that was decided a moment ago loses to what was settled since.
CLAIM_DELIVERY: Final = f"UPDATE deliveries SET leased_until = ? WHERE delivery_id = ? AND {_DUE}"
RELEASE_DELIVERIES: Final = (
    "UPDATE deliveries SET leased_until = 0 WHERE state = 'queued' AND leased_until != 0"
)
ADVANCE_DELIVERIES: Final = (
    "UPDATE deliveries SET next_at = min(next_at, ?), leased_until = 0"
    " WHERE state = 'queued' AND max(next_at, leased_until) > ?"
)


def delivery_row(delivery: Delivery, number: int | None) -> Statement:
    """Return the statement that stores a delivery; ``number`` is its request's row, if known."""
    return (
        UPSERT_DELIVERY,
        (
            delivery.id,
            number,
            delivery.request_id,
            delivery.device,
            delivery.channel,
            delivery.kind,
            delivery.not_after,
            delivery.next_at,
            delivery.created_at,
            delivery.changed_at,
            delivery.leased_until,
            delivery.attempts,
            delivery.state,
            delivery.reason,
        ),
    )


def claim_rows(found: Sequence[Delivery], *, now: int, leased_until: int) -> list[Statement]:
    """Return the statements that claim deliveries which were due at ``now``."""
    return [(CLAIM_DELIVERY, [(leased_until, one.id, now, now) for one in found])]


class DeliveryReader:
    """Reads of the outbox, which is the delivery log too."""

    def __init__(self, ask: Ask) -> None:
        """Read through ``ask``, which raises ``StoreUnavailable`` only."""
        self._ask = ask

    def of_request(self, request_id: str) -> list[Delivery]:
        """Return the delivery log of a request."""
        return self._read(
            f"SELECT {_COLUMNS} FROM requests AS r JOIN deliveries AS d ON d.request = r.id"
            " WHERE r.request_id = ? ORDER BY d.delivery_id",
            (request_id,),
        )

    def one(self, delivery_id: str) -> Delivery | None:
        """Return a delivery by id."""
        found = self._read(
            f"SELECT {_COLUMNS} FROM deliveries AS d {_JOINED} WHERE d.delivery_id = ?",
            (delivery_id,),
        )
        return found[0] if found else None

    def due(self, *, now: int, limit: int, busy: Collection[str] = ()) -> list[Delivery]:
        """Return up to ``limit`` deliveries that may be claimed, earliest ``not_after`` first.

        Those of the channels in ``busy`` are passed over.
        """
        # Cut before anything is looked up for it: the backlog may be long.
        return self._read(
            f"SELECT {_COLUMNS} FROM (SELECT * FROM deliveries WHERE {_DUE}"
            " AND channel NOT IN (SELECT value FROM json_each(?))"
            f" ORDER BY not_after LIMIT ?) AS d {_JOINED} ORDER BY d.not_after",
            (now, now, _json_list(busy), limit),
        )

    def claimed(self, found: Sequence[Delivery], leased_until: int) -> list[Delivery]:
        """Return those of ``found`` that are queued and leased until then, as they are now.

        Of those with one deadline, what was tried least often comes first.
        """
        return self._read(
            f"SELECT {_COLUMNS} FROM json_each(?) AS j"
            f" JOIN deliveries AS d ON d.delivery_id = j.value {_JOINED}"
            " WHERE d.state = 'queued' AND d.leased_until = ?"
            " ORDER BY d.not_after, d.attempts",
            (_json_list([one.id for one in found]), leased_until),
        )

    def _read(self, sql: str, values: tuple[object, ...]) -> list[Delivery]:
        return [Delivery(**dict(zip(_FIELDS, row, strict=True))) for row in self._ask(sql, values)]


def _json_list(texts: Collection[str]) -> str:
    return msgspec.json.encode(sorted(texts)).decode()
