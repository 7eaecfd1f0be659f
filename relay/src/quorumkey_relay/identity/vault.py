"""Sealing what must not lie readable in the database: push addresses, secrets, match codes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from quorumkey_relay.identity.files import read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path

VAULT_KEY_NAME: Final = "secrets.key"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12


class VaultError(Exception):
    """The key file is damaged, or what was sealed was not sealed with this key."""


class Vault:
    """AES-256-GCM with a random nonce (NIST SP 800-38D) under one key of the data directory."""

    def __init__(self, key: bytes) -> None:
        """Use a key of 32 bytes; raises ``VaultError`` for any other length."""
        if len(key) != KEY_BYTES:
            message = f"a vault key has {KEY_BYTES} bytes, this one {len(key)}"
            raise VaultError(message)
        self._cipher = AESGCM(key)

    @classmethod
    def open_in(cls, data_dir: Path) -> Vault:
        """Read the key of a data directory, making one (mode 0600) when there is none."""
        path = data_dir / VAULT_KEY_NAME
        if not path.exists():
            write_private(path, os.urandom(KEY_BYTES))
        return cls(read_private(path))

    def seal(self, plain: bytes) -> bytes:
        """Return nonce and ciphertext."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._cipher.encrypt(nonce, plain, None)

    def open(self, sealed: bytes) -> bytes:
        """Return what was sealed; raises ``VaultError`` when it was not sealed with this key."""
        try:
            return self._cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], None)
        except (InvalidTag, ValueError) as error:
            message = "a sealed value does not open with the key of this data directory"
            raise VaultError(message) from error
