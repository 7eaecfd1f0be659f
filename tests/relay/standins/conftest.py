"""Fixtures of the stand-ins' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.standins import start_stand_ins

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from quorumkey_relay.standins import StandIns


@pytest.fixture(scope="session")
def credentials_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose keys are made once for all tests."""
    return tmp_path_factory.mktemp("stand-ins")


@pytest.fixture
async def stands(credentials_folder: Path, anyio_backend: object) -> AsyncGenerator[StandIns, None]:
    """All stand-ins, on free ports."""
    del anyio_backend
    async with start_stand_ins(credentials_folder) as started:
        yield started
