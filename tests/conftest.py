"""What every test may ask for."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop of tests marked ``anyio``: the one that the relay is served by."""
    return "asyncio", {"use_uvloop": True}
