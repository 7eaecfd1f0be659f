"""The mass-drop guard: how many addresses a lane may lose before we doubt ourselves, not them.

A wrong topic or a project of another account makes every address look dead. Addresses that were
dropped do not come back before their devices say them again, so beyond a share of the latest sends
nothing more is dropped until the rate is back under it. Pure: time is given.
"""

from __future__ import annotations

from collections import deque
from typing import Final

WINDOW_SECONDS: Final = 300
SLOT_SECONDS: Final = 10
MAX_EVICTED_SHARE: Final = 0.05
# A small installation can still lose single addresses, whatever share of its sends they are.
ALWAYS_ALLOWED_EVICTIONS: Final = 5


class EvictionGuard:
    """Counts a lane's sends, and the addresses that they said are dead, of the last 5 minutes."""

    def __init__(self) -> None:
        """Start with nothing sent."""
        self._slots: deque[list[int]] = deque()  # [number of the slot, sends, evictions]
        self._sends = 0
        self._evictions = 0

    def sent(self, now: float) -> None:
        """Count a send whose outcome is known; ``now`` in seconds of a monotonic clock."""
        self._slot(now)[1] += 1
        self._sends += 1

    def allows(self, now: float) -> bool:
        """Count that the last send asked for its address to be dropped; say whether it may be."""
        self._slot(now)[2] += 1
        self._evictions += 1
        return not self.over(now)

    def over(self, now: float) -> bool:
        """Say whether too many of the latest sends asked for an eviction, carried out or not."""
        self._forget(now)
        return (
            self._evictions > ALWAYS_ALLOWED_EVICTIONS
            and self._evictions > MAX_EVICTED_SHARE * self._sends
        )

    def is_idle(self, now: float) -> bool:
        """Say whether nothing was sent within the window."""
        self._forget(now)
        return not self._slots

    def _slot(self, now: float) -> list[int]:
        number = int(now // SLOT_SECONDS)
        if not self._slots or self._slots[-1][0] != number:
            self._forget(now)
            self._slots.append([number, 0, 0])
        return self._slots[-1]

    def _forget(self, now: float) -> None:
        oldest = int((now - WINDOW_SECONDS) // SLOT_SECONDS)
        while self._slots and self._slots[0][0] <= oldest:
            _, sends, evictions = self._slots.popleft()
            self._sends -= sends
            self._evictions -= evictions
