"""An integrator's view of its devices (PROTOCOL §5 Reading)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from quorumkey_relay.domain.refusal import NOT_FOUND, Refusal
from quorumkey_relay.usecases.read import BAD_CURSOR, is_request_id
from quorumkey_relay.usecases.render import device_of
from quorumkey_relay.usecases.views import DeviceView, Page

if TYPE_CHECKING:
    from quorumkey_relay.identity.principals import Pairing
    from quorumkey_relay.store.protocol import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class ListDevices:
    """Devices that are or were paired with an integrator, newest pairing first."""

    store: Store

    async def __call__(
        self, *, integrator_id: str, approver_id: str | None, limit: int, cursor: str | None
    ) -> Page[DeviceView] | Refusal:
        """Return a page; ``cursor`` is the pairing id of the last device of the page before."""
        if cursor is not None and not await self._own_pairing(integrator_id, cursor):
            return BAD_CURSOR
        ties = await self.store.devices(
            integrator_id=integrator_id, approver_id=approver_id, before=cursor, limit=limit + 1
        )
        shown = ties[:limit]
        page = [view for tie in shown if (view := self._view(tie)) is not None]
        return Page(page, shown[-1].pairing_id if len(ties) > limit else None)

    async def _own_pairing(self, integrator_id: str, pairing_id: str) -> bool:
        if not is_request_id(pairing_id):
            return False
        pairing = await self.store.pairing(pairing_id)
        return pairing is not None and pairing.integrator_id == integrator_id

    def _view(self, tie: Pairing) -> DeviceView | None:
        device = self.store.directory.device(tie.device) if tie.device is not None else None
        return None if device is None else device_of(device, tie)


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadDevice:
    """One device that is or was paired with an integrator."""

    store: Store

    async def __call__(self, *, integrator_id: str, fingerprint: str) -> DeviceView | Refusal:
        """Return the device."""
        device = self.store.directory.device(fingerprint)
        tie = await self.store.tie(integrator_id=integrator_id, device=fingerprint)
        return NOT_FOUND if device is None or tie is None else device_of(device, tie)
