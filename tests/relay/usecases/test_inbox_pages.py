"""A device's list, page by page."""

from __future__ import annotations

import pytest
from tests.relay.simulator import UMBRELLA, SimDevice, Simulator, granted

pytestmark = pytest.mark.anyio


async def pages(sim: Simulator, device: SimDevice, *, everything: bool) -> list[str]:
    """The ids of a whole list, asked for one by one."""
    found: list[str] = []
    cursor: str | None = None
    while True:
        page = await granted(
            sim.use.device_requests(
                device=device.fingerprint, everything=everything, limit=1, cursor=cursor
            )
        )
        found += [item.request_id for item in page.data]
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("everything", [False, True])
async def test_a_page_may_end_at_what_is_hidden(sim: Simulator, *, everything: bool) -> None:
    """What came from an integrator that the device has left hides nothing that is older."""
    alice = await sim.device("alice")
    await sim.admit(alice, UMBRELLA)
    older = await sim.ask([alice])
    await sim.ask([alice], integrator=UMBRELLA)
    newer = await sim.ask([alice])
    await sim.unpair(alice, UMBRELLA.id)

    assert [newer.id, older.id] == await pages(sim, alice, everything=everything)


@pytest.mark.parametrize("cursor", ["", "x", "0190a000-0000-7000-8000-0000000000aa"])
async def test_a_page_ends_at_nothing_else(sim: Simulator, cursor: str) -> None:
    """A cursor that names no request of this device is refused."""
    alice = await sim.device("alice")

    answer = await sim.use.device_requests(
        device=alice.fingerprint, everything=True, limit=1, cursor=cursor
    )

    assert "invalid_request" == getattr(answer, "code", None)
