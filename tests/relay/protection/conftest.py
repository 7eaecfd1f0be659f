"""A relay with protected methods and administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.workshop import Workshop, workshop

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@pytest.fixture
async def shop(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Workshop, None]:
    """A workshop with the administrators alice, bob and carol, two approvers required."""
    del anyio_backend
    async with workshop(tmp_path) as opened:
        yield opened
