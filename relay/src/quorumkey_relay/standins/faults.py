"""What can go wrong with a whole stand-in, whatever the token."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_WINDOW_BYTES: Final = 65_535
DEFAULT_MAX_STREAMS: Final = 1_000
#: Apple: a provider token is to be used for at least so long.
TOKEN_UPDATE_SECONDS: Final = 1_200
TOKEN_LIFETIME_SECONDS: Final = 3_600
_LARGEST_WINDOW_BYTES: Final = 2**31 - 1


class FaultError(ValueError):
    """A fault that does not exist or has no such value; the message is a sentence."""


@dataclass(slots=True)
class Faults:
    """How a stand-in behaves as a whole; assign to change it while it serves.

    Attributes:
        delay_seconds: every answer waits so long.
        first_success_streams: a new HTTP/2 connection allows one stream until a request with a
            good credential was answered, as Apple's does.
        max_streams: what MAX_CONCURRENT_STREAMS says then.
        window_bytes: initial HTTP/2 flow-control window of each stream that the stand-in grants.
        goaway_after: each connection ends with a graceful GOAWAY at this one of its requests,
            counted from 1, which is the last that is answered.
        goaway_reason: JSON ``reason`` in that GOAWAY's debug data.
        lose_connection_after: each connection is lost at this one of its requests, unanswered.
        idle_close_seconds: a connection without open streams is closed after so long.
        is_down: connections are refused, those that stand are lost.
        answer_status: every push is answered with this status and no body.
        gone_timestamp_ms: the ``timestamp`` of every 410; None says now, or what the token says.
        token_update_seconds: APNs takes a new provider token only so long after the last new one,
            whatever the connection; 0 takes any.
        token_lifetime_seconds: how long access tokens of the OAuth endpoint are good.
        token_status: the OAuth endpoint answers with this status and ``temporarily_unavailable``.
        token_delay_seconds: the OAuth endpoint waits so long.
        retry_after_seconds: what Retry-After says in answers that have it.
    """

    delay_seconds: float = 0.0
    first_success_streams: bool = False
    max_streams: int = DEFAULT_MAX_STREAMS
    window_bytes: int = DEFAULT_WINDOW_BYTES
    goaway_after: int | None = None
    goaway_reason: str | None = None
    lose_connection_after: int | None = None
    idle_close_seconds: float | None = None
    is_down: bool = False
    answer_status: int | None = None
    gone_timestamp_ms: int | None = None
    token_update_seconds: int = TOKEN_UPDATE_SECONDS
    token_lifetime_seconds: int = TOKEN_LIFETIME_SECONDS
    token_status: int | None = None
    token_delay_seconds: float = 0.0
    retry_after_seconds: int = 1
    #: Called after each change.
    on_change: Callable[[], None] | None = dataclasses.field(
        default=None, repr=False, compare=False
    )

    def __setattr__(self, name: str, value: object) -> None:
        """Set a fault and let the stand-in know."""
        object.__setattr__(self, name, value)
        tell = getattr(self, "on_change", None)
        if tell is not None:
            tell()

    def change(self, values: Mapping[str, object]) -> None:
        """Set several by name; a name or value that cannot be raises ``FaultError``."""
        for name, value in values.items():
            _check(name, value)
        for name, value in values.items():
            setattr(self, name, value)

    def to_json(self) -> dict[str, object]:
        """Return the faults as a JSON object."""
        return {name: getattr(self, name) for name in _KINDS}


_NUMBER: Final = (int, float)
#: What each fault may be, and whether null.
_KINDS: Final[dict[str, tuple[tuple[type, ...], bool]]] = {
    "delay_seconds": (_NUMBER, False),
    "first_success_streams": ((bool,), False),
    "max_streams": ((int,), False),
    "window_bytes": ((int,), False),
    "goaway_after": ((int,), True),
    "goaway_reason": ((str,), True),
    "lose_connection_after": ((int,), True),
    "idle_close_seconds": (_NUMBER, True),
    "is_down": ((bool,), False),
    "answer_status": ((int,), True),
    "gone_timestamp_ms": ((int,), True),
    "token_update_seconds": ((int,), False),
    "token_lifetime_seconds": ((int,), False),
    "token_status": ((int,), True),
    "token_delay_seconds": (_NUMBER, False),
    "retry_after_seconds": ((int,), False),
}


def _check(name: str, value: object) -> None:
    if name not in _KINDS:
        message = f"{name} is no fault; there are {', '.join(_KINDS)}."
        raise FaultError(message)
    kinds, may_be_null = _KINDS[name]
    if value is None and may_be_null:
        return
    is_wrong_bool = isinstance(value, bool) != (kinds == (bool,))
    if is_wrong_bool or not isinstance(value, kinds) or not _in_range(value):
        words = " or ".join(kind.__name__ for kind in kinds) + (" or null" if may_be_null else "")
        message = f"{name} must be {words}, and not negative."
        raise FaultError(message)


def _in_range(value: object) -> bool:
    return not isinstance(value, _NUMBER) or 0 <= value <= _LARGEST_WINDOW_BYTES * 1_000
