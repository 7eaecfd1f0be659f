"""Moments that a caller gives: they say in which time zone they are, or they say nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["require_aware"]


def require_aware(moment: datetime, what: str = "now") -> None:
    """Refuse a moment without a time zone.

    Args:
        moment: what the caller gave.
        what: the argument's name, for the message.

    Raises:
        ValueError: it has none, so nobody can say when it is.
    """
    if moment.utcoffset() is None:
        msg = f"{what} must be aware: it needs a time zone"
        raise ValueError(msg)
