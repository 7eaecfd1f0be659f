"""Patterns of operators against whole texts."""

from __future__ import annotations

import pytest

from quorumkey_relay.conditions.whole_text import is_pattern, matches_whole


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("BUG-[0-9]+", "BUG-12"), (".*", ""), ("a|bc", "bc"), ("(?i)bug", "BUG"), ("grün", "grün")],
    ids=["class", "anything", "either", "any case", "beyond ASCII"],
)
def test_a_whole_text_matches(pattern: str, text: str) -> None:
    """A pattern matches what it describes from the beginning to the end."""
    assert matches_whole(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("BUG-[0-9]+", "BUG-12 "),
        ("BUG-[0-9]+", "a BUG-12"),
        ("a|bc", "abc"),
        ("(?m)BUG$", "BUG\nmore"),
        ("BUG", "BUG\n"),
        (".*", "BUG\0more"),
    ],
    ids=["after", "before", "parts of both", "a line", "a line's end", "what follows a NUL"],
)
def test_a_part_of_a_text_does_not_match(pattern: str, text: str) -> None:
    """What stands before or after is part of the text, whatever it is."""
    assert not matches_whole(pattern, text)


@pytest.mark.parametrize(
    "pattern",
    ["(", "a)|(b", "(?=a)", r"(a)\1", "a{1001}", "a\0b"],
    ids=["open", "turned inside out", "look-ahead", "back-reference", "too large", "NUL"],
)
def test_what_is_no_pattern(pattern: str) -> None:
    """What RE2 does not take by itself, or not as it is written, is no pattern."""
    assert not is_pattern(pattern)


def test_no_text_keeps_a_pattern_busy() -> None:
    """A repetition inside a repetition takes no longer than any other pattern."""
    assert is_pattern("([A-Z]+-?)+")
    assert not matches_whole("([A-Z]+-?)+", "A" * 99 + "!")
