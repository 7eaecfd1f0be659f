"""Tables of the SQLite store, as a list of migrations that each run once, in order.

A request is spread over narrow tables so that the hot path writes little: ``requests`` is its
small state, ``documents`` the immutable document, ``decisions`` one row a decision.
"""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Final

from quorumkey_relay.identity.files import PRIVATE_FILE_MODE
from quorumkey_relay.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from pathlib import Path

DATABASE_NAME: Final = "relay.db"
BUSY_TIMEOUT_MS: Final = 2_000
CACHE_KIB: Final = 65_536
MMAP_BYTES: Final = 268_435_456
STATEMENT_CACHE: Final = 256
# Names the file's format to tools; written again, it still has to reach the disk.
MARK_FILE: Final = f"PRAGMA application_id = {int.from_bytes(b'QKRL', 'big')}"

MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE integrators (
      id INTEGER PRIMARY KEY, integrator_id TEXT NOT NULL UNIQUE, name TEXT NOT NULL
    );
    CREATE TABLE api_keys (
      key_id TEXT PRIMARY KEY, integrator_id TEXT NOT NULL, scope TEXT NOT NULL,
      name TEXT NOT NULL, digest BLOB NOT NULL UNIQUE, created_at INTEGER NOT NULL,
      revoked_at INTEGER
    );
    CREATE TABLE devices (
      id INTEGER PRIMARY KEY, fingerprint BLOB NOT NULL UNIQUE, public_key BLOB NOT NULL,
      platform TEXT NOT NULL, form TEXT NOT NULL, assurance TEXT NOT NULL,
      enrolled_at INTEGER NOT NULL, sign_count INTEGER NOT NULL, session_key BLOB,
      push_channel TEXT NOT NULL, push BLOB, revoked_at INTEGER
    );
    CREATE TABLE pairings (
      id INTEGER PRIMARY KEY, pairing_id TEXT NOT NULL UNIQUE, integrator_id TEXT NOT NULL,
      approver_id TEXT NOT NULL, approver_name TEXT, code_digest BLOB NOT NULL UNIQUE,
      created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL, device TEXT,
      enrolled_at INTEGER, enrollment BLOB, attestation BLOB, ended_at INTEGER
    );
    CREATE INDEX pairings_of_integrator ON pairings (integrator_id, id) WHERE device IS NOT NULL;
    CREATE INDEX pairings_of_approver
      ON pairings (integrator_id, approver_id, id) WHERE device IS NOT NULL;
    CREATE INDEX pairings_of_device
      ON pairings (device, integrator_id, id) WHERE device IS NOT NULL;
    CREATE INDEX pairings_open ON pairings (expires_at) WHERE device IS NULL;
    CREATE TABLE requests (
      id INTEGER PRIMARY KEY, request_id TEXT NOT NULL UNIQUE, integrator_id TEXT NOT NULL,
      profile TEXT NOT NULL, status TEXT NOT NULL, version INTEGER NOT NULL,
      required INTEGER NOT NULL, groups_total INTEGER NOT NULL, satisfied TEXT NOT NULL,
      lost TEXT NOT NULL, digest TEXT NOT NULL, created_at INTEGER NOT NULL,
      expires_at INTEGER NOT NULL, use_by INTEGER NOT NULL, completed_at INTEGER
    );
    CREATE INDEX requests_of_integrator ON requests (integrator_id, status, id);
    CREATE INDEX requests_by_age ON requests (integrator_id, id);
    CREATE INDEX requests_pending ON requests (id) WHERE status = 'pending';
    CREATE INDEX requests_completed ON requests (completed_at) WHERE completed_at IS NOT NULL;
    CREATE TABLE documents (
      request INTEGER PRIMARY KEY, payload BLOB NOT NULL, keyid TEXT NOT NULL,
      signature BLOB NOT NULL, nonce TEXT NOT NULL, persons TEXT NOT NULL, match_code BLOB
    );
    CREATE TABLE decisions (
      request INTEGER NOT NULL, ordinal INTEGER NOT NULL, device INTEGER NOT NULL,
      choice TEXT NOT NULL, payload BLOB NOT NULL, signature BLOB NOT NULL,
      authenticator_data BLOB, client_data_json BLOB, void INTEGER NOT NULL DEFAULT 0,
      PRIMARY KEY (request, ordinal)
    ) WITHOUT ROWID;
    CREATE TABLE wrong_codes (
      request INTEGER NOT NULL, device TEXT NOT NULL, tries INTEGER NOT NULL,
      PRIMARY KEY (request, device)
    ) WITHOUT ROWID;
    CREATE TABLE request_devices (
      device INTEGER NOT NULL, request INTEGER NOT NULL, PRIMARY KEY (device, request)
    ) WITHOUT ROWID;
    CREATE TABLE events (
      id INTEGER PRIMARY KEY, event_id TEXT NOT NULL UNIQUE, integrator_id TEXT NOT NULL,
      type TEXT NOT NULL, body BLOB NOT NULL, created_at INTEGER NOT NULL
    );
    CREATE INDEX events_of_integrator ON events (integrator_id, id);
    CREATE INDEX events_created ON events (created_at);
    CREATE TABLE deliveries (
      delivery_id TEXT PRIMARY KEY, request INTEGER NOT NULL, device TEXT NOT NULL,
      channel TEXT NOT NULL, kind TEXT NOT NULL, not_after INTEGER NOT NULL,
      next_at INTEGER NOT NULL, attempts INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT
    ) WITHOUT ROWID;
    CREATE INDEX deliveries_of_request ON deliveries (request);
    CREATE INDEX deliveries_queued ON deliveries (next_at) WHERE state = 'queued';
    CREATE TABLE answers (
      integrator_id TEXT NOT NULL, path TEXT NOT NULL, key TEXT NOT NULL,
      body_digest BLOB NOT NULL, answer BLOB NOT NULL, created_at INTEGER NOT NULL,
      PRIMARY KEY (integrator_id, path, key)
    ) WITHOUT ROWID;
    CREATE INDEX answers_created ON answers (created_at);
    CREATE TABLE successions (
      id INTEGER PRIMARY KEY, envelope BLOB NOT NULL, next_fingerprint TEXT NOT NULL UNIQUE,
      not_before INTEGER NOT NULL
    );
    CREATE TABLE changes (
      seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, key TEXT NOT NULL
    );
    """,
    """
    CREATE TABLE attestations (
      device INTEGER PRIMARY KEY, format TEXT NOT NULL, assurance TEXT NOT NULL,
      judged_at INTEGER NOT NULL, evidence BLOB NOT NULL, serials TEXT NOT NULL,
      quirks TEXT NOT NULL, revoked_at INTEGER
    );
    CREATE TABLE attested_serials (
      serial TEXT NOT NULL, device INTEGER NOT NULL, PRIMARY KEY (serial, device)
    ) WITHOUT ROWID;
    CREATE INDEX attested_serials_of_device ON attested_serials (device);
    CREATE TABLE app_attest_keys (
      key_id BLOB PRIMARY KEY, device INTEGER NOT NULL, public_key BLOB NOT NULL,
      app_id TEXT NOT NULL, environment TEXT NOT NULL, counter INTEGER NOT NULL,
      receipt BLOB NOT NULL
    ) WITHOUT ROWID;
    """,
    """
    ALTER TABLE devices ADD COLUMN push_set_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE devices ADD COLUMN push_faults INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN created_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE deliveries ADD COLUMN leased_until INTEGER NOT NULL DEFAULT 0;
    DROP INDEX deliveries_queued;
    CREATE INDEX deliveries_queued
      ON deliveries (next_at, leased_until, not_after) WHERE state = 'queued';
    ALTER TABLE events ADD COLUMN subject TEXT NOT NULL DEFAULT '';
    CREATE TABLE webhooks (
      id INTEGER PRIMARY KEY AUTOINCREMENT, webhook_id TEXT NOT NULL UNIQUE,
      integrator_id TEXT NOT NULL, url TEXT NOT NULL, events TEXT NOT NULL,
      secret BLOB NOT NULL, created_at INTEGER NOT NULL, status TEXT NOT NULL, old_secret BLOB,
      old_secret_until INTEGER NOT NULL, failing_since INTEGER, disabled_reason TEXT
    );
    CREATE INDEX webhooks_of_integrator ON webhooks (integrator_id, id);
    CREATE TABLE webhook_deliveries (
      webhook INTEGER NOT NULL, event INTEGER NOT NULL, subject TEXT NOT NULL,
      created_at INTEGER NOT NULL, not_after INTEGER NOT NULL, next_at INTEGER NOT NULL,
      leased_until INTEGER NOT NULL, attempts INTEGER NOT NULL, state TEXT NOT NULL,
      PRIMARY KEY (webhook, event)
    ) WITHOUT ROWID;
    CREATE INDEX webhook_deliveries_queued
      ON webhook_deliveries (webhook, next_at) WHERE state = 'queued';
    CREATE INDEX webhook_deliveries_in_order
      ON webhook_deliveries (webhook, subject, event) WHERE state = 'queued';
    CREATE INDEX webhook_deliveries_of_event ON webhook_deliveries (event);
    CREATE TABLE webhook_attempts (
      webhook INTEGER NOT NULL, event INTEGER NOT NULL, number INTEGER NOT NULL,
      at INTEGER NOT NULL, milliseconds INTEGER NOT NULL, status INTEGER, reason TEXT,
      PRIMARY KEY (webhook, event, number)
    ) WITHOUT ROWID;
    """,
    """
    CREATE TABLE protections (
      id INTEGER PRIMARY KEY, integrator_id TEXT NOT NULL UNIQUE, revision INTEGER NOT NULL,
      document BLOB NOT NULL
    );
    CREATE TABLE transactions (
      request INTEGER PRIMARY KEY, integrator_id TEXT NOT NULL, method TEXT NOT NULL,
      caller_kind TEXT NOT NULL, caller_id TEXT NOT NULL, caller_name TEXT,
      match_key BLOB NOT NULL, request_digest TEXT NOT NULL, resource_digest TEXT,
      condition TEXT NOT NULL, required INTEGER NOT NULL, requester_counts INTEGER NOT NULL,
      execution_expiry_seconds INTEGER NOT NULL, created_at INTEGER NOT NULL,
      executor TEXT NOT NULL, open INTEGER NOT NULL, withdrawn_at INTEGER, outcome TEXT,
      reason TEXT, withdrawn_by TEXT, denial BLOB
    );
    CREATE INDEX transactions_of_integrator ON transactions (integrator_id, request);
    CREATE INDEX transactions_open ON transactions (request) WHERE open = 1;
    CREATE TABLE claims (
      id INTEGER PRIMARY KEY, claim_id TEXT NOT NULL UNIQUE, request INTEGER NOT NULL UNIQUE,
      integrator_id TEXT NOT NULL, executor TEXT NOT NULL, key_digest BLOB NOT NULL,
      claimed_at INTEGER NOT NULL, result_by INTEGER NOT NULL, completed_at INTEGER, result TEXT,
      result_digest TEXT, execution BLOB
    );
    CREATE INDEX claims_without_result ON claims (result_by) WHERE result IS NULL;
    ALTER TABLE events ADD COLUMN lasting INTEGER NOT NULL DEFAULT 0;
    DROP INDEX events_created;
    CREATE INDEX events_by_age ON events (lasting, created_at);
    CREATE INDEX events_lasting ON events (integrator_id, id) WHERE lasting > 0;
    """,
    """
    CREATE TABLE access_requests (
      id INTEGER PRIMARY KEY, access_request_id TEXT NOT NULL UNIQUE, integrator_id TEXT NOT NULL,
      beneficiary TEXT NOT NULL, request_id TEXT UNIQUE, open INTEGER NOT NULL,
      expires_at INTEGER NOT NULL, document BLOB NOT NULL
    );
    CREATE INDEX access_requests_of_integrator ON access_requests (integrator_id, id);
    CREATE INDEX access_requests_of_beneficiary
      ON access_requests (integrator_id, beneficiary, id);
    CREATE INDEX access_requests_open ON access_requests (id) WHERE open = 1;
    CREATE INDEX access_requests_over ON access_requests (expires_at) WHERE open = 0;
    CREATE TABLE access_reviewers (
      integrator_id TEXT NOT NULL, reviewer TEXT NOT NULL, access_request INTEGER NOT NULL,
      PRIMARY KEY (integrator_id, reviewer, access_request)
    ) WITHOUT ROWID;
    CREATE INDEX access_reviewers_of_request ON access_reviewers (access_request);
    CREATE TABLE activations (
      id INTEGER PRIMARY KEY, activation_id TEXT NOT NULL UNIQUE, integrator_id TEXT NOT NULL,
      beneficiary TEXT NOT NULL, access_request TEXT UNIQUE, open INTEGER NOT NULL,
      over_at INTEGER NOT NULL, document BLOB NOT NULL
    );
    CREATE INDEX activations_of_integrator ON activations (integrator_id, id);
    CREATE INDEX activations_of_beneficiary ON activations (integrator_id, beneficiary, id);
    CREATE INDEX activations_open ON activations (id) WHERE open = 1;
    CREATE INDEX activations_over ON activations (over_at) WHERE open = 0;
    CREATE TABLE policies (
      id INTEGER PRIMARY KEY, integrator_id TEXT NOT NULL, project TEXT NOT NULL,
      revision INTEGER NOT NULL, changed_at INTEGER NOT NULL, document BLOB NOT NULL,
      UNIQUE (integrator_id, project)
    );
    CREATE TABLE mail (
      id INTEGER PRIMARY KEY, mail_id TEXT NOT NULL UNIQUE, integrator_id TEXT NOT NULL,
      subject_id TEXT NOT NULL, recipients TEXT NOT NULL, message BLOB NOT NULL,
      created_at INTEGER NOT NULL, not_after INTEGER NOT NULL, next_at INTEGER NOT NULL,
      attempts INTEGER NOT NULL, state TEXT NOT NULL, fault TEXT
    );
    CREATE INDEX mail_queued ON mail (next_at) WHERE state = 'queued';
    CREATE INDEX mail_by_age ON mail (not_after);
    """,
)


def connect(data_dir: Path, *, read_only: bool = False) -> sqlite3.Connection:
    """Open the database with the settings every connection needs.

    Commits wait for the disk (``synchronous=FULL`` in WAL mode: one sync a transaction), so what
    was acknowledged survives power loss. The connection may be used by one thread at a time.
    Raises ``StoreUnavailable``.
    """
    path = data_dir / DATABASE_NAME
    try:
        # Made here, for its owner alone; SQLite gives the files beside it the same mode. One that
        # is there is not opened: closing it again would drop this process's locks on it.
        with suppress(FileExistsError):
            path.touch(mode=PRIVATE_FILE_MODE, exist_ok=False)
        with ExitStack() as opened:
            connection = sqlite3.connect(
                path,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=STATEMENT_CACHE,
                timeout=BUSY_TIMEOUT_MS / 1_000,
            )
            opened.callback(connection.close)
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
            connection.execute(f"PRAGMA mmap_size = {MMAP_BYTES}")
            if read_only:
                connection.execute("PRAGMA query_only = ON")
            opened.pop_all()
    except (sqlite3.Error, OSError) as error:
        message = f"cannot open {path}: {error}"
        raise StoreUnavailable(message) from error
    return connection


def migrate(connection: sqlite3.Connection) -> int:
    """Bring the database to the newest schema, each migration in its own transaction.

    Of two processes that try, each finds what the other has done. Returns how many migrations
    ran. Raises ``StoreUnavailable``, also for a database that a newer release wrote.
    """
    ran = 0
    try:
        while schema_version(connection) < len(MIGRATIONS):
            ran += _migrate_once(connection)
    except sqlite3.Error as error:
        message = f"the database cannot be brought to schema {len(MIGRATIONS)}: {error}"
        raise StoreUnavailable(message) from error
    return ran


def schema_version(connection: sqlite3.Connection) -> int:
    """Return how many migrations a database has; raises ``StoreUnavailable`` for too many."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        message = f"the database has schema {version}; this release knows {len(MIGRATIONS)}"
        raise StoreUnavailable(message)
    return int(version)


def _migrate_once(connection: sqlite3.Connection) -> int:
    connection.execute("BEGIN IMMEDIATE")
    try:
        version = schema_version(connection)
        if version == len(MIGRATIONS):
            return 0
        for statement in MIGRATIONS[version].split(";"):
            connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    return 1
