"""What an operator has to look at while the relay goes on serving."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.observe import logs

if TYPE_CHECKING:
    from collections.abc import Callable

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

    def __init__(self, count: Callable[[str, int], None] = _nobody) -> None:
        """Tell ``count`` how many alarms of a kind stand, whenever that changes."""
        self._count = count
        self._standing: dict[tuple[str, str], str] = {}

    def raise_alarm(self, kind: str, what: str, sentence: str) -> None:
        """Have an alarm stand; the first time it is logged."""
        is_new = (kind, what) not in self._standing
        self._standing[kind, what] = sentence
        if is_new:
            log.error("alarm_raised", kind=kind, lane=what)
            self._tell(kind)

    def clear(self, kind: str, what: str) -> None:
        """Take an alarm back, if it stands."""
        if self._standing.pop((kind, what), None) is not None:
            log.info("alarm_cleared", kind=kind, lane=what)
            self._tell(kind)

    def standing(self) -> list[str]:
        """Return the sentences of the alarms that stand, oldest first."""
        return list(self._standing.values())

    def _tell(self, kind: str) -> None:
        self._count(kind, sum(1 for standing, _ in self._standing if standing == kind))
