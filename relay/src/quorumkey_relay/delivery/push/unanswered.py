"""What becomes of a push that no answer came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from quorumkey_relay.delivery.channel import Retry

if TYPE_CHECKING:
    from quorumkey_relay.delivery.transport import TransportFailed


def unanswered(failure: TransportFailed) -> Retry:
    """Return when to try again: at once what an open connection is known not to have processed.

    A host that cannot be reached has processed nothing either, but is not asked again at once.
    """
    if failure.processed is None:
        return Retry(None, failure.reason, ambiguous=True)
    return Retry(0 if failure.reason == "broken" else None, failure.reason)
