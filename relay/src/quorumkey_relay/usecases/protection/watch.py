"""Protections as they are on the disk, and those who wait for one to change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from quorumkey_relay.store.writes import PutProtection

if TYPE_CHECKING:
    from quorumkey_relay.domain.protection import Protection
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.writes import Change, Commit

#: Polls held at once; beyond it a poll is answered without waiting.
MAX_HELD_POLLS: Final = 10_000
#: Of these for one integrator, so that nobody takes the others' places.
MAX_HELD_POLLS_OF_ONE: Final = 1_000


class ProtectionWatch:
    """Hears every change of a protection, by this process and by the command line's."""

    def __init__(self, store: Store) -> None:
        """Take what the store holds: it is on the disk."""
        self._store = store
        self._durable: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._held = 0
        self._closed = False
        for protection in store.directory.protections():
            self._durable[protection.integrator_id] = protection.revision

    async def current(self, integrator_id: str) -> Protection | None:
        """Return an integrator's protection once it is durable; no call rests on another one."""
        protection = self._store.directory.protection(integrator_id)
        if protection is None or self._durable.get(integrator_id) == protection.revision:
            return protection
        # This one is durable then; a newer one, made meanwhile, may still be on its way.
        await self._store.settled()
        return protection

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit."""
        for write in commit:
            if isinstance(write, PutProtection):
                self._changed(write.after.integrator_id, write.after.revision)

    def changed(self, kind: Change, key: str) -> None:
        """Take in what another process changed; ``key`` is the integrator's id."""
        if kind == "protection":
            protection = self._store.directory.protection(key)
            self._changed(key, 0 if protection is None else protection.revision)

    async def wait(self, integrator_id: str, seconds: float) -> None:
        """Return when the protection has changed, at the latest after ``seconds``."""
        if self._closed or self._held >= MAX_HELD_POLLS:
            return
        waiting = self._waiting.setdefault(integrator_id, set())
        if len(waiting) >= MAX_HELD_POLLS_OF_ONE:
            return
        change: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting.add(change)
        self._held += 1
        try:
            await asyncio.wait((change,), timeout=seconds)
        finally:
            self._held -= 1
            waiting.discard(change)
            if not waiting and self._waiting.get(integrator_id) is waiting:
                del self._waiting[integrator_id]

    def close(self) -> None:
        """Let everybody go: the relay is shutting down."""
        self._closed = True
        for integrator_id in tuple(self._waiting):
            self._wake(integrator_id)

    def _changed(self, integrator_id: str, revision: int) -> None:
        self._durable[integrator_id] = revision
        self._wake(integrator_id)

    def _wake(self, integrator_id: str) -> None:
        for change in self._waiting.pop(integrator_id, ()):
            if not change.done():
                change.set_result(None)
