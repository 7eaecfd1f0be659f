"""Every contract test runs against every backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.contract.backends import Backend, SqliteBackend

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable
    from pathlib import Path

    from quorumkey_relay.store.protocol import Store

BACKENDS: dict[str, Callable[[Path], Backend]] = {"sqlite": SqliteBackend}


@pytest.fixture(params=list(BACKENDS))
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """An empty place for data."""
    return BACKENDS[str(request.param)](tmp_path)


@pytest.fixture
async def store(backend: Backend, anyio_backend: object) -> AsyncGenerator[Store, None]:
    """An open store on it."""
    del anyio_backend
    async with backend.open() as opened:
        yield opened
