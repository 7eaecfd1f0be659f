"""A started relay for scenarios."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.simulator import Simulator, simulator

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@pytest.fixture
async def sim(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Simulator, None]:
    """A relay with default settings and an empty data directory."""
    del anyio_backend
    async with simulator(tmp_path) as started:
        yield started
