"""A data folder with a past: people, devices and requests that a relay has served."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.relay.simulator import ManualClock, SimDevice, Simulator, granted, simulator

from quorumkey_relay.usecases.commands import ActionBody, PartyBody

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from tests.relay.simulator import Asked


@dataclass(frozen=True)
class Past:
    """What has happened: two devices, and three requests by their status."""

    alice: SimDevice
    bob: SimDevice
    requests: dict[str, Asked]


def during(data_dir: Path, scene: Callable[[Simulator], Awaitable[None]]) -> None:
    """Let a relay of this very moment serve a folder for one scene."""

    async def play() -> None:
        async with simulator(data_dir, ManualClock(int(time.time()))) as sim:
            await scene(sim)

    asyncio.run(play())


def make_past(data_dir: Path) -> Past:
    """Two people, one request approved, one denied with a reason, one still pending."""
    made: list[Past] = []

    async def scene(sim: Simulator) -> None:
        alice, bob = await sim.devices("alice", "bob")
        for device in (alice, bob):
            sim.listen(device)
        action = ActionBody(
            type="cold_boot",
            description="Cold boot engine ENG-001",
            params={"engine_id": "ENG-001", "attempts": 3},
            bindings={"plan": "sha256:" + "ab" * 32},
        )
        requests = {
            status: await sim.ask(
                [alice],
                [bob],
                required=2,
                action=action,
                requester=PartyBody(id="carol", name="Carol"),
            )
            for status in ("approved", "rejected", "pending")
        }
        await sim.approve(requests["approved"], alice, bob)
        rejected = requests["rejected"]
        denial = bob.decision(rejected.digest, "deny", at=sim.clock.now(), reason="Not today")
        await granted(sim.use.decide(request_id=rejected.id, envelope=denial))
        await sim.approve(requests["pending"], alice)
        made.append(Past(alice, bob, requests))

    during(data_dir, scene)
    return made[0]
