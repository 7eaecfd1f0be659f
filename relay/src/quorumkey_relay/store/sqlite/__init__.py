"""The embedded default: one SQLite database, one writer, group commit."""

from quorumkey_relay.store.sqlite.admin import AdminStore
from quorumkey_relay.store.sqlite.store import SqliteStore

__all__ = ["AdminStore", "SqliteStore"]
