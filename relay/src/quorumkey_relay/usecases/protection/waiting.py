"""How many calls may wait at the same time, so that nobody keeps the others from being asked.

Every administrator stands in every call, so what bounds ordinary requests, how many of them name
one device, would have one caller stop all others. Calls are counted by who calls instead, and
apart from ordinary requests; what governs protection itself is counted apart from everything else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey_relay.domain.lifecycle import status_at
from quorumkey_relay.domain.model import Status
from quorumkey_relay.domain.refusal import Refusal

if TYPE_CHECKING:
    from collections.abc import Collection

    from quorumkey_relay.store.protocol import Store
    from quorumkey_relay.usecases.protection.gate import GatedCall

#: Calls of services: of one caller, and of all callers of one integrator.
MAX_PENDING_PER_CALLER: Final = 20
MAX_PENDING_CALLS: Final = 500
#: Calls of the relay's own governing methods, of one administrator or API key of scope admin.
MAX_PENDING_GOVERNING: Final = 10


def waiting_limit(call: GatedCall, store: Store, *, now: int) -> Refusal | None:
    """Return why one more call cannot wait; None where it can."""
    governs = call.executor == "builtin"
    limit = MAX_PENDING_GOVERNING if governs else MAX_PENDING_PER_CALLER
    own = store.waiting_calls(call.integrator.id, executor=call.executor, caller=call.caller)
    refused = _full(own, limit, f"{limit} calls of this caller", store, now)
    if refused is not None or governs:
        return refused
    every = store.waiting_calls(call.integrator.id, executor=call.executor)
    limit = MAX_PENDING_CALLS
    return _full(every, limit, f"{limit} calls of this integrator's services", store, now)


def _full(
    waiting: Collection[str], limit: int, those: str, store: Store, now: int
) -> Refusal | None:
    if len(waiting) < limit:
        return None
    # Only now are they looked at: the time of some may be over and nobody has written that down.
    found = [stored for one in waiting if (stored := store.find_pending(one)) is not None]
    ends = [
        stored.terms.expires_at
        for stored in found
        if status_at(stored.terms, stored.state, now) is Status.PENDING
    ]
    if len(ends) < limit:
        return None
    return Refusal(
        "rate_limited",
        f"{those} wait for approval already; one of them has to be decided or cancelled first.",
        {"limit": limit},
        retry_after=max(1, min(ends) - now),
    )
