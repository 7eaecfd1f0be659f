"""Fixtures of the command line's tests."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.relay.cli.prompt import Operator

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def operator(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Operator:
    """An operator whose environment says nothing about a relay, and a folder that is not there."""
    for name in os.environ:
        if name.startswith("QUORUMKEY_"):
            monkeypatch.delenv(name)
    return Operator(capsys, tmp_path / "data")
