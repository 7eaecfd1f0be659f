"""Sealing what must not lie readable in the database."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quorumkey_relay.identity.files import write_private
from quorumkey_relay.identity.vault import Vault, VaultError

if TYPE_CHECKING:
    from pathlib import Path

VAULT = Vault(bytes(range(32)))


@given(st.binary())
def test_what_was_sealed_opens(plain: bytes) -> None:
    """Opening gives back what was sealed."""
    assert plain == VAULT.open(VAULT.seal(plain))


@given(st.binary(min_size=4))
def test_a_seal_shows_nothing(plain: bytes) -> None:
    """Neither the text, nor that two texts are the same."""
    first, second = VAULT.seal(plain), VAULT.seal(plain)

    assert first != second
    assert plain not in first


@given(st.binary(), st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_byte_is_found_out(plain: bytes, place: int, change: int) -> None:
    """What was touched does not open."""
    sealed = bytearray(VAULT.seal(plain))
    sealed[place % len(sealed)] ^= change

    with pytest.raises(VaultError):
        VAULT.open(bytes(sealed))


@given(st.binary(max_size=64))
def test_what_was_never_sealed_does_not_open(noise: bytes) -> None:
    """Any other bytes raise the vault's own error and no other."""
    with pytest.raises(VaultError):
        VAULT.open(noise)


def test_another_key_does_not_open() -> None:
    """Only the data directory's own key opens its secrets."""
    sealed = VAULT.seal(b"secret")

    with pytest.raises(VaultError, match="does not open"):
        Vault(os.urandom(32)).open(sealed)


def test_a_data_directory_has_one_key(tmp_path: Path) -> None:
    """The key is made once, and found again."""
    sealed = Vault.open_in(tmp_path).seal(b"secret")

    assert b"secret" == Vault.open_in(tmp_path).open(sealed)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_damaged_key_is_refused(tmp_path: Path, size: int) -> None:
    """A key of another length is no key."""
    write_private(tmp_path / "secrets.key", bytes(size))

    with pytest.raises(VaultError, match=f"this one {size}"):
        Vault.open_in(tmp_path)
