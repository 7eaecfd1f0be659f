"""Pushes that no answer came to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.delivery.channel import Retry
from quorumkey_relay.delivery.push.unanswered import unanswered
from quorumkey_relay.delivery.transport import TransportFailed

if TYPE_CHECKING:
    from quorumkey_relay.delivery.transport import FailureReason


@pytest.mark.parametrize("reason", ["timeout", "broken"])
def test_what_may_have_been_processed_is_ambiguous(reason: FailureReason) -> None:
    """A push that was lost on the way back may have arrived."""
    assert Retry(None, reason, ambiguous=True) == unanswered(
        TransportFailed(reason, processed=None)
    )


def test_what_was_refused_on_an_open_connection_goes_out_at_once() -> None:
    """A stream that the other side never looked at costs no wait."""
    assert Retry(0, "broken") == unanswered(TransportFailed("broken", processed=False))


@pytest.mark.parametrize("reason", ["timeout", "unreachable"])
def test_nobody_is_called_again_at_once(reason: FailureReason) -> None:
    """Where no connection was made the schedule says when to try again."""
    assert Retry(None, reason) == unanswered(TransportFailed(reason, processed=False))
