"""An alarm while fewer administrators can approve than are needed (B30).

Nothing is ever lowered by itself: calls that wait then keep waiting, new ones are refused, and an
operator has to see to it that somebody pairs a device, or break glass.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from quorumkey_relay.domain.protection_rules import administrators_needed
from quorumkey_relay.store.writes import PutDevice, PutPairing, PutProtection
from quorumkey_relay.usecases.protection.votes import able_administrators

if TYPE_CHECKING:
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Commit

ALARM: Final = "administrators_below_required"


class Bell(Protocol):
    """The part of the alarms that this needs."""

    def raise_alarm(self, kind: str, what: str, sentence: str) -> None:
        """Have an alarm stand."""
        ...

    def clear(self, kind: str, what: str) -> None:
        """Take an alarm back, if it stands."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShortageWatch:
    """Raises and clears an integrator's alarm, as its protection, pairings and devices change."""

    store: Store
    bell: Bell

    def heard(self, commit: Commit) -> None:
        """Look again at whomever a commit concerns; most commits concern nobody."""
        changes = [write for write in commit if isinstance(write, _CHANGES)]
        for integrator_id in {one for change in changes for one in _integrators(change)}:
            protection = self.store.directory.protection(integrator_id)
            if protection is not None:
                self._look_at(protection)

    def look(self) -> None:
        """Look at everybody: at a start, and after another process has changed something."""
        for protection in self.store.directory.protections():
            self._look_at(protection)

    def _look_at(self, protection: Protection) -> None:
        needed = administrators_needed(protection.settings)
        able = able_administrators(self.store.directory, protection)
        if protection.settings.enabled and able < needed:
            sentence = (
                f"Protected methods of integrator {protection.integrator_id} need {needed} "
                f"administrators who can approve on a paired device; there are {able}."
            )
            self.bell.raise_alarm(ALARM, protection.integrator_id, sentence)
        else:
            self.bell.clear(ALARM, protection.integrator_id)


_CHANGES: Final = (PutProtection, PutPairing, PutDevice)


def _integrators(change: PutProtection | PutPairing | PutDevice) -> tuple[str, ...]:
    """Return whose administrators a change may have made able or unable to approve."""
    match change:
        case PutProtection(after=protection):
            return (protection.integrator_id,)
        case PutPairing(pairing=pairing):
            return (pairing.integrator_id,)
        case PutDevice(device=device):
            return tuple(device.pairings)
