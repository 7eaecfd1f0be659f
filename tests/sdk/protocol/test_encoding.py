from __future__ import annotations

import pytest

from quorumkey.errors import ProtocolError
from quorumkey.protocol import (
    JsonValue,
    b64decode,
    b64url_decode,
    check_time,
    format_time,
    json_equal,
)


def test_base64_of_a_length() -> None:
    """A value of another length than asked for is refused, in both alphabets."""
    assert b"abc" == b64decode("YWJj", field="x", length=3)
    assert b"abc" == b64url_decode("YWJj", field="x", length=3)
    for read in (b64decode, b64url_decode):
        with pytest.raises(ProtocolError, match="x must be 4 bytes in base64"):
            read("YWJj", field="x", length=4)


@pytest.mark.parametrize("seconds", [-62_135_596_801, 253_402_300_800, 10**20, True, 1.0, "1"])
def test_times_outside_the_calendar(seconds: object) -> None:
    """What is no int in the years 1 to 9999 is no time."""
    with pytest.raises(ProtocolError, match="x must be whole seconds"):
        check_time(seconds, field="x")


def test_format_time_refuses_what_it_cannot_write() -> None:
    """A time beyond the year 9999 is refused, not written in another form."""
    with pytest.raises(ProtocolError, match="years 1 to 9999"):
        format_time(253_402_300_800)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (None, None),
        (1, 1),
        ("a", "a"),
        (False, False),
        ([1, [2]], [1, [2]]),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ],
)
def test_equal_values(one: JsonValue, other: JsonValue) -> None:
    """Values of one type and value are equal, members in any order."""
    assert json_equal(one, other)
    assert json_equal(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (0, False),
        (1, "1"),
        (None, False),
        (None, 0),
        ("", None),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ([], {}),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 2}),
        ({"a": [1]}, {"a": [True]}),
    ],
)
def test_unequal_values(one: JsonValue, other: JsonValue) -> None:
    """Values that differ in type, order of a list or members are not equal."""
    assert not json_equal(one, other)
    assert not json_equal(other, one)
