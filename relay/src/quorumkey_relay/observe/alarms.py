"""What an operator has to look at while the relay goes on serving."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Callable

#: What nobody can see the end of counts as over when it was not seen again for a day.
REPORT_SECONDS: Final = 86_400.0

log = logs.get()


def _nobody(kind: str, standing: int) -> None:
    """Count for nobody."""
    del kind, standing


class Alarms:
    """The alarms that stand; each is raised and cleared by whoever watches for it.

    An alarm is of a ``kind``, such as ``credentials``, and is about one thing: a lane such as
    ``apns/sandbox``. One that is raised again is the same alarm. Its sentence is for people, and
    holds no secret.
    """

    def __init__(
        self,
        count: Callable[[str, int], None] = _nobody,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Tell ``count`` how many alarms of a kind stand, whenever that changes."""
        self._count = count
        self._monotonic = monotonic
        self._standing: dict[tuple[str, str], str] = {}
        self._until: dict[tuple[str, str], float] = {}

    def raise_alarm(self, kind: str, what: str, sentence: str) -> None:
        """Have an alarm stand; the first time it is logged."""
        is_new = (kind, what) not in self._standing
        self._standing[kind, what] = sentence
        if is_new:
            log.error("alarm_raised", kind=kind, lane=what)
            self._tell(kind)

    def report(self, kind: str, what: str, sentence: str) -> None:
        """Have an alarm stand for a day: of something that happens, and has no end to be seen."""
        self._until[kind, what] = self._monotonic() + REPORT_SECONDS
        self.raise_alarm(kind, what, sentence)

    def clear(self, kind: str, what: str) -> None:
        """Take an alarm back, if it stands."""
        self._until.pop((kind, what), None)
        if self._standing.pop((kind, what), None) is not None:
            log.info("alarm_cleared", kind=kind, lane=what)
            self._tell(kind)

    def look_after(self) -> None:
        """Take back what was reported and has not happened again since."""
        now = self._monotonic()
        for kind, what in [alarm for alarm, until in self._until.items() if now >= until]:
            self.clear(kind, what)

    def standing(self) -> list[str]:
        """Return the sentences of the alarms that stand, oldest first."""
        return list(self._standing.values())

    def _tell(self, kind: str) -> None:
        self._count(kind, sum(1 for standing, _ in self._standing if standing == kind))
