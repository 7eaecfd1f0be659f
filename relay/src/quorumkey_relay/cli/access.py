"""A data directory as the command line finds it; nothing is made here but what is asked for."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from quorumkey_relay.cli.output import Refused
from quorumkey_relay.identity.files import UnsafeFileError
from quorumkey_relay.identity.relaykeys import (
    FIRST_KEY_NAME,
    RelayKeyError,
    RelayKeys,
    first_key,
)
from quorumkey_relay.identity.vault import VAULT_KEY_NAME, Vault
from quorumkey_relay.store.sqlite.admin import AdminStore
from quorumkey_relay.store.sqlite.lock import LOCK_NAME
from quorumkey_relay.store.sqlite.schema import DATABASE_NAME

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from quorumkey_relay.identity.principals import Integrator
    from quorumkey_relay.settings import Settings

_MAX_NOTE_BYTES: Final = 4_096


def has_database(directory: Path) -> bool:
    """Say whether a relay's data lies in this folder."""
    return (directory / DATABASE_NAME).is_file()


def existing(path: Path) -> Path:
    """Return ``path``; raises ``UnsafeFileError`` where the relay would make a new key instead."""
    if not path.exists():
        message = f"{path} is missing; put it back from the backup"
        raise UnsafeFileError(message)
    return path


@contextmanager
def opened(settings: Settings) -> Generator[AdminStore]:
    """Open the data of an existing relay, served or not.

    Raises ``StoreUnavailable``, ``UnsafeFileError`` or ``VaultError``; ``Refused`` where there is
    no relay.
    """
    directory = settings.data_dir
    if not has_database(directory):
        message = (
            f"there is no relay in {directory}; make one with:"
            f" quorumkey-relay init --data-dir {directory} --integrator NAME"
        )
        raise Refused(message)
    existing(directory / VAULT_KEY_NAME)
    with AdminStore(directory, vault=Vault.open_in(directory)) as store:
        yield store


def relay_keys(settings: Settings, store: AdminStore) -> RelayKeys:
    """Read the relay's keys; raises ``UnsafeFileError`` or ``RelayKeyError``."""
    directory = settings.data_dir
    if settings.key_file is None:
        existing(directory / FIRST_KEY_NAME)
    keys = RelayKeys(first_key(directory, settings.key_file))
    problems = keys.take_successions(directory, store.read.successions())
    if problems:
        raise RelayKeyError(problems[0])
    return keys


def integrator_of(store: AdminStore, integrator_id: str) -> Integrator:
    """Return an integrator; raises ``Refused`` when there is none with this id."""
    for integrator in store.read.integrators():
        if integrator.id == integrator_id:
            return integrator
    message = "there is no integrator with this id; see: quorumkey-relay integrators list"
    raise Refused(message)


@contextmanager
def alone(directory: Path) -> Generator[None]:
    """Let no other command that asks for this change the same folder meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def note_address(directory: Path, url: str) -> None:
    """Remember, beside the number of the serving process, under which address it serves."""
    with (directory / LOCK_NAME).open("a", encoding="ascii") as file:
        file.write(f"{url}\n")


def noted_address(directory: Path) -> str | None:
    """Return the address under which this folder was last served, or None."""
    try:
        with (directory / LOCK_NAME).open("rb") as file:
            lines = file.read(_MAX_NOTE_BYTES).decode("ascii").splitlines()
    except (OSError, UnicodeDecodeError):
        return None
    return lines[1] if len(lines) > 1 else None
