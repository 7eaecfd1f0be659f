"""What every test may ask for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import structlog
from hypothesis import settings

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Generator

# No test is judged by a clock; what fails can be run again from what is printed.
settings.register_profile("repository", deadline=None, print_blob=True)
settings.load_profile("repository")


@pytest.fixture(scope="module")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The event loop of tests marked ``anyio``: the one that the relay is served by."""
    return "asyncio", {"use_uvloop": True}


@pytest.fixture(scope="module")
def restored_logging() -> Generator[None, None, None]:
    """Leave the process's logging as it was found, for files whose tests configure it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    logs.unconfigure()
