"""Fixtures of the tests that drive a real relay over real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.e2e.protocol_statements import STATEMENTS, Statement
from tests.e2e.protocol_world import World, served

if TYPE_CHECKING:
    from collections.abc import Generator


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Generator[World, None, None]:
    """A served relay with generous limits, shared by the tests of one file."""
    with served(tmp_path_factory.mktemp("relay")) as running:
        yield running


@pytest.fixture(scope="module")
def statements(world: World) -> Generator[dict[str, Statement], None, None]:
    """One speaker for each kind of statement; at the end nothing that it said may have counted."""
    made = {statement.kind: statement(world.acme) for statement in STATEMENTS}
    yield made
    for kind, statement in made.items():
        assert statement.is_untouched(), kind
