"""One serving process a data directory: an advisory lock that ends with the process."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING, Final

from quorumkey_relay.store.protocol import AlreadyServed

if TYPE_CHECKING:
    from pathlib import Path

LOCK_NAME: Final = "serving.lock"


class DirectoryLock:
    """Holds ``D/serving.lock``; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, data_dir: Path) -> None:
        """Remember where; nothing is locked yet."""
        self._path = data_dir / LOCK_NAME
        self._descriptor: int | None = None

    def acquire(self) -> None:
        """Take the lock; raises ``AlreadyServed`` when another process holds it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(descriptor)
            message = f"another relay process serves {self._path.parent}; stop it first"
            raise AlreadyServed(message) from error
        os.truncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        self._descriptor = descriptor

    def release(self) -> None:
        """Let go, if held."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
