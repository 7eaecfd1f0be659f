"""Fixtures of the relay's tests."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest
import structlog

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Generator


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
