"""The relay's own signing keys and their succession (PROTOCOL §11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.errors import ProtocolError
from quorumkey.protocol import Kind, PrivateKey, Succession, sign
from quorumkey_relay.identity.files import UnsafeFileError, read_private, write_private
from quorumkey_relay.store.protocol import StoreUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from quorumkey.protocol import Envelope

FIRST_KEY_NAME: Final = "relay.key"


class RelayKeyError(Exception):
    """A relay key that is missing or cannot be read."""


def key_path(data_dir: Path, fingerprint: str) -> Path:
    """Return where the key that a succession names lies."""
    return data_dir / f"relay-{fingerprint}.key"


def read_key(path: Path) -> PrivateKey:
    """Read a private key in PEM; raises ``UnsafeFileError`` or ``RelayKeyError``."""
    try:
        return PrivateKey.from_pem(read_private(path))
    except ProtocolError as error:
        message = f"{path} holds no P-256 private key in PEM"
        raise RelayKeyError(message) from error


def first_key(data_dir: Path, key_file: Path | None) -> PrivateKey:
    """Read the relay's first key, making one (mode 0600) in a data directory that has none."""
    if key_file is not None:
        return read_key(key_file)
    path = data_dir / FIRST_KEY_NAME
    if not path.exists():
        write_private(path, PrivateKey.generate().to_pem())
    return read_key(path)


class RelayKeys:
    """The keys by the moment from which they sign, oldest first."""

    def __init__(self, first: PrivateKey) -> None:
        """Start with the first key, which signs from ever on."""
        self._first = first
        self._keys: list[tuple[int, PrivateKey | None]] = [(0, first)]
        self.successions: tuple[bytes, ...] = ()

    def take_successions(
        self, data_dir: Path, successions: Sequence[tuple[bytes, str, int]]
    ) -> list[str]:
        """Read the keys that ``(envelope, next fingerprint, not_before)`` rows name.

        Returns a sentence for each key that cannot be read. From the moment at which such a key
        should sign nothing is signed: the retired one must not go on.
        """
        keys: list[tuple[int, PrivateKey | None]] = [(0, self._first)]
        problems: list[str] = []
        for _, fingerprint, not_before in successions:
            try:
                keys.append((not_before, read_key(key_path(data_dir, fingerprint))))
            except (RelayKeyError, UnsafeFileError) as error:
                keys.append((not_before, None))
                problems.append(f"the relay's next key is missing: {error}")
        self._keys = keys
        self.successions = tuple(envelope for envelope, _, _ in successions)
        return problems

    def current(self, now: int) -> PrivateKey:
        """Return the key that signs at ``now``; raises ``StoreUnavailable`` if it is missing."""
        due = (key for not_before, key in reversed(self._keys) if now >= not_before)
        key = next(due, self._first)
        if key is None:
            message = "the relay's key for this moment is missing"
            raise StoreUnavailable(message)
        return key

    def newest(self) -> PrivateKey:
        """Return the key at the end of the succession, even if its time has not come.

        Raises ``RelayKeyError`` when it is missing.
        """
        _, key = self._keys[-1]
        if key is None:
            message = "the key at the end of the succession is missing"
            raise RelayKeyError(message)
        return key

    def fingerprint(self, now: int) -> str:
        """Return the fingerprint of the key that signs at ``now``."""
        return self.current(now).public_key.fingerprint


def succession(outgoing: PrivateKey, following: PrivateKey, *, not_before: int) -> Envelope:
    """Return the envelope in which a relay key names its follower."""
    statement = Succession(
        relay=outgoing.public_key.fingerprint,
        next_public_key=following.public_key.base64,
        not_before=not_before,
    )
    return sign(Kind.SUCCESSION, statement.encode(), outgoing)
