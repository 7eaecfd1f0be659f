"""Typed reading of the relay's unsigned answers.

PROTOCOL §2: a client ignores unknown members of unsigned answers. What it does read must have the
promised type, or the answer is not one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from quorumkey.errors import ProtocolError, UnexpectedAnswerError
from quorumkey.protocol.encoding import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from enum import StrEnum

    from quorumkey.protocol.encoding import JsonValue

__all__ = ["Fields"]

E = TypeVar("E", bound="StrEnum")


class Fields:
    """One JSON object of an answer; each reader raises `UnexpectedAnswerError` on a misfit."""

    __slots__ = ("_members", "_where")

    def __init__(self, value: JsonValue, where: str = "the answer") -> None:
        if not isinstance(value, dict):
            raise UnexpectedAnswerError(f"The relay's answer is not usable: {where} is no object.")
        self._members = value
        self._where = where

    def as_json(self) -> JsonValue:
        """The whole object."""
        return self._members

    def has(self, name: str) -> bool:
        """Whether the member is there and not null."""
        return self._members.get(name) is not None

    def raw(self, name: str) -> JsonValue:
        """The member as it came; it must be there."""
        if name not in self._members:
            raise self._misfit(name, "is missing")
        return self._members[name]

    def text(self, name: str) -> str:
        """A string."""
        value = self.raw(name)
        if not isinstance(value, str):
            raise self._misfit(name, "is no string")
        return value

    def optional_text(self, name: str) -> str | None:
        """A string, or None where the member is absent."""
        return self.text(name) if self.has(name) else None

    def integer(self, name: str) -> int:
        """An integer; a boolean is none."""
        value = self.raw(name)
        if not isinstance(value, int) or isinstance(value, bool):
            raise self._misfit(name, "is no integer")
        return value

    def flag(self, name: str) -> bool:
        """A boolean, false where the member is absent."""
        value = self.raw(name) if self.has(name) else False
        if not isinstance(value, bool):
            raise self._misfit(name, "is no boolean")
        return value

    def time(self, name: str) -> int:
        """A time of the protocol, as seconds since the epoch."""
        try:
            return parse_time(self.text(name), field=name)
        except ProtocolError:
            raise self._misfit(name, "is no time") from None

    def optional_time(self, name: str) -> int | None:
        """A time, or None where the member is absent."""
        return self.time(name) if self.has(name) else None

    def choice(self, name: str, kind: type[E]) -> E:
        """One of an enumeration's values."""
        try:
            return kind(self.text(name))
        except ValueError:
            raise self._misfit(name, "has an unknown value") from None

    def items(self, name: str) -> list[JsonValue]:
        """A list of anything."""
        value = self.raw(name)
        if not isinstance(value, list):
            raise self._misfit(name, "is no list")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list of strings."""
        values = self.items(name)
        texts = tuple(value for value in values if isinstance(value, str))
        if len(texts) != len(values):
            raise self._misfit(name, "is no list of strings")
        return texts

    def child(self, name: str) -> Fields:
        """An object."""
        return Fields(self.raw(name), name)

    def children(self, name: str) -> Iterator[Fields]:
        """A list of objects."""
        return (Fields(value, name) for value in self.items(name))

    def members(self) -> Iterator[tuple[str, Fields]]:
        """Every member, each of which must be an object."""
        return ((name, Fields(value, name)) for name, value in self._members.items())

    def _misfit(self, name: str, what: str) -> UnexpectedAnswerError:
        return UnexpectedAnswerError(
            f"The relay's answer is not usable: {name} of {self._where} {what}."
        )
