"""``check``: the configuration and the health of a data directory, whether or not it is served.

Nothing is changed: no key is made and no database migrated.
"""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Succession, parse_envelope, strict_json, verify_statement
from quorumkey.protocol.limits import MAX_STATEMENT_BYTES
from quorumkey_relay.cli.access import existing, has_database
from quorumkey_relay.cli.check_jit import just_in_time
from quorumkey_relay.cli.output import FAILED, Refused
from quorumkey_relay.clock import SystemClock
from quorumkey_relay.domain.model import Status
from quorumkey_relay.identity.files import UnsafeFileError
from quorumkey_relay.identity.relaykeys import (
    FIRST_KEY_NAME,
    RelayKeyError,
    first_key,
    key_path,
    read_key,
)
from quorumkey_relay.identity.vault import VAULT_KEY_NAME, Vault, VaultError
from quorumkey_relay.option_table import ConfigError
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.sqlite.reader import Reader
from quorumkey_relay.store.sqlite.schema import MIGRATIONS, connect

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from quorumkey_relay.cli.output import Output
    from quorumkey_relay.settings import Settings

_PROBLEMS: Final = (
    ConfigError,
    OSError,
    ProtocolError,
    Refused,
    RelayKeyError,
    StoreUnavailable,
    UnsafeFileError,
    VaultError,
    sqlite3.Error,
)
_OTHERS_WRITE: Final = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at: what it is like, or what is wrong with it."""

    name: str
    is_ok: bool
    detail: str


def check(settings: Settings, *, out: Output) -> int:
    """Look at everything that a start would need; return the exit status."""
    found = list(_findings(settings))
    is_ok = all(finding.is_ok for finding in found)
    out.json(
        {
            "ok": is_ok,
            "checks": [
                {"name": finding.name, "ok": finding.is_ok, "detail": finding.detail}
                for finding in found
            ],
        }
    )
    for finding in found:
        mark, style = ("ok", "green") if finding.is_ok else ("FAILED", "bold red")
        out.line(f"{mark:<8}{finding.name:<15}{finding.detail}", style=style)
    return 0 if is_ok else FAILED


def _findings(settings: Settings) -> Generator[Finding]:
    """Yield findings; what follows from a failed one is not looked at."""
    steps: tuple[tuple[str, Callable[[Settings], str]], ...] = (
        ("configuration", _configuration),
        ("folder", _folder),
        ("secrets", _secrets),
        ("relay key", _relay_key),
        ("channels", _channels),
        ("database", _database),
        ("writing", _writing),
        ("content", _content),
        ("just-in-time", just_in_time),
    )
    for name, step in steps:
        try:
            yield Finding(name, is_ok=True, detail=step(settings))
        except _PROBLEMS as error:
            yield Finding(name, is_ok=False, detail=" ".join(str(error).split()))
            return


def _configuration(settings: Settings) -> str:
    from quorumkey_relay.attestation.policies import (  # noqa: PLC0415 - loaded for this alone
        policies_of,
    )

    policies_of(settings)
    unsafe = "" if settings.unsafe_test_root is None else ", UNSAFE: evidence of tests counts"
    return f"{settings.mode}, reached at {settings.url}{unsafe}"


def _channels(settings: Settings) -> str:
    """Read the files of push credentials as a start does, but make no key for Web Push."""
    from quorumkey_relay.delivery.push.apns import apns_channel  # noqa: PLC0415 - for this alone
    from quorumkey_relay.delivery.push.fcm import fcm_channel  # noqa: PLC0415 - for this alone
    from quorumkey_relay.delivery.push.vapid import VAPID_KEY_NAME, vapid_key  # noqa: PLC0415 - for this alone
    from quorumkey_relay.delivery.transport import extra_roots  # noqa: PLC0415 - for this alone

    clock = SystemClock()
    extra_roots(settings.ca_file)
    turned_on = {
        "apns": apns_channel(settings, clock) is not None,
        "fcm": fcm_channel(settings, clock, _no_alarm) is not None,
        "webpush": settings.webpush_subject is not None,
    }
    if turned_on["webpush"] and (
        settings.webpush_key_file is not None or (settings.data_dir / VAPID_KEY_NAME).exists()
    ):
        vapid_key(settings.data_dir, settings.webpush_key_file)
    return ", ".join(("websocket", *(name for name, is_on in turned_on.items() if is_on)))


def _no_alarm(kind: str, what: str, sentence: str) -> None:
    del kind, what, sentence


def _folder(settings: Settings) -> str:
    directory = settings.data_dir
    if not has_database(directory):
        message = f"there is no relay in {directory}; run: quorumkey-relay init"
        raise Refused(message)
    if directory.stat().st_mode & _OTHERS_WRITE:
        message = f"{directory} can be written by others; run: chmod go-w {directory}"
        raise Refused(message)
    return str(directory)


def _vault(settings: Settings) -> Vault:
    existing(settings.data_dir / VAULT_KEY_NAME)
    return Vault.open_in(settings.data_dir)


def _secrets(settings: Settings) -> str:
    _vault(settings)
    return VAULT_KEY_NAME


def _relay_key(settings: Settings) -> str:
    """Follow the chain of keys as a device does, and find the file of each."""
    if settings.key_file is None:
        existing(settings.data_dir / FIRST_KEY_NAME)
    key = first_key(settings.data_dir, settings.key_file)
    with closing(connect(settings.data_dir, read_only=True)) as connection:
        rows = connection.execute("SELECT envelope, next_fingerprint FROM successions ORDER BY id")
        successions: list[tuple[bytes, str]] = rows.fetchall()
    for envelope, fingerprint in successions:
        parsed = parse_envelope(strict_json.loads(envelope, max_bytes=MAX_STATEMENT_BYTES))
        said = verify_statement(parsed, Succession, key=key.public_key).statement
        key = read_key(key_path(settings.data_dir, fingerprint))
        if said.next_key != key.public_key:
            message = f"{key_path(settings.data_dir, fingerprint)} holds another key"
            raise Refused(message)
    return key.public_key.fingerprint


def _database(settings: Settings) -> str:
    with closing(connect(settings.data_dir, read_only=True)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (verdict,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    if verdict != "ok":
        message = f"the database is damaged: {verdict}"
        raise Refused(message)
    if version > len(MIGRATIONS):
        message = f"the database has schema {version}; this release knows {len(MIGRATIONS)}"
        raise Refused(message)
    if version < len(MIGRATIONS):
        return f"schema {version}, migrated to {len(MIGRATIONS)} at the next start"
    return f"schema {version}"


def _writing(settings: Settings) -> str:
    with closing(connect(settings.data_dir)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("ROLLBACK")
    return "possible"


def _content(settings: Settings) -> str:
    """Read everything that a start reads, and open one value of each kind that is sealed."""
    vault = _vault(settings)
    now = SystemClock().now()
    with closing(Reader(connect(settings.data_dir, read_only=True), vault)) as reader:
        integrators = reader.integrators()
        live = [key for key in reader.api_keys() if key.revoked_at is None]
        devices = [device for _, device in reader.devices() if device.revoked_at is None]
        for device in devices:
            if device.push is not None:
                vault.open(device.push)
        pending = [
            stored
            for _, stored in reader.open_requests()
            if stored.state.status is Status.PENDING and now < stored.terms.expires_at
        ]
    return (
        f"{len(integrators)} integrators, {len(live)} API keys in force,"
        f" {len(devices)} devices, {len(pending)} pending requests"
    )
