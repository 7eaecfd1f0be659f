"""Files that only the relay may read."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.identity.files import UnsafeFileError, read_private, write_private

if TYPE_CHECKING:
    from pathlib import Path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    """A private file holds what was written, for its owner alone, and leaves no draft."""
    path = tmp_path / "a.key"
    write_private(path, b"secret")

    assert (b"secret", 0o600) == (read_private(path), path.stat().st_mode & 0o777)
    assert [path] == list(tmp_path.iterdir())


def test_a_file_that_is_there_is_kept(tmp_path: Path) -> None:
    """A key is never written over."""
    path = tmp_path / "a.key"
    write_private(path, b"first")

    with pytest.raises(FileExistsError):
        write_private(path, b"second")

    assert (b"first", [path]) == (read_private(path), list(tmp_path.iterdir()))


def test_a_draft_that_a_crash_left_is_in_nobodys_way(tmp_path: Path) -> None:
    """In a container every start has the same process id."""
    path = tmp_path / "a.key"
    path.with_name(f".a.key.{os.getpid()}").touch()

    write_private(path, b"secret")

    assert b"secret" == read_private(path)


def test_a_file_that_others_may_read_is_refused(tmp_path: Path) -> None:
    """The message says what to do."""
    path = tmp_path / "a.key"
    write_private(path, b"secret")
    path.chmod(0o640)

    with pytest.raises(UnsafeFileError, match="can be read by others; run: chmod 600"):
        read_private(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    """What cannot be read is an error of the same kind."""
    with pytest.raises(UnsafeFileError, match=r"cannot read .*a\.key: No such file"):
        read_private(tmp_path / "a.key")
