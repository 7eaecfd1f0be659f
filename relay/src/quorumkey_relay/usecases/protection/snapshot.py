"""What a service has to know of its protection before it asks, told as soon as it changes.

A poll with the newest revision is held for a moment, so whoever polls without a pause hears of a
change at once, and knows within ``SNAPSHOT_HOLD_SECONDS`` and a round trip that there was none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from msgspec import UNSET

from quorumkey_relay.domain.protection import GOVERNING_METHODS
from quorumkey_relay.usecases.protection.views import SnapshotMethod, SnapshotView

if TYPE_CHECKING:
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.usecases.protection.watch import ProtectionWatch

SNAPSHOT_HOLD_SECONDS: Final = 0.4


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadSnapshot:
    """An integrator's protection, in short."""

    watch: ProtectionWatch

    async def __call__(
        self, *, integrator_id: str, revision: int | None, hold: bool = True
    ) -> SnapshotView:
        """Return the snapshot; held for a moment while ``revision`` is the newest, if ``hold``."""
        protection = await self.watch.current(integrator_id)
        if hold and revision == _revision(protection):
            await self.watch.wait(integrator_id, SNAPSHOT_HOLD_SECONDS)
            protection = await self.watch.current(integrator_id)
        return snapshot_of(protection, with_methods=revision != _revision(protection))


def snapshot_of(protection: Protection | None, *, with_methods: bool = True) -> SnapshotView:
    """Return the snapshot of a protection; None is one about which nothing was ever said."""
    if protection is None:
        return SnapshotView(
            revision=0,
            enabled=False,
            exclude_api_keys=False,
            methods=[] if with_methods else UNSET,
        )
    return SnapshotView(
        revision=protection.revision,
        enabled=protection.settings.enabled,
        exclude_api_keys=protection.settings.exclude_api_keys,
        methods=_methods(protection) if with_methods else UNSET,
    )


def _revision(protection: Protection | None) -> int:
    return 0 if protection is None else protection.revision


def _methods(protection: Protection) -> list[SnapshotMethod]:
    """Return the methods of the services; those of the relay itself never reach a service."""
    shown: list[SnapshotMethod] = []
    for name in sorted({*protection.methods, *protection.protected} - set(GOVERNING_METHODS)):
        method, condition = protection.methods.get(name), protection.condition(name)
        shown.append(
            SnapshotMethod(
                name=name,
                protected=condition is not None,
                always=method is not None and method.kind == "always",
                conditional=bool(condition),
                resolver=method is not None and method.resolver,
            )
        )
    return shown
