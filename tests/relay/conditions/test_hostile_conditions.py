"""Hostile conditions and calls: the call waits, and nobody gets an exception.

How long each takes is measured by `bench.conditions`; that it is little follows from what is held
here: most are refused by their structure, and of the others most are not evaluated at all for a
call for which they could take long.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from bench.hostile import HOSTILE, LARGE, Hostile

from quorumkey_relay.conditions import Conditions, compile_condition, why_unusable
from quorumkey_relay.conditions.condition import BUDGET_NANOSECONDS
from quorumkey_relay.conditions.cost import MAX_ROUNDS, Polynomial

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

NAMES = [hostile.name for hostile in HOSTILE]


@pytest.mark.parametrize("hostile", HOSTILE, ids=NAMES)
def test_a_hostile_condition(hostile: Hostile) -> None:
    """It is refused or evaluated within its bounds; in either case each of its calls waits."""
    conditions = Conditions()

    assert all(conditions.waits(hostile.condition, request, None) for request in hostile.requests)


@pytest.mark.parametrize(
    "name",
    [
        "a text doubled in a loop",
        "a text doubled in loops one after another",
        "a text of 3 KiB",
        "a loop in a loop",
        "a filter in a map",
        "a loop over a loop's result",
        "a large pattern made in each round",
        "a pattern with too many states",
        "a pattern of all letters",
        "a pattern that hides what it is",
        "a pattern from the call",
        "a pattern of 101 characters",
        "a pattern that is none",
        "an unknown variable",
        "an unknown function",
        "no boolean",
        "a message",
        "parentheses",
        "parentheses that stay open",
        "brackets",
        "questions",
        "a long chain of members",
        "many alternatives",
        "many elements",
        "no expression",
        "half a character",
    ],
)
def test_refused_when_it_is_added(name: str) -> None:
    """These never become a condition."""
    (hostile,) = (one for one in HOSTILE if one.name == name)

    assert why_unusable(hostile.condition) is not None


@pytest.mark.parametrize(
    ("text", "small", "large"),
    [
        ("request.l.filter(x, x == 1) != []", {"l": [0] * 300}, {"l": [0] * 2_000}),
        ("request.l.map(x, x) == []", {"l": [0] * 300}, {"l": [0] * 2_000}),
        (
            "request.l.exists(x, request.s.contains('b'))",
            {"l": [0] * 30, "s": "a" * 3_000},
            {"l": [0] * 300, "s": "a" * 30_000},
        ),
        (
            "request.l.exists(x, x.matches('a+b'))",
            {"l": ["a"] * 300},
            {"l": ["a"] * 10_000},
        ),
        ("request.s.matches('[ab]*a[ab]{60}c')", {"s": "a" * 3_000}, {"s": "a" * 60_000}),
        ("(request.l" + " + request.l" * 19 + ") == []", {"l": [0] * 300}, {"l": [0] * 30_000}),
    ],
    ids=["filter", "map", "searched", "pattern each round", "pattern", "joined"],
)
def test_a_call_for_which_it_would_take_long(
    text: str, small: dict[str, JsonValue], large: dict[str, JsonValue]
) -> None:
    """A condition that is false lets a small call pass; a large one waits without an evaluation."""
    condition = compile_condition(text)

    assert not condition.waits(small, None)
    assert condition.waits(large, None)


def test_the_budget_of_what_grows_with_its_square() -> None:
    """What may be evaluated at all has a bound, however its cost grows."""
    squared = Polynomial(nn=60)

    assert squared.at(count=LARGE, size=LARGE) > BUDGET_NANOSECONDS
    assert squared.at(count=LARGE, size=LARGE) == 60 * MAX_ROUNDS * MAX_ROUNDS
    assert squared.at(count=300, size=LARGE) < BUDGET_NANOSECONDS


def test_names_are_unique() -> None:
    """Each idea has its own name."""
    assert len(NAMES) == len(set(NAMES))


@pytest.mark.parametrize(
    "condition",
    [
        "request.host != 'web-1'",
        "!request.host.matches('^[a-z0-9-]+$')",
        "size(request.host) > 5",
        "request.host.contains('evil')",
        "request.hosts.exists(host, host != 'web-1')",
        "request != {'host': 'web-1', 'hosts': ['web-1'], 'a': {'safe': 1}}",
        "!has(request.a.safe)",
    ],
)
def test_a_nul_in_a_text_hides_nothing(condition: str) -> None:
    """A call waits where the library would see its texts or names only as far as a NUL."""
    seen: dict[str, JsonValue] = {"host": "web-1", "hosts": ["web-1"], "a": {"safe": 1}}
    hidden: dict[str, JsonValue] = {
        "host": "web-1\0evil",
        "hosts": ["web-1\0evil"],
        "a": {"safe\0evil": 1},
    }
    compiled = compile_condition(condition)

    assert not compiled.waits(seen, None)
    assert compiled.waits(hidden, None)


@pytest.mark.parametrize("text", ["\\u0000", "\\\\u0000", 'a"\\u0000', "\\"])
def test_backslashes_are_no_nul(text: str) -> None:
    """A call with a backslash before u0000, which is no NUL, is evaluated."""
    assert not compile_condition("request.a == 'x'").waits({"a": text}, {"a": text})


@pytest.mark.parametrize("text", ["\0", "\\\0", '"\0', "\\\\\0"])
def test_a_nul_after_anything_is_one(text: str) -> None:
    """A NUL in the resource is found whatever stands before it."""
    assert compile_condition("request.a == 'x'").waits({"a": ""}, {"a": text})


def test_a_pattern_with_a_nul() -> None:
    """A pattern is refused that could not be tried as it is written."""
    assert why_unusable("request.a.matches('a\\u0000(')") is not None
