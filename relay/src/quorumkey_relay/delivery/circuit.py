"""When a lane stops sending: a pure state of what its provider answered last.

Two faults open it. With wrong credentials or settings nothing can succeed before somebody acts, so
one message a while is enough to find out that somebody did. With an outage of the network or the
provider, single probes at short intervals keep the cost of the outage at nothing. Neither is
anybody's address to blame for, and both end with what ends them: an acceptance, or any answer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

MISCONFIGURED_PROBE_SECONDS: Final = 30.0
# How soon a probe is answered, mostly; what is held back meanwhile asks again after that.
VERDICT_SECONDS: Final = 2.0
# So many sends in a row that reach nobody are an outage.
OUTAGE_FAILURES: Final = 5
# What is held back comes again so many at a time, the earliest deadline first: a long backlog
# must not be read and written anew for each probe.
HELD_PER_SECOND: Final = 512
MAX_SPREAD_SECONDS: Final = 30
# Who was just refused lets another be the next probe: it may be the only one that is refused.
AFTER_OTHERS_SECONDS: Final = 2
MIN_OUTAGE_PROBE_SECONDS: Final = 1.0
MAX_OUTAGE_PROBE_SECONDS: Final = 5.0

Fault = Literal["misconfigured", "outage"]


@dataclass(slots=True)
class Circuit:
    """Closed while ``fault`` is None; ``reason`` says what opened it.

    All times are seconds of a monotonic clock.
    """

    fault: Fault | None = None
    reason: str = ""
    _failures: int = 0
    _probe_at: float = 0.0
    _interval: float = MIN_OUTAGE_PROBE_SECONDS
    _is_probing: bool = False
    _held: int = 0

    def admits(self, now: float) -> bool:
        """Say whether a message may be sent now; while open, one probe at a time may.

        What is admitted and then not sent is to be told with ``unused``.
        """
        if self.fault is None:
            return True
        if self._is_probing or now < self._probe_at:
            return False
        self._is_probing = True
        self._held = 0
        return True

    def wait_seconds(self, now: float) -> int:
        """Return in how many seconds, at least 1, what is held back may be tried.

        While a probe is under way its verdict is waited for.
        """
        wait = VERDICT_SECONDS if self._is_probing else self._probe_at - now
        return max(1, math.ceil(wait))

    def turn_seconds(self) -> int:
        """Return how much later than the others the message comes that was just refused."""
        return AFTER_OTHERS_SECONDS if self._held else 0

    def spread_seconds(self) -> int:
        """Count one more that is held back; return how much later than the first ones it comes."""
        self._held += 1
        return min(MAX_SPREAD_SECONDS, self._held // HELD_PER_SECOND)

    def unused(self) -> None:
        """Take back an admission: the message was not sent."""
        self._is_probing = False

    def accepted(self) -> None:
        """Close: a message was accepted."""
        if self.fault is None and not self._failures:
            return
        self.fault, self.reason = None, ""
        self._failures = 0
        self._probe_at = 0.0
        self._interval = MIN_OUTAGE_PROBE_SECONDS
        self._is_probing = False
        self._held = 0

    def refused(self, now: float) -> None:
        """Take in that the provider refused a message or an address for good.

        It read the message, so there is no outage. Where the credentials were at fault the
        refusal decides nothing, and the next message may try at once.
        """
        self._answered(now)

    def busy(self, now: float) -> None:
        """Take in that the provider answered, but cannot take messages now."""
        self._answered(now + MISCONFIGURED_PROBE_SECONDS)

    def _answered(self, probe_at: float) -> None:
        if self.fault == "misconfigured":
            self._is_probing = False
            self._probe_at = probe_at
        else:
            self.accepted()

    def misconfigured(self, reason: str, now: float) -> None:
        """Open: our own credentials or settings are refused."""
        self.fault, self.reason = "misconfigured", reason
        self._failures = 0
        self._is_probing = False
        self._probe_at = now + MISCONFIGURED_PROBE_SECONDS

    def unreachable(self, reason: str, now: float) -> None:
        """Take in that there was no answer; after ``OUTAGE_FAILURES`` in a row it opens."""
        was_probe, self._is_probing = self._is_probing, False
        if self.fault == "misconfigured":
            self._probe_at = now + MISCONFIGURED_PROBE_SECONDS
        elif self.fault == "outage":
            if was_probe:
                self._interval = min(MAX_OUTAGE_PROBE_SECONDS, self._interval * 2)
            self._probe_at = now + self._interval
        else:
            self._failures += 1
            if self._failures >= OUTAGE_FAILURES:
                self.fault, self.reason = "outage", reason
                self._probe_at = now + self._interval
