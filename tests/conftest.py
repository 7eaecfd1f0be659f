"""What every test may ask for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import settings

# No test is judged by a clock; what fails can be run again from what is printed.
settings.register_profile("repository", deadline=None, print_blob=True)
settings.load_profile("repository")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop of tests marked ``anyio``: the one that the relay is served by."""
    return "asyncio", {"use_uvloop": True}
