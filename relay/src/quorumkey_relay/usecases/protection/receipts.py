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

#: Receipts that are kept until their calls are claimed; some 5 kB each.
RECENT_RECEIPTS: Final = 1_024


class _Made(NamedTuple):
    """A receipt, with what it says and who has signed it."""

    state: State
    key: PrivateKey
    receipt: bytes


class RecentReceipts:
    """Hears of every approval and signs its receipt, for the claim that is likely to follow."""

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
        """Return the receipt envelope of an approved call as JSON; one made ahead only once.

        Raises ``StoreUnavailable`` where the relay's key is missing.
        """
        made = self._made.pop(stored.terms.request_id, None)
        if made is not None and made.state is stored.state and made.key is self._keys.current(now):
            return made.receipt
        return receipt_of(stored, evidence, keys=self._keys, now=now)

    async def _make(self, request_id: str) -> None:
        try:
            stored = await self._store.load(request_id)
            if stored is None:
                return
            evidence, now = await self._votes.of(stored), self._clock.now()
            receipt = receipt_of(stored, evidence, keys=self._keys, now=now)
            made = _Made(stored.state, self._keys.current(now), receipt)
        except StoreUnavailable:
            return  # whoever claims the call will be told
        self._made[request_id] = made
        if len(self._made) > RECENT_RECEIPTS:
            self._made.popitem(last=False)
