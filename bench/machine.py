"""What the figures were taken on."""

from __future__ import annotations

import platform
import sqlite3
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.backends.openssl.backend import backend

if TYPE_CHECKING:
    from bench.servers import Cores

_PACKAGES: Final = ("uvicorn", "uvloop", "httptools", "starlette", "cryptography", "msgspec")


def describe(cores: Cores) -> dict[str, object]:
    """Return cores, processor and versions."""
    return {
        "cores": cores.count,
        "server_core": cores.server,
        "load_core": cores.load,
        "processor": _processor(),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "openssl": backend.openssl_version_text(),
        **{name: version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
