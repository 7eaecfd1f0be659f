"""The command ``quorumkey`` beside a relay in memory, as an integrator and as a device."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import pytest
from tests.sdk.clock import ManualClock
from tests.sdk.device.phones import Desk
from tests.sdk.relay_double import API_KEY, URL, RelayDouble

from quorumkey.cli import _device_options, _integrator
from quorumkey.client import Client, ClientPorts
from quorumkey.device import SoftwareDevice

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def relay(monkeypatch: pytest.MonkeyPatch) -> RelayDouble:
    """A relay in memory that the integrator's commands talk to."""
    made, clock = RelayDouble(), ManualClock()
    client = functools.partial(
        Client,
        transport=made.transport,
        sleep=clock.sleep,
        ports=ClientPorts(now=clock.now, monotonic=clock.now),
    )
    monkeypatch.setattr(_integrator, "Client", client)
    monkeypatch.setenv("QUORUMKEY_URL", URL)
    monkeypatch.setenv("QUORUMKEY_API_KEY", API_KEY)
    return made


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A device whose commands talk to a relay in memory."""
    made = Desk(tmp_path / "home")
    device = functools.partial(SoftwareDevice, ports=made.ports)
    monkeypatch.setattr(_device_options, "SoftwareDevice", device)
    return made
