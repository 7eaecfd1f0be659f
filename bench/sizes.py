"""How much is measured: what docs/performance.md reports, and a short run that only must work."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Sizes:
    """Samples of each measurement, per round unless it says otherwise.

    Every creation leads to two decisions. ``echoes`` is how many times the calls of a round are
    sent to the echo, which answers them in a fraction of the time. ``slow_pushes`` are those of
    senders that need milliseconds for each; ``fan_outs_stored`` are requests of 200 devices that
    go through the outbox, ``mixed`` those of 50 devices on four channels.
    """

    rounds: int
    phones: int
    creations: int
    echoes: int
    crowds: int
    paced: int
    paced_phones: int
    sockets: int
    fan_out: int
    fan_outs: int
    stored: int
    reads: int
    traced_creations: int
    ceiling: int
    verifications: int
    pushes: int
    slow_pushes: int
    fan_outs_stored: int
    paced_pushes: int
    mixed: int
    webhook_events: int
    checks: int
    claims: int
    local_checks: int
    conditions_evaluated: int
    listings: int
    tokens: int


FULL: Final = Sizes(
    rounds=7,
    phones=2_000,
    creations=2_560,
    echoes=4,
    crowds=48,
    paced=100,
    paced_phones=60,
    sockets=2_000,
    fan_out=200,
    fan_outs=3,
    stored=100_000,
    reads=4_000,
    traced_creations=512,
    ceiling=50_000,
    verifications=400,
    pushes=4_000,
    slow_pushes=500,
    fan_outs_stored=10,
    paced_pushes=100,
    mixed=10,
    webhook_events=2_000,
    checks=5_120,
    claims=1_024,
    local_checks=200_000,
    conditions_evaluated=20_000,
    listings=100,
    tokens=2_000,
)

QUICK: Final = Sizes(
    rounds=1,
    phones=130,
    creations=64,
    echoes=2,
    crowds=2,
    paced=10,
    paced_phones=12,
    sockets=20,
    fan_out=10,
    fan_outs=1,
    stored=500,
    reads=64,
    traced_creations=16,
    ceiling=500,
    verifications=3,
    pushes=80,
    slow_pushes=20,
    fan_outs_stored=1,
    paced_pushes=10,
    mixed=2,
    webhook_events=40,
    checks=64,
    claims=16,
    local_checks=5_000,
    conditions_evaluated=100,
    listings=2,
    tokens=20,
)

#: Devices that answer one request at the same instant; one more keeps it open until they have.
CROWD: Final = 64

#: With how few stored requests status reads are compared.
FEW_STORED: Final = 100

#: Requests per second while the way to a connected device is timed.
PACE_PER_SECOND: Final = 50
