"""An integrator's event stream (PROTOCOL §5 Reading, §10)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import EventRecord
    from quorumkey_relay.usecases.bulletin import Bulletin, EventFeed

EVENTS_PAGE: Final = 200
CURSOR_EXPIRED = Refusal(
    "cursor_expired", "Last-Event-ID is not kept any more; read the requests, then listen anew."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class WatchEvents:
    """Events as they become durable, after those that the caller has missed."""

    store: Store
    bulletin: Bulletin

    async def __call__(
        self, *, integrator_id: str, last_event_id: str | None
    ) -> AsyncIterator[EventRecord] | Refusal:
        """Return an endless iterator of events after ``last_event_id``, or from now on."""
        # Following begins before the look at the store, so nothing falls in between.
        feed = self.bulletin.follow(integrator_id)
        missed: list[EventRecord] = []
        if last_event_id is not None:
            page = await self._after(integrator_id, last_event_id)
            if page is None:
                return CURSOR_EXPIRED
            missed = page
        return self._follow(integrator_id, missed, feed)

    async def _after(self, integrator_id: str, event_id: str) -> list[EventRecord] | None:
        page = await self.store.events(
            integrator_id=integrator_id, after=event_id, limit=EVENTS_PAGE
        )
        return None if page is None else list(page)

    async def _follow(
        self, integrator_id: str, missed: list[EventRecord], feed: EventFeed
    ) -> AsyncIterator[EventRecord]:
        sent: set[str] = set()
        while missed:
            for event in missed:
                sent.add(event.id)
                yield event
            missed = await self._after(integrator_id, missed[-1].id) or []
        while (live := await feed.next()) is not None:
            # What the store had already and the feed has too is sent once.
            if live.id in sent:
                sent.discard(live.id)
            else:
                yield live
