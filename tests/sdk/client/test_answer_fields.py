from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import pytest

from quorumkey.client._fields import Fields
from quorumkey.errors import UnexpectedAnswerError

if TYPE_CHECKING:
    from collections.abc import Callable

    from quorumkey.protocol import JsonValue


class Colour(StrEnum):
    """An enumeration."""

    RED = "red"


FIELDS = Fields(
    {
        "text": "x",
        "number": 7,
        "flag": True,
        "nothing": None,
        "time": "2026-04-24T10:35:42Z",
        "colour": "red",
        "texts": ["a", "b"],
        "mixed": ["a", 1],
        "child": {"name": "n"},
        "children": [{"name": "a"}, {"name": "b"}],
        "named": {"a": {"n": 1}},
    }
)


def test_members_are_read() -> None:
    """Each reader answers a member of its type."""
    assert "x" == FIELDS.text("text")
    assert 7 == FIELDS.integer("number")
    assert 1_777_026_942 == FIELDS.time("time")
    assert Colour.RED is FIELDS.choice("colour", Colour)
    assert ("a", "b") == FIELDS.texts("texts")
    assert "n" == FIELDS.child("child").text("name")
    assert ["a", "b"] == [child.text("name") for child in FIELDS.children("children")]
    assert {"a": 1} == {name: item.integer("n") for name, item in FIELDS.child("named").members()}


def test_optional_members_may_be_absent_or_null() -> None:
    """An optional member that is absent or null reads as None."""
    assert [None, None] == [FIELDS.optional_text(name) for name in ("absent", "nothing")]
    assert FIELDS.optional_time("absent") is None
    assert "x" == FIELDS.optional_text("text")
    assert 1_777_026_942 == FIELDS.optional_time("time")


@pytest.mark.parametrize(
    "read",
    [
        lambda: FIELDS.text("absent"),
        lambda: FIELDS.text("number"),
        lambda: FIELDS.integer("text"),
        lambda: FIELDS.integer("flag"),
        lambda: FIELDS.time("text"),
        lambda: FIELDS.choice("text", Colour),
        lambda: FIELDS.items("text"),
        lambda: FIELDS.texts("mixed"),
        lambda: FIELDS.child("text"),
        lambda: list(FIELDS.children("texts")),
        lambda: Fields(["no", "object"]),
    ],
)
def test_misfits_are_one_error(read: Callable[[], JsonValue]) -> None:
    """A missing member, or one of another type, is an answer that is not one."""
    with pytest.raises(UnexpectedAnswerError, match="not usable"):
        read()
