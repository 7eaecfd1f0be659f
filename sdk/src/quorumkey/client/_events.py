"""The event stream without the socket: what to ask for, what came, when to ask again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from quorumkey.client._exchange import Answer, Lost, Outgoing, error_of
from quorumkey.client.webhooks import read_event
from quorumkey.errors import ProtocolError, RateLimitedError, RelayError, UnexpectedAnswerError

if TYPE_CHECKING:
    import httpx2

    from quorumkey.client._exchange import RetryPolicy
    from quorumkey.client.models import Event

__all__ = ["EventCursor"]

#: A stream is opened again at most this often in a row without an event in between before the
#: pause stops growing.
_MAX_DOUBLINGS: Final = 6


class EventCursor:
    """Where one reader of the event stream stands."""

    def __init__(self, last_event_id: str | None, retry: RetryPolicy) -> None:
        self._last = last_event_id
        self._retry = retry
        self._failures = 0
        self._retry_after: int | None = None

    def request(self) -> Outgoing:
        """Ask for the events after the last one that came."""
        headers: tuple[tuple[str, str], ...] = (("accept", "text/event-stream"),)
        if self._last is not None:
            headers = (*headers, ("last-event-id", self._last))
        return Outgoing(method="GET", path="/v1/events", headers=headers)

    def take(self, item: httpx2.ServerSentEvent | Answer | Lost) -> Event | None:
        """Read one item; None where there is no event in it.

        Raises:
            ApiError: the relay refuses for good.
            UnexpectedAnswerError: what came is no event stream of the protocol.
        """
        if isinstance(item, Lost):
            self._failures += 1
            return None
        if isinstance(item, Answer):
            error = error_of(item)
            if not isinstance(error, (RateLimitedError, RelayError)):
                raise error
            self._failures += 1
            self._retry_after = error.retry_after
            return None
        self._failures = 0
        if not item.data:
            return None
        try:
            event = read_event(item.id, item.data.encode())
        except ProtocolError as error:
            raise UnexpectedAnswerError(
                f"The relay sent an event that is no JSON: {error}"
            ) from None
        # Kept only now: an event that was not handed out must come again.
        self._last = item.id or self._last
        return event

    def pause(self) -> float:
        """Seconds to wait before the stream is opened again."""
        after, self._retry_after = self._retry_after, None
        return self._retry.pause(min(self._failures, _MAX_DOUBLINGS), after).seconds
