"""Files that hold secrets: made with mode 0600 from the first moment, refused when shared.

A key file that was readable by somebody else, for however short a time, is no longer a secret; so
the mode is given when the file is created, not afterwards, and a file that others may read is
refused rather than mended.
"""

from __future__ import annotations

import os
import secrets
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from quorumkey.device.errors import KeyFileError
from quorumkey.errors import ProtocolError
from quorumkey.protocol.keys import PrivateKey

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["create_key", "load_key", "make_folder", "read_secret", "replace_secret", "write_secret"]

FILE_MODE: Final = 0o600
FOLDER_MODE: Final = 0o700
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_TEMPORARY_BYTES: Final = 8


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter; parents are made where missing.

    Raises:
        KeyFileError: it exists and others may enter it, or it cannot be made.
    """
    try:
        folder.mkdir(mode=FOLDER_MODE, parents=True, exist_ok=True)
        mode = folder.stat().st_mode
    except OSError as error:
        raise KeyFileError(f"The folder {folder} cannot be made: {error.strerror}.") from None
    if mode & _OTHERS:
        raise KeyFileError(f"The folder {folder} is open to other users; run: chmod 700 {folder}")


def write_secret(path: Path, data: bytes) -> bool:
    """Create a file of mode 0600 with all of `data`, durably, unless there is one.

    The content is complete before the name exists, so a crash leaves no half file, and of two
    processes one creates it.

    Returns:
        True where this call created it, False where it was there.

    Raises:
        KeyFileError: the file cannot be written.
    """
    return _put(path, data, replace=False)


def replace_secret(path: Path, data: bytes) -> None:
    """Write a file of mode 0600 with all of `data`, durably, in place of any earlier one.

    Raises:
        KeyFileError: the file cannot be written.
    """
    _put(path, data, replace=True)


def _put(path: Path, data: bytes, *, replace: bool) -> bool:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(_TEMPORARY_BYTES)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE_MODE)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                temporary.replace(path)
            else:
                path.hardlink_to(temporary)
        finally:
            with suppress(FileNotFoundError):
                temporary.unlink()
        _sync_folder(path.parent)
    except FileExistsError:
        return False
    except OSError as error:
        raise KeyFileError(f"The file {path} cannot be written: {error.strerror}.") from None
    return True


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_secret(path: Path, *, max_bytes: int) -> bytes | None:
    """Read a file that nobody else may read; None where there is none.

    Raises:
        KeyFileError: others may read or write it, it is no regular file, or it is larger than
            `max_bytes`.
    """
    try:
        # Neither through a link, which could lead to somebody else's file, nor waiting for a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise KeyFileError(f"The file {path} cannot be read: {error.strerror}.") from None
    try:
        # The open file is asked, not its name, so nothing can change in between.
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode):
            raise KeyFileError(f"The file {path} is not a regular file.")
        if mode & _OTHERS:
            raise KeyFileError(
                f"The file {path} is open to other users; what was secret in it must be replaced."
            )
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            data = file.read(max_bytes + 1)
    finally:
        os.close(descriptor)
    if len(data) > max_bytes:
        raise KeyFileError(f"The file {path} is larger than {max_bytes} bytes.")
    return data


_MAX_KEY_FILE_BYTES: Final = 4096


def create_key(path: Path) -> PrivateKey:
    """Make a new key in a new file, or load the one that is there.

    Raises:
        KeyFileError: the file cannot be written, or holds no usable key.
    """
    key = PrivateKey.generate()
    if write_secret(path, key.to_pem()):
        return key
    return load_key(path)


def load_key(path: Path) -> PrivateKey:
    """Load a key file.

    Raises:
        KeyFileError: it is missing, others may read it, or it holds no P-256 key.
    """
    pem = read_secret(path, max_bytes=_MAX_KEY_FILE_BYTES)
    if pem is None:
        raise KeyFileError(f"The key file {path} is missing.")
    try:
        return PrivateKey.from_pem(pem)
    except ProtocolError:
        raise KeyFileError(f"The file {path} does not hold a P-256 private key.") from None
