"""Votes on calls as they were signed, kept at hand for the claim that is likely to follow."""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

from quorumkey_relay.store.writes import AdvanceRequest
from quorumkey_relay.usecases.protection.audit import PROFILE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.store.records import Evidence, Stored
    from quorumkey_relay.store.writes import Commit

#: Requests whose votes are kept; some 2 kB each.
RECENT_REQUESTS: Final = 2_048


class RecentVotes:
    """Hears of every vote, and reads only what it has not heard."""

    def __init__(self, store: Store) -> None:
        """Start with no vote heard."""
        self._store = store
        self._heard: OrderedDict[str, tuple[Evidence, ...]] = OrderedDict()

    def heard(self, commit: Commit) -> None:
        """Take in a durable commit."""
        for write in commit:
            if (
                isinstance(write, AdvanceRequest)
                and write.evidence
                and write.terms.profile == PROFILE
            ):
                request_id = write.terms.request_id
                self._heard[request_id] = (*self._heard.get(request_id, ()), *write.evidence)
                if len(self._heard) > RECENT_REQUESTS:
                    self._heard.popitem(last=False)

    async def of(self, stored: Stored) -> Sequence[Evidence]:
        """Return the decisions that count on a request, in the order they were counted."""
        counted = {ballot.device for ballot in stored.state.ballots.values()}
        if not counted:
            return ()
        heard = self._heard.get(stored.terms.request_id, ())
        found = [one for one in heard if one.device in counted]
        if len(found) == len(counted):
            return found
        return await self._store.evidence(stored.terms.request_id)
