"""Fixtures of the relay's tests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog
from tests.contract.backends import SqliteBackend

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path

    from quorumkey_relay.store.sqlite import SqliteStore


@pytest.fixture
def backend(tmp_path: Path) -> SqliteBackend:
    """An empty data directory."""
    return SqliteBackend(tmp_path)


@pytest.fixture
async def store(backend: SqliteBackend, anyio_backend: object) -> AsyncGenerator[SqliteStore, None]:
    """An open store on it."""
    del anyio_backend
    async with backend.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def restored_logging() -> Generator[None, None, None]:
    """Leave the process's logging as it was found, for files whose tests configure it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    logs.unconfigure()
