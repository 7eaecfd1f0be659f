"""Between requests for roles, activations, policies and mail, and their rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey_relay.domain.jit.activation import Activation
from quorumkey_relay.domain.jit.mail import Mail
from quorumkey_relay.domain.jit.policy import StoredPolicy
from quorumkey_relay.domain.jit.request import AccessRequest

if TYPE_CHECKING:
    import sqlite3

    from quorumkey_relay.identity.vault import Vault
    from quorumkey_relay.store.sqlite.writer import Statement
    from quorumkey_relay.store.writes import PutAccessRequest, PutActivation, PutPolicy

_access_request: Final = msgspec.json.Decoder(AccessRequest)
_activation: Final = msgspec.json.Decoder(Activation)
_recipients: Final = msgspec.json.Decoder(tuple[str, ...])
_encode: Final = msgspec.json.encode

INSERT_ACCESS_REQUEST: Final = (
    "INSERT INTO access_requests (access_request_id, integrator_id, beneficiary, request_id, open,"
    " expires_at, document) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
INSERT_REVIEWER: Final = (
    "INSERT INTO access_reviewers (integrator_id, reviewer, access_request)"
    " VALUES (?, ?, (SELECT id FROM access_requests WHERE access_request_id = ?))"
)
UPDATE_ACCESS_REQUEST: Final = (
    "UPDATE access_requests SET request_id = ?, open = ?, expires_at = ?, document = ?"
    " WHERE access_request_id = ?"
)
INSERT_ACTIVATION: Final = (
    "INSERT INTO activations (activation_id, integrator_id, beneficiary, access_request, open,"
    " over_at, document) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
UPDATE_ACTIVATION: Final = (
    "UPDATE activations SET open = ?, over_at = ?, document = ? WHERE activation_id = ?"
)
UPSERT_POLICY: Final = (
    "INSERT INTO policies (integrator_id, project, revision, changed_at, document)"
    " VALUES (?, ?, ?, ?, ?) ON CONFLICT (integrator_id, project) DO UPDATE SET"
    " revision = excluded.revision, changed_at = excluded.changed_at, document = excluded.document"
)
DELETE_POLICY: Final = "DELETE FROM policies WHERE integrator_id = ? AND project = ?"
UPSERT_MAIL: Final = (
    "INSERT INTO mail (mail_id, integrator_id, subject_id, recipients, message, created_at,"
    " not_after, next_at, attempts, state, fault) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (mail_id) DO UPDATE SET next_at = excluded.next_at,"
    " attempts = excluded.attempts, state = excluded.state, fault = excluded.fault"
)

#: What goes with a request for a role that is pruned, by its row number.
BY_ACCESS_REQUEST: Final = (
    "DELETE FROM access_reviewers WHERE access_request = ?",
    "DELETE FROM access_requests WHERE id = ?",
)
DELETE_ACTIVATION: Final = "DELETE FROM activations WHERE id = ?"
DELETE_MAIL: Final = "DELETE FROM mail WHERE id = ?"


def access_request_rows(write: PutAccessRequest) -> list[Statement]:
    """Return the statements that store a new or changed request for a role."""
    after = write.after
    document = _encode(after)
    if write.before is not None:
        changed = (after.request_id, after.is_open, after.expires_at, document, after.id)
        return [(UPDATE_ACCESS_REQUEST, changed)]
    named = (after.id, after.integrator_id, after.beneficiary, after.request_id)
    values = (*named, after.is_open, after.expires_at, document)
    reviewers: list[tuple[object, ...]] = [
        (after.integrator_id, reviewer, after.id) for reviewer in sorted(set(after.reviewers))
    ]
    return [(INSERT_ACCESS_REQUEST, values), (INSERT_REVIEWER, reviewers)]


def activation_row(write: PutActivation) -> Statement:
    """Return the statement that stores a new or changed activation."""
    after = write.after
    over_at = after.end if after.ended_at is None else after.ended_at
    state = (after.is_open, over_at, _encode(after))
    if write.before is not None:
        return (UPDATE_ACTIVATION, (*state, after.activation_id))
    named = (after.activation_id, after.integrator_id, after.beneficiary, after.access_request)
    return (INSERT_ACTIVATION, (*named, *state))


def policy_rows(write: PutPolicy) -> list[Statement]:
    """Return what stores or deletes a policy, if there is anything to do."""
    if (after := write.after) is not None:
        named = (after.integrator_id, after.project)
        return [(UPSERT_POLICY, (*named, after.revision, after.changed_at, after.document))]
    if (before := write.before) is not None:
        return [(DELETE_POLICY, (before.integrator_id, before.project))]
    return []


def mail_row(mail: Mail, vault: Vault) -> Statement:
    """Return the statement that stores a message, or what became of one; its text is sealed."""
    values = (
        mail.mail_id,
        mail.integrator_id,
        mail.subject_id,
        _encode(mail.recipients).decode(),
        vault.seal(mail.message),
        mail.created_at,
        mail.not_after,
        mail.next_at,
        mail.attempts,
        mail.state,
        mail.fault,
    )
    return (UPSERT_MAIL, values)


def read_access_request(row: sqlite3.Row) -> AccessRequest:
    """Read a row of ``access_requests``."""
    return _access_request.decode(row["document"])


def read_activation(row: sqlite3.Row) -> Activation:
    """Read a row of ``activations``."""
    return _activation.decode(row["document"])


def read_policy(row: sqlite3.Row) -> StoredPolicy:
    """Read a row of ``policies``."""
    return StoredPolicy(
        integrator_id=row["integrator_id"],
        project=row["project"],
        revision=row["revision"],
        document=row["document"],
        changed_at=row["changed_at"],
    )


def read_mail(row: sqlite3.Row, vault: Vault) -> Mail:
    """Read a row of ``mail``."""
    return Mail(
        mail_id=row["mail_id"],
        integrator_id=row["integrator_id"],
        subject_id=row["subject_id"],
        recipients=_recipients.decode(row["recipients"]),
        message=vault.open(row["message"]),
        created_at=row["created_at"],
        not_after=row["not_after"],
        next_at=row["next_at"],
        attempts=row["attempts"],
        state=row["state"],
        fault=row["fault"],
    )
