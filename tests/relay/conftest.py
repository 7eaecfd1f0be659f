"""Fixtures of the relay's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import SqliteBackend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
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
