"""Reads of the SQLite store: one connection of its own, point look-ups and short pages.

They run on the event loop's thread: each is an index look-up of microseconds, cheaper than a
hand-over to another thread.
"""

# ruff: noqa: S608 - every piece that is put into a query is a constant of this package
from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from quorumkey_relay.domain.model import Status
from quorumkey_relay.identity.principals import (
    ApiKey,
    Attestation,
    BoundAppAttestKey,
    Device,
    Integrator,
    Pairing,
)
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.records import (
    TEST_EVENT,
    EventRecord,
    Evidence,
    IdempotentAnswer,
    Stored,
    Summary,
)
from quorumkey_relay.store.sqlite import attestation_rows, rows, webhook_rows
from quorumkey_relay.store.sqlite.delivery_rows import DeliveryReader
from quorumkey_relay.store.sqlite.jit_reader import JitReader
from quorumkey_relay.store.sqlite.protection_reader import ProtectionReader
from quorumkey_relay.store.sqlite.webhook_reader import WebhookReader

if TYPE_CHECKING:
    from collections.abc import Collection

    from quorumkey_relay.identity.vault import Vault

# Which rows have a status at a time. Each is a query of its own, so that each is read from its
# index, newest first, and stops at the limit.
_EFFECTIVE = {
    None: ("1",),
    Status.PENDING: ("status = 'pending' AND expires_at > :now",),
    Status.TIMEOUT: ("status = 'timeout'", "status = 'pending' AND expires_at <= :now"),
}


class Reader:
    """Queries on a read connection; raises ``StoreUnavailable`` only."""

    def __init__(self, connection: sqlite3.Connection, vault: Vault) -> None:
        """Use ``connection`` for reads alone; ``vault`` opens what is sealed."""
        connection.row_factory = sqlite3.Row
        self._connection = connection
        self._vault = vault
        self.outbox = DeliveryReader(self._all)
        self.webhooks = WebhookReader(self._all)
        self.protection = ProtectionReader(self._all)
        self.jit = JitReader(self._all, vault)

    def _all(self, sql: str, values: dict[str, object] | tuple[object, ...]) -> list[sqlite3.Row]:
        try:
            return self._connection.execute(sql, values).fetchall()
        except sqlite3.Error as error:
            message = f"the database cannot be read: {error}"
            raise StoreUnavailable(message) from error

    def _one(self, sql: str, values: tuple[object, ...]) -> sqlite3.Row | None:
        found = self._all(sql, values)
        return found[0] if found else None

    # Directory

    def integrators(self) -> list[Integrator]:
        """Return all integrators, oldest first."""
        found = self._all("SELECT integrator_id, name FROM integrators ORDER BY id", ())
        return [Integrator(row["integrator_id"], row["name"]) for row in found]

    def api_keys(self) -> list[ApiKey]:
        """Return all API keys, oldest first."""
        return [
            ApiKey(**row)
            for row in self._all("SELECT * FROM api_keys ORDER BY created_at, key_id", ())
        ]

    def devices(self) -> list[tuple[int, Device]]:
        """Return all devices with their row numbers; ties are added by ``current_pairings``."""
        found = self._all(f"SELECT id, {rows.DEVICE_COLUMNS} FROM devices ORDER BY id", ())
        return [(row["id"], rows.read_device(row, {})) for row in found]

    def device(self, fingerprint: str) -> tuple[int, Device] | None:
        """Return one device with its row number."""
        row = self._one(
            f"SELECT id, {rows.DEVICE_COLUMNS} FROM devices WHERE fingerprint = ?",
            (bytes.fromhex(fingerprint),),
        )
        return None if row is None else (row["id"], rows.read_device(row, {}))

    def current_pairings(self, now: int) -> list[Pairing]:
        """Return ties in force and codes not yet expired, oldest first."""
        found = self._all(
            f"SELECT {rows.PAIRING_COLUMNS} FROM pairings"
            " WHERE (device IS NOT NULL AND ended_at IS NULL) OR expires_at > ? ORDER BY id",
            (now,),
        )
        return [rows.read_pairing(row) for row in found]

    def pairing(self, pairing_id: str) -> Pairing | None:
        """Return a pairing by id."""
        row = self._one(
            f"SELECT {rows.PAIRING_COLUMNS} FROM pairings WHERE pairing_id = ?", (pairing_id,)
        )
        return None if row is None else rows.read_pairing(row)

    def pairing_by_code(self, code_digest: bytes) -> Pairing | None:
        """Return the pairing of a code, whatever became of it."""
        row = self._one(
            f"SELECT {rows.PAIRING_COLUMNS} FROM pairings WHERE code_digest = ?", (code_digest,)
        )
        return None if row is None else rows.read_pairing(row)

    def ties(
        self, *, integrator_id: str, approver_id: str | None, before: str | None, limit: int
    ) -> list[Pairing]:
        """Return the newest tie of each device to an integrator, newest first."""
        narrowed = "" if approver_id is None else " AND approver_id = :approver"
        if before is not None:
            narrowed += " AND id < (SELECT id FROM pairings WHERE pairing_id = :before)"
        found = self._all(
            f"SELECT {rows.PAIRING_COLUMNS} FROM pairings AS p"
            f" WHERE integrator_id = :integrator AND device IS NOT NULL{narrowed}"
            " AND id = (SELECT max(id) FROM pairings AS newest WHERE newest.device = p.device"
            " AND newest.integrator_id = :integrator)"
            " ORDER BY id DESC LIMIT :limit",
            {
                "integrator": integrator_id,
                "approver": approver_id,
                "before": before,
                "limit": limit,
            },
        )
        return [rows.read_pairing(row) for row in found]

    def tie(self, *, integrator_id: str, device: str) -> Pairing | None:
        """Return the newest tie of a device to an integrator."""
        row = self._one(
            f"SELECT {rows.PAIRING_COLUMNS} FROM pairings"
            " WHERE device = ? AND integrator_id = ? ORDER BY id DESC LIMIT 1",
            (device, integrator_id),
        )
        return None if row is None else rows.read_pairing(row)

    # What devices proved

    def attestation(self, fingerprint: str) -> Attestation | None:
        """Return what a device last proved."""
        row = self._one(
            "SELECT v.fingerprint, a.* FROM attestations AS a JOIN devices AS v ON v.id = a.device"
            " WHERE v.fingerprint = ?",
            (bytes.fromhex(fingerprint),),
        )
        return None if row is None else attestation_rows.read_attestation(row)

    def attested_by(self, serials: Collection[str], limit: int) -> list[tuple[str, str]]:
        """Return pairs of certificate serial and device; see ``Store.attested_by``."""
        # Sorted only once cut: a certificate of a whole series may stand behind every device.
        found = self._all(
            "SELECT s.serial, v.fingerprint FROM json_each(?) AS j"
            " JOIN attested_serials AS s ON s.serial = j.value"
            " JOIN attestations AS a ON a.device = s.device AND a.revoked_at IS NULL"
            " JOIN devices AS v ON v.id = s.device AND v.revoked_at IS NULL LIMIT ?",
            (attestation_rows.json_list(serials), limit),
        )
        return sorted((row["serial"], row["fingerprint"].hex()) for row in found)

    def app_attest_keys(self) -> list[BoundAppAttestKey]:
        """Return all App Attest keys."""
        found = self._all(
            f"SELECT v.fingerprint, {attestation_rows.APP_ATTEST_COLUMNS} FROM app_attest_keys AS k"
            " JOIN devices AS v ON v.id = k.device",
            (),
        )
        return [attestation_rows.read_app_attest_key(row) for row in found]

    def app_attest_receipt(self, key_id: bytes) -> bytes | None:
        """Return the receipt of an App Attest key."""
        row = self._one("SELECT receipt FROM app_attest_keys WHERE key_id = ?", (key_id,))
        return None if row is None else bytes(row["receipt"])

    # Requests

    def last_request_number(self) -> int:
        """Return the largest row number of a request, 0 without any."""
        row = self._one("SELECT coalesce(max(id), 0) AS last FROM requests", ())
        return 0 if row is None else int(row["last"])

    def open_requests(self) -> list[tuple[int, Stored]]:
        """Return pending requests with their row numbers, oldest first."""
        found = self._all(
            "SELECT r.*, d.payload, d.keyid, d.signature, d.nonce, d.persons, d.match_code"
            " FROM requests AS r JOIN documents AS d ON d.request = r.id"
            " WHERE r.status = 'pending' ORDER BY r.id",
            (),
        )
        return [(row["id"], self._stored(row)) for row in found]

    def stored(self, request_id: str) -> tuple[int, Stored] | None:
        """Return a request with its row number."""
        row = self._one(
            "SELECT r.*, d.payload, d.keyid, d.signature, d.nonce, d.persons, d.match_code"
            " FROM requests AS r JOIN documents AS d ON d.request = r.id"
            " WHERE r.request_id = ?",
            (request_id,),
        )
        return None if row is None else (row["id"], self._stored(row))

    def _stored(self, row: sqlite3.Row) -> Stored:
        codes = self._all("SELECT device, tries FROM wrong_codes WHERE request = ?", (row["id"],))
        sealed = row["match_code"]
        return rows.read_stored(
            row,
            match_code=None if sealed is None else self._vault.open(sealed).decode(),
            decisions=self._decisions(row["id"]),
            wrong_codes={code["device"]: code["tries"] for code in codes},
        )

    def _decisions(self, number: int) -> list[sqlite3.Row]:
        return self._all(
            "SELECT c.*, v.fingerprint FROM decisions AS c JOIN devices AS v ON v.id = c.device"
            " WHERE c.request = ? AND c.void = 0 ORDER BY c.ordinal",
            (number,),
        )

    def evidence(self, request_id: str) -> list[Evidence]:
        """Return the decisions that count, in order."""
        row = self._one("SELECT id FROM requests WHERE request_id = ?", (request_id,))
        return [] if row is None else [rows.read_evidence(d) for d in self._decisions(row["id"])]

    def summary(self, request_id: str) -> Summary | None:
        """Return what a read of a request reports."""
        row = self._one(
            f"SELECT {rows.SUMMARY_COLUMNS} FROM requests WHERE request_id = ?", (request_id,)
        )
        return None if row is None else rows.read_summary(row)

    def summaries(
        self,
        *,
        integrator_id: str | None,
        status: Status | None,
        before: str | None,
        limit: int,
        now: int,
    ) -> list[Summary]:
        """Return summaries, newest first; of every integrator where none is named."""
        narrowed = ""
        if integrator_id is not None:
            narrowed += " AND integrator_id = :integrator"
        if before is not None:
            narrowed += " AND id < (SELECT id FROM requests WHERE request_id = :before)"
        newest = " ORDER BY id DESC LIMIT :limit"
        parts = [
            f"SELECT * FROM (SELECT id, {rows.SUMMARY_COLUMNS} FROM requests"
            f" WHERE {wanted}{narrowed}{newest})"
            for wanted in _EFFECTIVE.get(status, ("status = :status",))
        ]
        found = self._all(
            f"SELECT {rows.SUMMARY_COLUMNS} FROM ({' UNION ALL '.join(parts)}){newest}",
            {
                "integrator": integrator_id,
                "status": None if status is None else str(status),
                "before": before,
                "limit": limit,
                "now": now,
            },
        )
        return [rows.read_summary(row) for row in found]

    def requests_of_device(
        self, *, device_number: int, before: str | None, limit: int
    ) -> list[str]:
        """Return ids of requests that name a device, newest first."""
        found = self._all(
            "SELECT r.request_id FROM request_devices AS n JOIN requests AS r ON r.id = n.request"
            " WHERE n.device = :device AND (:before IS NULL OR n.request <"
            " (SELECT id FROM requests WHERE request_id = :before))"
            " ORDER BY n.request DESC LIMIT :limit",
            {"device": device_number, "before": before, "limit": limit},
        )
        return [row["request_id"] for row in found]

    # Events, answers, keys

    def events(
        self, *, integrator_id: str, after: str | None, limit: int
    ) -> list[EventRecord] | None:
        """Return events after ``after`` in order; None when that one is not kept."""
        start = 0
        if after is not None:
            row = self._one(
                "SELECT id FROM events WHERE event_id = ? AND integrator_id = ? AND lasting < 2",
                (after, integrator_id),
            )
            if row is None:
                return None
            start = row["id"]
        found = self._all(
            f"SELECT {webhook_rows.EVENT_COLUMNS} FROM events"
            " WHERE integrator_id = ? AND id > ? AND type != ? ORDER BY events.id LIMIT ?",
            (integrator_id, start, TEST_EVENT, limit),
        )
        return [EventRecord(**row) for row in found]

    def event(self, event_id: str) -> EventRecord | None:
        """Return an event by id."""
        row = self._one(
            f"SELECT {webhook_rows.EVENT_COLUMNS} FROM events WHERE event_id = ?",
            (event_id,),
        )
        return None if row is None else EventRecord(**row)

    def answer(self, *, integrator_id: str, path: str, key: str) -> IdempotentAnswer | None:
        """Return the first answer under an idempotency key."""
        row = self._one(
            "SELECT * FROM answers WHERE integrator_id = ? AND path = ? AND key = ?",
            (integrator_id, path, key),
        )
        if row is None:
            return None
        values = dict(row)
        values["answer"] = self._vault.open(row["answer"])
        return IdempotentAnswer(**values)

    def successions(self) -> list[tuple[bytes, str, int]]:
        """Return successions, oldest first."""
        found = self._all(
            "SELECT envelope, next_fingerprint, not_before FROM successions ORDER BY id", ()
        )
        return [(row["envelope"], row["next_fingerprint"], row["not_before"]) for row in found]

    def changes(self, after: int) -> list[tuple[int, str, str]]:
        """Return what other processes changed after change number ``after``."""
        found = self._all("SELECT seq, kind, key FROM changes WHERE seq > ? ORDER BY seq", (after,))
        return [(row["seq"], row["kind"], row["key"]) for row in found]

    def last_change(self) -> int:
        """Return the number of the newest change by another process."""
        row = self._one("SELECT coalesce(max(seq), 0) AS last FROM changes", ())
        return 0 if row is None else int(row["last"])

    def finished_before(self, before: int, limit: int) -> list[tuple[int, bytes]]:
        """Return row number and document of requests that ended before ``before``.

        One stays while something can still happen to its transaction, and as long as the request
        for a role that it decides.
        """
        found = self._all(
            "SELECT r.id, d.payload FROM requests AS r JOIN documents AS d ON d.request = r.id"
            " WHERE r.completed_at IS NOT NULL AND r.completed_at < ? AND NOT EXISTS"
            " (SELECT 1 FROM transactions AS t WHERE t.request = r.id AND t.open = 1)"
            " AND NOT EXISTS (SELECT 1 FROM access_requests AS q WHERE q.request_id = r.request_id)"
            " LIMIT ?",
            (before, limit),
        )
        return [(row["id"], row["payload"]) for row in found]

    def answers_before(self, before: int, limit: int) -> int:
        """Return how many answers, up to ``limit``, were given before ``before``."""
        return len(self._all("SELECT 1 FROM answers WHERE created_at < ? LIMIT ?", (before, limit)))

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
