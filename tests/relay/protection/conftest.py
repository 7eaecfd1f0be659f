"""A relay with protected methods and administrators."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.relay.protection.rpc_office import Office
from tests.relay.protection.rpc_office import office as open_office
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


@pytest.fixture
async def office(tmp_path: Path, anyio_backend: object) -> AsyncGenerator[Office, None]:
    """A served relay with the administrators alice, bob and carol; protection is off."""
    del anyio_backend
    async with open_office(tmp_path) as opened:
        yield opened


@pytest.fixture(scope="module")
async def still(
    tmp_path_factory: pytest.TempPathFactory, anyio_backend: object
) -> AsyncGenerator[Office, None]:
    """The same with protection on, shared by tests whose calls are all refused."""
    del anyio_backend
    async with open_office(tmp_path_factory.mktemp("relay")) as opened:
        await opened.enable()
        yield opened
