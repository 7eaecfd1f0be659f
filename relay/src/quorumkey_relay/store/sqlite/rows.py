"""Between values and rows: SQL of every write, and how rows are read back."""

# ruff: noqa: S608 - every piece that is put into a statement is a constant of this package
from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey.protocol import (
    Envelope,
    Kind,
    RequestDocument,
    WebAuthnAssertion,
    media_type,
)
from quorumkey_relay.domain.model import Ballot, State, Status, Terms, terms_of
from quorumkey_relay.identity.principals import ApiKey, Device, Pairing
from quorumkey_relay.store.records import (
    Evidence,
    IdempotentAnswer,
    Stored,
    Summary,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping

    from quorumkey_relay.store.sqlite.writer import Statement

_names: Final = msgspec.json.Decoder(list[str])
_encode: Final = msgspec.json.encode

PAIRING_COLUMNS: Final = (
    "pairing_id, integrator_id, approver_id, approver_name, code_digest, created_at,"
    " expires_at, device, enrolled_at, enrollment, attestation, ended_at"
)
SUMMARY_COLUMNS: Final = (
    "request_id, integrator_id, profile, status, required, groups_total, satisfied, digest,"
    " created_at, expires_at, use_by, completed_at"
)
INSERT_INTEGRATOR: Final = (
    "INSERT INTO integrators (integrator_id, name) VALUES (?, ?)"
    " ON CONFLICT (integrator_id) DO UPDATE SET name = excluded.name"
)
# Two processes may write: the relay and the command line. What is revoked or ended stays so,
# whatever the other one last knew.
UPSERT_API_KEY: Final = (
    "INSERT INTO api_keys (key_id, integrator_id, scope, name, digest, created_at, revoked_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (key_id) DO UPDATE SET name = excluded.name, scope = excluded.scope,"
    " revoked_at = coalesce(api_keys.revoked_at, excluded.revoked_at)"
)
UPSERT_PAIRING: Final = (
    f"INSERT INTO pairings ({PAIRING_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (pairing_id) DO UPDATE SET device = excluded.device,"
    " enrolled_at = excluded.enrolled_at, enrollment = excluded.enrollment,"
    " attestation = excluded.attestation,"
    " ended_at = coalesce(pairings.ended_at, excluded.ended_at)"
)
DEVICE_COLUMNS: Final = (
    "fingerprint, public_key, platform, form, assurance, enrolled_at, sign_count, session_key,"
    " push_channel, push, push_set_at, push_faults, revoked_at"
)
UPSERT_DEVICE: Final = (
    f"INSERT INTO devices (id, {DEVICE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (id) DO UPDATE SET platform = excluded.platform,"
    " assurance = excluded.assurance,"
    " sign_count = excluded.sign_count, session_key = excluded.session_key,"
    " push_channel = excluded.push_channel, push = excluded.push,"
    " push_set_at = excluded.push_set_at, push_faults = excluded.push_faults,"
    " revoked_at = coalesce(devices.revoked_at, excluded.revoked_at)"
)
REVOKE_DEVICE: Final = (
    "UPDATE devices SET revoked_at = coalesce(revoked_at, ?) WHERE fingerprint = ?"
)
INSERT_REQUEST: Final = (
    "INSERT INTO requests (id, request_id, integrator_id, profile, status, version, required,"
    " groups_total, satisfied, lost, digest, created_at, expires_at, use_by)"
    " VALUES (?, ?, ?, ?, 'pending', 0, ?, ?, '[]', '[]', ?, ?, ?, ?)"
)
INSERT_DOCUMENT: Final = (
    "INSERT INTO documents (request, payload, keyid, signature, nonce, persons, match_code)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
INSERT_REQUEST_DEVICE: Final = "INSERT INTO request_devices (device, request) VALUES (?, ?)"
# Without the columns that are indexed, so that no index is touched.
UPDATE_TALLY: Final = "UPDATE requests SET version = ?, satisfied = ?, lost = ? WHERE id = ?"
UPDATE_REQUEST: Final = (
    "UPDATE requests SET version = ?, satisfied = ?, lost = ?, status = ?, completed_at = ?"
    " WHERE id = ?"
)
INSERT_DECISION: Final = (
    "INSERT INTO decisions (request, ordinal, device, choice, payload, signature,"
    " authenticator_data, client_data_json) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
)
VOID_DECISION: Final = (
    "UPDATE decisions SET void = 1 WHERE request = ? AND device = ? AND choice = 'approve'"
)
UPSERT_WRONG_CODE: Final = (
    "INSERT INTO wrong_codes (request, device, tries) VALUES (?, ?, ?)"
    " ON CONFLICT (request, device) DO UPDATE SET tries = excluded.tries"
)
INSERT_ANSWER: Final = (
    "INSERT INTO answers (integrator_id, path, key, body_digest, answer, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET body_digest = excluded.body_digest,"
    " answer = excluded.answer, created_at = excluded.created_at"
)
INSERT_SUCCESSION: Final = (
    "INSERT INTO successions (envelope, next_fingerprint, not_before) VALUES (?, ?, ?)"
)
INSERT_CHANGE: Final = "INSERT INTO changes (kind, key) VALUES (?, ?)"


def request_rows(
    number: int, stored: Stored, device_ids: Iterable[int], sealed_code: bytes | None
) -> list[Statement]:
    """Return the statements that store a new request under row ``number``."""
    terms, document = stored.terms, stored.document
    persons = _encode([seat.person for seat in terms.seats.values()]).decode()
    return [
        (
            INSERT_REQUEST,
            (
                number,
                terms.request_id,
                terms.integrator_id,
                terms.profile,
                terms.required,
                len(terms.groups),
                terms.digest,
                terms.created_at,
                terms.expires_at,
                terms.use_by,
            ),
        ),
        (
            INSERT_DOCUMENT,
            (
                number,
                document.payload,
                document.keyid,
                document.signature,
                stored.nonce,
                persons,
                sealed_code,
            ),
        ),
        (INSERT_REQUEST_DEVICE, [(device, number) for device in device_ids]),
    ]


def state_row(number: int, terms: Terms, state: State) -> Statement:
    """Return the statement that stores a request's new state."""
    satisfied = _encode([terms.groups[index] for index in state.satisfied]).decode()
    lost = _encode(sorted(state.out)).decode() if state.out else "[]"
    if state.status is Status.PENDING:
        return (UPDATE_TALLY, (state.version, satisfied, lost, number))
    values = (state.version, satisfied, lost, str(state.status), state.completed_at, number)
    return (UPDATE_REQUEST, values)


def decision_row(number: int, ordinal: int, device: int, evidence: Evidence) -> Statement:
    """Return the statement that stores a counted decision."""
    envelope, passkey = evidence.envelope, evidence.envelope.webauthn
    return (
        INSERT_DECISION,
        (
            number,
            ordinal,
            device,
            evidence.choice,
            envelope.payload,
            envelope.signature,
            passkey.authenticator_data if passkey is not None else None,
            passkey.client_data_json if passkey is not None else None,
        ),
    )


def api_key_row(key: ApiKey) -> Statement:
    """Return the statement that stores an API key."""
    values = (key.key_id, key.integrator_id, key.scope, key.name, key.digest, key.created_at)
    return (UPSERT_API_KEY, (*values, key.revoked_at))


def pairing_row(pairing: Pairing) -> Statement:
    """Return the statement that stores a pairing."""
    return (
        UPSERT_PAIRING,
        (
            pairing.pairing_id,
            pairing.integrator_id,
            pairing.approver_id,
            pairing.approver_name,
            pairing.code_digest,
            pairing.created_at,
            pairing.expires_at,
            pairing.device,
            pairing.enrolled_at,
            pairing.enrollment,
            pairing.attestation,
            pairing.ended_at,
        ),
    )


def device_row(number: int, device: Device) -> Statement:
    """Return the statement that stores a device under row ``number``."""
    return (
        UPSERT_DEVICE,
        (
            number,
            bytes.fromhex(device.fingerprint),
            device.public_key,
            device.platform,
            device.form,
            device.assurance,
            device.enrolled_at,
            device.sign_count,
            device.session_key,
            device.push_channel,
            device.push,
            device.push_set_at,
            device.push_faults,
            device.revoked_at,
        ),
    )


def answer_row(answer: IdempotentAnswer, sealed: bytes) -> Statement:
    """Return the statement that stores the first answer under an idempotency key."""
    return (
        INSERT_ANSWER,
        (
            answer.integrator_id,
            answer.path,
            answer.key,
            answer.body_digest,
            sealed,
            answer.created_at,
        ),
    )


def read_pairing(row: sqlite3.Row) -> Pairing:
    """Read ``PAIRING_COLUMNS``."""
    return Pairing(**row)


def read_device(row: sqlite3.Row, pairings: Mapping[str, Pairing]) -> Device:
    """Read ``DEVICE_COLUMNS``; ``pairings`` are the device's ties in force."""
    values = dict(row)
    values["fingerprint"] = row["fingerprint"].hex()
    values.pop("id", None)
    return Device(**values, pairings=pairings)


def read_summary(row: sqlite3.Row) -> Summary:
    """Read ``SUMMARY_COLUMNS``."""
    values = dict(row)
    values["status"] = Status(row["status"])
    values["satisfied"] = tuple(_names.decode(row["satisfied"]))
    return Summary(**values)


def read_evidence(row: sqlite3.Row) -> Evidence:
    """Read a row of ``decisions`` joined with its device's fingerprint."""
    device = row["fingerprint"].hex()
    passkey = None
    if row["authenticator_data"] is not None:
        passkey = WebAuthnAssertion(row["authenticator_data"], row["client_data_json"])
    envelope = Envelope(
        media_type(Kind.DECISION), row["payload"], device, row["signature"], passkey
    )
    return Evidence(device=device, choice=row["choice"], envelope=envelope)


def read_stored(
    row: sqlite3.Row,
    *,
    match_code: str | None,
    decisions: Iterable[sqlite3.Row],
    wrong_codes: Mapping[str, int],
) -> Stored:
    """Rebuild a request from ``requests`` joined with ``documents``, and its decisions."""
    document = RequestDocument.decode(row["payload"])
    named = [a.fingerprint for group in document.policy.groups for a in group.approvers]
    persons = dict(zip(named, _names.decode(row["persons"]), strict=True))
    terms = terms_of(document, digest=row["digest"], persons=persons, match_code=match_code)
    ballots: dict[str, Ballot] = {}
    version = row["version"]
    for decision in decisions:
        device = decision["fingerprint"].hex()
        ballots[terms.voter(device)] = Ballot(decision["choice"], device)
        # A decision that changes nothing else leaves the request's row alone.
        version = max(version, decision["ordinal"])
    index = {name: number for number, name in enumerate(terms.groups)}
    state = State(
        version=version,
        status=Status(row["status"]),
        completed_at=row["completed_at"],
        ballots=ballots,
        satisfied=tuple(index[name] for name in _names.decode(row["satisfied"])),
        out=frozenset(_names.decode(row["lost"])),
        wrong_codes=wrong_codes,
    )
    envelope = Envelope(
        media_type(Kind.REQUEST), row["payload"], row["keyid"], row["signature"], None
    )
    return Stored(terms=terms, state=state, document=envelope, nonce=row["nonce"])
