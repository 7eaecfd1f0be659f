"""``Retry-After`` of an answer: seconds, or a date (RFC 9110, section 10.2.3)."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

_SECONDS: Final = re.compile(r"[0-9]{1,9}", re.ASCII)
#: Longer than this nobody waits: a provider that asks for more is asked again after a day.
MAX_RETRY_AFTER_SECONDS: Final = 86_400


def retry_after_seconds(value: str | None, *, now: int) -> int | None:
    """Return how many seconds to wait; None where the header is absent or cannot be read.

    ``now`` is the relay's clock in seconds since the epoch, which a date is compared with. A date
    in the past, and what is not a number of seconds, is no reason to wait.
    """
    if value is None:
        return None
    text = value.strip()
    if _SECONDS.fullmatch(text):
        return min(int(text), MAX_RETRY_AFTER_SECONDS)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000" says that it is UTC, and that nobody knows where
        moment = moment.replace(tzinfo=UTC)
    wait = int(moment.timestamp()) - now
    return min(wait, MAX_RETRY_AFTER_SECONDS) if wait >= 0 else None
