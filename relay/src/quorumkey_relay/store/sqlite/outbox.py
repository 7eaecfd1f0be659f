"""The store's outbox: claiming messages for a while, and giving claims up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.store.sqlite.delivery_rows import (
    ADVANCE_DELIVERIES,
    RELEASE_DELIVERIES,
    claim_rows,
)
from quorumkey_relay.store.sqlite.webhook_rows import RELEASE_WEBHOOK_DELIVERIES

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from quorumkey_relay.store.records import Delivery
    from quorumkey_relay.store.sqlite.reader import Reader
    from quorumkey_relay.store.sqlite.writer import Writer


class OutboxStore:
    """The part of the store that holds messages to devices."""

    _reader: Reader
    _writer: Writer

    async def deliveries(self, request_id: str) -> Sequence[Delivery]:
        """Return the delivery log of a request."""
        await self._writer.settled()
        return self._reader.outbox.of_request(request_id)

    async def delivery(self, delivery_id: str) -> Delivery | None:
        """Return a delivery by id, as it is on the disk."""
        return self._reader.outbox.one(delivery_id)

    async def claim_deliveries(
        self, *, now: int, lease_seconds: int, limit: int, busy: Collection[str] = ()
    ) -> Sequence[Delivery]:
        """Claim what is queued and due; see ``Store.claim_deliveries``."""
        found = self._reader.outbox.due(now=now, limit=limit, busy=busy)
        if not found:
            return ()
        leased_until = now + lease_seconds
        await self._writer.submit((), claim_rows(found, now=now, leased_until=leased_until))
        # What was settled between the look and the claim is not among those that are claimed.
        return self._reader.outbox.claimed(found, leased_until)

    async def advance_deliveries(self, *, now: int) -> None:
        """Have nothing wait longer; see ``Store.advance_deliveries``."""
        await self._writer.submit((), [(ADVANCE_DELIVERIES, (now, now))])

    async def release_leases(self) -> None:
        """Let go of all that was claimed: at a start nobody works on it any more."""
        await self._writer.submit((), [(RELEASE_DELIVERIES, ()), (RELEASE_WEBHOOK_DELIVERIES, ())])
