"""What ``show`` prints: sections of names and values."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Section", "Value", "milliseconds", "named", "said"]

Value: TypeAlias = "str | int | bool | bytes | datetime | Sequence[str] | None"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Section:
    """A heading, and names with their values in order.

    Attributes:
        title: the heading.
        values: name → what stands there, as text.
    """

    title: str
    values: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, name: str, value: Value) -> None:
        """Add a value; None, which stands for absent, is left out."""
        if value is not None:
            self.values[name] = said(value)


def said(value: Value) -> str:
    """Return a value as people read it: bytes in hex, times in UTC."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, bytes):
        return value.hex() or "(empty)"
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return str(value)
    return "" if value is None else ", ".join(value)


def named(number: int, names: dict[int, str]) -> str:
    """Return a number of a closed list with its name, ``4 (App Store)``."""
    return f"{number} ({names.get(number, 'unknown')})"


def milliseconds(value: int) -> str:
    """Return a time in milliseconds since the Unix epoch as a time, where it is one."""
    try:
        return said(_EPOCH + timedelta(milliseconds=value))
    except OverflowError:
        return f"{value} ms after 1970: no date"
