"""Fixtures of the stand-ins' tests."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import httpx
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


@pytest.fixture
def is_http2() -> bool:
    """Whether tests that do not say otherwise use HTTP/2."""
    return True


@pytest.fixture
async def sender(stands: StandIns, is_http2: bool) -> AsyncGenerator[httpx.AsyncClient, None]:  # noqa: FBT001 - a fixture
    """A client that trusts the stand-ins."""
    context = ssl.create_default_context(cafile=stands.files.ca_file)
    async with httpx.AsyncClient(http1=not is_http2, http2=is_http2, verify=context) as client:
        yield client
