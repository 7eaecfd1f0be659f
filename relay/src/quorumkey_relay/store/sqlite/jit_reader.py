"""Reads about just-in-time access: point look-ups, and short pages from an index."""

# ruff: noqa: S608 - every piece that is put into a query is a constant of this package
from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.store.sqlite import jit_rows as rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable

    from quorumkey_relay.domain.jit.activation import Activation
    from quorumkey_relay.domain.jit.mail import Mail
    from quorumkey_relay.domain.jit.policy import StoredPolicy
    from quorumkey_relay.domain.jit.request import AccessRequest
    from quorumkey_relay.identity.vault import Vault

    Ask = Callable[[str, dict[str, object] | tuple[object, ...]], list[sqlite3.Row]]


class JitReader:
    """Queries about requests for roles, activations, policies and mail."""

    def __init__(self, ask: Ask, vault: Vault) -> None:
        """Read by ``ask``, which answers the rows of a query; ``vault`` opens what is sealed."""
        self._ask = ask
        self._vault = vault

    # Requests for roles

    def open_access_requests(self) -> list[AccessRequest]:
        """Return the requests of which nothing has come yet, oldest first."""
        found = self._ask("SELECT document FROM access_requests WHERE open = 1 ORDER BY id", ())
        return [rows.read_access_request(row) for row in found]

    def access_request(self, access_request_id: str) -> AccessRequest | None:
        """Return a request by id."""
        found = self._ask(
            "SELECT document FROM access_requests WHERE access_request_id = ?", (access_request_id,)
        )
        return rows.read_access_request(found[0]) if found else None

    def access_request_of(self, request_id: str) -> AccessRequest | None:
        """Return the request whose signed request has this id."""
        found = self._ask(
            "SELECT document FROM access_requests WHERE request_id = ?", (request_id,)
        )
        return rows.read_access_request(found[0]) if found else None

    def access_requests(
        self,
        *,
        integrator_id: str,
        beneficiary: str | None,
        reviewer: str | None,
        before: str | None,
        limit: int,
    ) -> list[AccessRequest]:
        """Return requests, newest first."""
        source, number = "access_requests AS a", "a.id"
        narrowed = "a.integrator_id = :integrator"
        if reviewer is not None:
            source = "access_reviewers AS r JOIN access_requests AS a ON a.id = r.access_request"
            number = "r.access_request"
            narrowed = "r.integrator_id = :integrator AND r.reviewer = :reviewer"
        if beneficiary is not None:
            narrowed += " AND a.beneficiary = :beneficiary"
        if before is not None:
            narrowed += (
                f" AND {number} <"
                " (SELECT id FROM access_requests WHERE access_request_id = :before)"
            )
        found = self._ask(
            f"SELECT a.document FROM {source} WHERE {narrowed} ORDER BY {number} DESC LIMIT :limit",
            {
                "integrator": integrator_id,
                "beneficiary": beneficiary,
                "reviewer": reviewer,
                "before": before,
                "limit": limit,
            },
        )
        return [rows.read_access_request(row) for row in found]

    # Activations

    def open_activations(self) -> list[Activation]:
        """Return the activations that something can still happen to, oldest first."""
        found = self._ask("SELECT document FROM activations WHERE open = 1 ORDER BY id", ())
        return [rows.read_activation(row) for row in found]

    def activation(self, activation_id: str) -> Activation | None:
        """Return an activation by id."""
        found = self._ask(
            "SELECT document FROM activations WHERE activation_id = ?", (activation_id,)
        )
        return rows.read_activation(found[0]) if found else None

    def activation_of(self, access_request_id: str) -> Activation | None:
        """Return the activation that came of a request."""
        found = self._ask(
            "SELECT document FROM activations WHERE access_request = ?", (access_request_id,)
        )
        return rows.read_activation(found[0]) if found else None

    def activations(
        self, *, integrator_id: str, beneficiary: str | None, before: str | None, limit: int
    ) -> list[Activation]:
        """Return activations, newest first."""
        narrowed = "" if beneficiary is None else " AND beneficiary = :beneficiary"
        if before is not None:
            narrowed += " AND id < (SELECT id FROM activations WHERE activation_id = :before)"
        found = self._ask(
            f"SELECT document FROM activations WHERE integrator_id = :integrator{narrowed}"
            " ORDER BY id DESC LIMIT :limit",
            {
                "integrator": integrator_id,
                "beneficiary": beneficiary,
                "before": before,
                "limit": limit,
            },
        )
        return [rows.read_activation(row) for row in found]

    # Policies and mail

    def policies(self) -> list[StoredPolicy]:
        """Return every policy that was handed to the relay."""
        found = self._ask("SELECT * FROM policies ORDER BY id", ())
        return [rows.read_policy(row) for row in found]

    def due_mail(self, *, now: int, limit: int) -> list[Mail]:
        """Return messages that are queued and due, the longest due first."""
        found = self._ask(
            "SELECT * FROM mail WHERE state = 'queued' AND next_at <= ? ORDER BY next_at LIMIT ?",
            (now, limit),
        )
        return [rows.read_mail(row, self._vault) for row in found]

    # Pruning

    def activations_over(self, *, before: int, limit: int) -> list[tuple[int, str]]:
        """Return row number and id of activations that were over before ``before``."""
        found = self._ask(
            "SELECT id, activation_id FROM activations WHERE open = 0 AND over_at < ? LIMIT ?",
            (before, limit),
        )
        return [(row["id"], row["activation_id"]) for row in found]

    def access_requests_over(self, *, before: int, limit: int) -> list[tuple[int, str]]:
        """Return row number and id of requests that were over before ``before``.

        One stays as long as what came of it.
        """
        found = self._ask(
            "SELECT q.id, q.access_request_id FROM access_requests AS q"
            " WHERE q.open = 0 AND q.expires_at < ? AND NOT EXISTS"
            " (SELECT 1 FROM activations AS a WHERE a.access_request = q.access_request_id)"
            " LIMIT ?",
            (before, limit),
        )
        return [(row["id"], row["access_request_id"]) for row in found]

    def mail_over(self, *, before: int, limit: int) -> list[int]:
        """Return row numbers of messages that were of no use any more before ``before``."""
        found = self._ask("SELECT id FROM mail WHERE not_after < ? LIMIT ?", (before, limit))
        return [row["id"] for row in found]
