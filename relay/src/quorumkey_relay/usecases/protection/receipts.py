"""Receipts of approved calls, made ahead: signing one is the dearest part of claiming a call."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from quorumkey_relay.domain.model import Status
from quorumkey_relay.store.protocol import StoreUnavailable
from quorumkey_relay.store.writes import AdvanceRequest
from quorumkey_relay.usecases.protection.audit import PROFILE
from quorumkey_relay.usecases.read import receipt_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey.protocol import PrivateKey
    from quorumkey_relay.clock import Clock
    from quorumkey_relay.domain.model import State
    from quorumkey_relay.identity.relaykeys import RelayKeys
    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Evidence, Stored
    from quorumkey_relay.store.writes import Commit
    from quorumkey_relay.usecases.protection.evidence import RecentVotes

#: Receipts that are kept; some 5 kB each.
RECENT_RECEIPTS: Final = 2_048


class _Made(NamedTuple):
    """A receipt, with what it says and who has signed it."""

    state: State
    key: PrivateKey
    receipt: bytes


class RecentReceipts:
    """Hears of every approval and signs its receipt; makes what it has not when it is asked."""

    def __init__(self, *, store: Store, clock: Clock, keys: RelayKeys, votes: RecentVotes) -> None:
        """Start with no approval heard."""
        self._store = store
        self._clock = clock
        self._keys = keys
        self._votes = votes
        self._made: OrderedDict[str, _Made] = OrderedDict()
        self._making: set[asyncio.Task[None]] = set()

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit."""
        for write in commit:
            if (
                isinstance(write, AdvanceRequest)
                and write.after.status is Status.APPROVED
                and write.terms.profile == PROFILE
            ):
                making = asyncio.create_task(self._make(write.terms.request_id))
                self._making.add(making)
                making.add_done_callback(self._making.discard)

    def of(self, stored: Stored, evidence: Sequence[Evidence], *, now: int) -> bytes:
        """Return the receipt envelope of an approved call as JSON, as `receipt_of` does.

        Raises ``StoreUnavailable`` where the relay's key is missing.
        """
        request_id, key = stored.terms.request_id, self._keys.current(now)
        made = self._made.get(request_id)
        if made is None or made.state is not stored.state or made.key is not key:
            receipt = receipt_of(stored, evidence, keys=self._keys, now=now)
            made = self._made[request_id] = _Made(stored.state, key, receipt)
            if len(self._made) > RECENT_RECEIPTS:
                self._made.popitem(last=False)
        return made.receipt

    async def _make(self, request_id: str) -> None:
        try:
            stored = await self._store.load(request_id)
            if stored is not None:
                self.of(stored, await self._votes.of(stored), now=self._clock.now())
        except StoreUnavailable:
            return  # whoever claims the call will be told
