"""The SQLite store's queue of deliveries to webhooks: claims, and what is read of it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from quorumkey_relay.store.sqlite import webhook_rows as rows

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from quorumkey_relay.store.records import WebhookAttempt, WebhookDelivery
    from quorumkey_relay.store.sqlite.reader import Reader
    from quorumkey_relay.store.sqlite.webhook_reader import Claimable
    from quorumkey_relay.store.sqlite.writer import Statement, Writer

#: Of one claim no webhook gets more than this part, so that none waits behind another's queue.
SHARES: int = 4


class WebhookQueue:
    """The part of the store that the sender of webhooks works with."""

    _writer: Writer
    _reader: Reader

    def __init__(self) -> None:
        """Start with the first webhook's turn."""
        self._claiming = asyncio.Lock()
        self._served = 0

    async def claim_webhook_deliveries(
        self, *, now: int, lease_seconds: int, limit: int, busy: Collection[str]
    ) -> Sequence[WebhookDelivery]:
        """Claim what is due; see ``Store.claim_webhook_deliveries``."""
        # The next claim reads what this one has written.
        async with self._claiming:
            while found := self._claimable(now=now, limit=limit, busy=busy):
                claimed = [one for one in found if one.row["not_after"] > now]
                late = [(one.webhook, one.event) for one in found if one.row["not_after"] <= now]
                lease = now + lease_seconds
                statements: list[Statement] = [
                    (rows.LEASE, [(lease, one.webhook, one.event) for one in claimed]),
                    (rows.GIVE_UP, list(late)),
                ]
                await self._writer.submit((), statements)
                if claimed:
                    return [rows.read_delivery(one.row, leased_until=lease) for one in claimed]
        return ()

    def _claimable(self, *, now: int, limit: int, busy: Collection[str]) -> list[Claimable]:
        """Read what may be claimed, from the webhook after the last one that had its turn."""
        share, read, turn = max(1, limit // SHARES), self._reader.webhooks.claimable, self._served
        found = read(now=now, after=turn, share=share, limit=limit, busy=busy)
        if turn and len(found) < limit:
            rest = limit - len(found)
            found += read(now=now, after=0, last=turn, share=share, limit=rest, busy=busy)
        if found:
            self._served = found[-1].webhook
        return found

    async def webhook_deliveries(
        self, *, webhook_id: str, before: str | None, limit: int
    ) -> Sequence[tuple[WebhookDelivery, Sequence[WebhookAttempt]]]:
        """Return deliveries with their attempts, newest first."""
        await self._writer.settled()
        return self._reader.webhooks.deliveries(webhook_id=webhook_id, before=before, limit=limit)

    async def webhook_delivery(
        self, *, webhook_id: str, event_id: str
    ) -> tuple[WebhookDelivery, Sequence[WebhookAttempt]] | None:
        """Return a delivery with its attempts."""
        await self._writer.settled()
        return self._reader.webhooks.delivery(webhook_id=webhook_id, event_id=event_id)
