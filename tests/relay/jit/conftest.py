"""A relay that serves just-in-time access."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.jit.desk import BOB, CAROL, Desk
from tests.relay.jit.desk import desk as open_desk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path


@pytest.fixture
async def desk(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Desk, None]:
    """Reviewers click, and hear of requests by e-mail."""
    del anyio_backend
    async with open_desk(tmp_path) as opened:
        yield opened


@pytest.fixture
async def signing(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Desk, None]:
    """Reviewers decide on their devices; bob and carol have one."""
    del anyio_backend
    folder = tmp_path / "signing"
    folder.mkdir()
    async with open_desk(folder, approval="device") as opened:
        await opened.equip(BOB, CAROL)
        yield opened
