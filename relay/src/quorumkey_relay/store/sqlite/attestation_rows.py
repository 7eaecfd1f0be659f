"""Between what devices proved and its rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from quorumkey_relay.identity.principals import Attestation, BoundAppAttestKey

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

    from quorumkey_relay.store.sqlite.writer import Statement

_texts: Final = msgspec.json.Decoder(tuple[str, ...])

UPSERT_ATTESTATION: Final = (
    "INSERT INTO attestations"
    " (device, format, assurance, judged_at, evidence, serials, quirks, revoked_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (device) DO UPDATE SET format = excluded.format,"
    " assurance = excluded.assurance, judged_at = excluded.judged_at,"
    " evidence = excluded.evidence, serials = excluded.serials, quirks = excluded.quirks,"
    " revoked_at = excluded.revoked_at"
)
DELETE_SERIALS: Final = "DELETE FROM attested_serials WHERE device = ?"
INSERT_SERIAL: Final = (
    "INSERT INTO attested_serials (serial, device) VALUES (?, ?) ON CONFLICT DO NOTHING"
)
APP_ATTEST_COLUMNS: Final = "key_id, k.public_key, app_id, environment, counter"
UPSERT_APP_ATTEST_KEY: Final = (
    "INSERT INTO app_attest_keys"
    " (key_id, device, public_key, app_id, environment, counter, receipt)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
    " ON CONFLICT (key_id) DO UPDATE SET receipt = excluded.receipt"
)
UPDATE_COUNTER: Final = "UPDATE app_attest_keys SET counter = ? WHERE key_id = ? AND counter = ?"


def put_attestation(number: int, attestation: Attestation) -> list[Statement]:
    """Return the statements that store what the device under row ``number`` proved."""
    serials = attestation.serials
    return [
        (
            UPSERT_ATTESTATION,
            (
                number,
                attestation.format,
                attestation.assurance,
                attestation.judged_at,
                attestation.evidence,
                json_list(serials),
                json_list(attestation.quirks),
                attestation.revoked_at,
            ),
        ),
        (DELETE_SERIALS, (number,)),
        (INSERT_SERIAL, [(serial, number) for serial in serials]),
    ]


def bind_key(number: int, key: BoundAppAttestKey, receipt: bytes) -> Statement:
    """Return the statement that binds an App Attest key to the device under row ``number``."""
    values = (key.key_id, number, key.public_key, key.app_id, key.environment, key.counter)
    return (UPSERT_APP_ATTEST_KEY, (*values, receipt))


def json_list(texts: Iterable[str]) -> str:
    """Return a JSON array of texts."""
    return msgspec.json.encode(list(texts)).decode()


def read_attestation(row: sqlite3.Row) -> Attestation:
    """Read a row of ``attestations`` joined with its device's fingerprint."""
    return Attestation(
        device=row["fingerprint"].hex(),
        format=row["format"],
        assurance=row["assurance"],
        judged_at=row["judged_at"],
        evidence=row["evidence"],
        serials=_texts.decode(row["serials"]),
        quirks=_texts.decode(row["quirks"]),
        revoked_at=row["revoked_at"],
    )


def read_app_attest_key(row: sqlite3.Row) -> BoundAppAttestKey:
    """Read ``APP_ATTEST_COLUMNS`` joined with the device's fingerprint."""
    values = dict(row)
    values["device"] = values.pop("fingerprint").hex()
    return BoundAppAttestKey(**values)
