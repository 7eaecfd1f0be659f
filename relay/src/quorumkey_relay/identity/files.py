"""Files that only the relay may read."""

from __future__ import annotations

import os
import stat
from tempfile import mkstemp
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

PRIVATE_FILE_MODE: Final = 0o600
PRIVATE_DIRECTORY_MODE: Final = 0o700
OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class UnsafeFileError(Exception):
    """A private file that others may read, or that cannot be read at all."""


def write_private(path: Path, data: bytes) -> None:
    """Write a new file with mode 0600 and wait for the disk; an existing one is an error.

    The file appears under its name only when it is complete. Raises ``FileExistsError``.
    """
    # A new name for each draft (mode 0600): one that a crash left behind is in nobody's way.
    descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
    draft = path.parent / name
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)
    finally:
        draft.unlink()
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def read_private(path: Path) -> bytes:
    """Read a file that nobody else may read; raises ``UnsafeFileError``."""
    try:
        mode = path.stat().st_mode
        if mode & OTHERS:
            message = f"{path} can be read by others; run: chmod 600 {path}"
            raise UnsafeFileError(message)
        return path.read_bytes()
    except OSError as error:
        message = f"cannot read {path}: {error.strerror}"
        raise UnsafeFileError(message) from error
