"""Fixtures of the executors' tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.executors.parts import CloudRig, google_cloud
from tests.relay.executors.postgres import Server, running_server

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator
    from pathlib import Path


@pytest.fixture(scope="session")
def credentials_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose keys are made once for all tests."""
    return tmp_path_factory.mktemp("google-cloud")


@pytest.fixture
async def google(credentials_folder: Path, anyio_backend: object) -> AsyncGenerator[CloudRig, None]:
    """Google Cloud, and the executor in front of it."""
    del anyio_backend
    async with google_cloud(credentials_folder) as rig:
        yield rig


@pytest.fixture(scope="session")
def postgresql_server() -> Generator[Server, None, None]:
    """A PostgreSQL server of this machine's own kind, for all tests."""
    with running_server() as server:
        yield server
