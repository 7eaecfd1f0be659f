"""Reads about protected methods: point look-ups, and short pages from an index."""

# ruff: noqa: S608 - every piece that is put into a query is a constant of this package
from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.store.records import EventRecord
from quorumkey_relay.store.sqlite import protection_rows as rows
from quorumkey_relay.store.sqlite import webhook_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.domain.transactions import Claim, Transaction

    Ask = Callable[[str, dict[str, object] | tuple[object, ...]], list[sqlite3.Row]]


class ProtectionReader:
    """Queries about protections, transactions and claims."""

    def __init__(self, ask: Ask) -> None:
        """Read by ``ask``, which answers the rows of a query."""
        self._ask = ask

    def protections(self) -> list[Protection]:
        """Return every integrator's protection."""
        found = self._ask("SELECT document FROM protections ORDER BY id", ())
        return [rows.read_protection(row) for row in found]

    def protection(self, integrator_id: str) -> Protection | None:
        """Return an integrator's protection."""
        found = self._ask(
            "SELECT document FROM protections WHERE integrator_id = ?", (integrator_id,)
        )
        return rows.read_protection(found[0]) if found else None

    def open_transactions(self) -> list[Transaction]:
        """Return the transactions that something can still happen to, oldest first."""
        found = self._ask(f"{rows.TRANSACTIONS} WHERE t.open = 1 ORDER BY t.request", ())
        return [rows.read_transaction(row) for row in found]

    def transaction(self, request_id: str) -> Transaction | None:
        """Return a transaction by id."""
        found = self._ask(f"{rows.TRANSACTIONS} WHERE r.request_id = ?", (request_id,))
        return rows.read_transaction(found[0]) if found else None

    def transactions(
        self, *, integrator_id: str, before: str | None, limit: int
    ) -> list[Transaction]:
        """Return transactions, newest first."""
        narrowed = ""
        if before is not None:
            narrowed = " AND t.request < (SELECT id FROM requests WHERE request_id = :before)"
        found = self._ask(
            f"{rows.TRANSACTIONS} WHERE t.integrator_id = :integrator{narrowed}"
            " ORDER BY t.request DESC LIMIT :limit",
            {"integrator": integrator_id, "before": before, "limit": limit},
        )
        return [rows.read_transaction(row) for row in found]

    def status(self, request_id: str) -> str | None:
        """Return how a request stands, as it is written down."""
        found = self._ask("SELECT status FROM requests WHERE request_id = ?", (request_id,))
        return str(found[0]["status"]) if found else None

    def claim(self, claim_id: str) -> Claim | None:
        """Return a claim by id."""
        found = self._ask(f"{rows.CLAIMS} WHERE c.claim_id = ?", (claim_id,))
        return rows.read_claim(found[0]) if found else None

    def claim_of(self, request_id: str) -> Claim | None:
        """Return the claim on a request."""
        found = self._ask(f"{rows.CLAIMS} WHERE r.request_id = ?", (request_id,))
        return rows.read_claim(found[0]) if found else None

    def overdue_claims(self, *, now: int, limit: int) -> list[Claim]:
        """Return claims whose result did not come by ``now``, the longest overdue first."""
        found = self._ask(
            f"{rows.CLAIMS} WHERE c.result IS NULL AND c.result_by <= ?"
            " ORDER BY c.result_by LIMIT ?",
            (now, limit),
        )
        return [rows.read_claim(row) for row in found]

    def events_to_age(self, *, before: int, limit: int) -> list[int]:
        """Return numbers of lasting events from before ``before`` that a stream may start from."""
        found = self._ask(
            "SELECT id FROM events WHERE lasting = 1 AND created_at < ? LIMIT ?", (before, limit)
        )
        return [row["id"] for row in found]

    def audited(self, *, integrator_id: str, limit: int) -> list[EventRecord]:
        """Return what is kept of who did what, newest first."""
        found = self._ask(
            f"SELECT {webhook_rows.EVENT_COLUMNS} FROM events"
            " WHERE integrator_id = ? AND lasting > 0 ORDER BY events.id DESC LIMIT ?",
            (integrator_id, limit),
        )
        return [EventRecord(**row) for row in found]
