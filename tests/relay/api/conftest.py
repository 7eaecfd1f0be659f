"""Fixtures of the HTTP layer's tests: one relay on a loopback socket for each file."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from tests.relay.api.harness import House
from tests.relay.api.harness import house as served

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


@pytest.fixture(scope="module", autouse=True)
def log(restored_logging: None) -> io.BytesIO:
    """What the relay logs in the tests of one file."""
    del restored_logging
    sink = io.BytesIO()
    logs.configure("debug", "json", sink)
    return sink


@pytest.fixture(scope="module")
async def house(
    log: io.BytesIO, anyio_backend: object, tmp_path_factory: pytest.TempPathFactory
) -> AsyncGenerator[House, None]:
    """A served relay with generous limits, shared by the tests of one file."""
    del anyio_backend, log
    async with served(tmp_path_factory.mktemp("relay")) as running:
        yield running
