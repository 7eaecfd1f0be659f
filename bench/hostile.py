"""Conditions and calls that are made to take long, one of each idea that anybody had.

Each has to end within 50 ms of CPU, with the call waiting: refused when the condition is added, or
not evaluated for this call, or evaluated with an error. The tests hold that the call waits, the
benchmark how long it takes.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from quorumkey.protocol import JsonValue

#: What conditions can be evaluated for, and a little less.
LARGE: Final = 65_000
_MIDDLE: Final = 12_000

Call = dict[str, JsonValue]
_NOTHING: Final[Call] = {}


@dataclass(frozen=True, slots=True)
class Hostile:
    """A condition, and the calls for which it takes longest."""

    name: str
    condition: str
    requests: tuple[Call, ...] = (_NOTHING,)


def _nested(depth: int) -> JsonValue:
    value: JsonValue = 1
    for _ in range(depth):
        value = [value]
    return value


def _copies(value: JsonValue, length: int) -> list[JsonValue]:
    return [value] * length


def _zeros(length: int) -> list[JsonValue]:
    return _copies(0, length)


def _text(size: int) -> str:
    return "".join(random.Random(size).choice("ab") for _ in range(size))  # noqa: S311 - no secret


_TEXTS: Final[tuple[Call, ...]] = tuple(
    {"s": _text(size), "t": "b"} for size in (2_000, _MIDDLE, LARGE)
)
_LISTS: Final[tuple[Call, ...]] = tuple(
    {"l": _zeros(size // 3), "m": _zeros(1)} for size in (2_000, _MIDDLE, LARGE)
)
_BOTH: Final[tuple[Call, ...]] = tuple(
    {"l": _zeros(size // 6), "m": _zeros(size // 6), "s": "a" * (size // 3), "t": "a" * 9 + "b"}
    for size in (2_000, _MIDDLE, LARGE)
)
_OBJECT: Final[JsonValue] = {"a": [1, {}]}
_OBJECTS: Final[tuple[Call, ...]] = tuple(
    {"l": _copies(_OBJECT, size // 30)} for size in (_MIDDLE, LARGE)
)

HOSTILE: Final = (
    # what a text is made of
    Hostile("10 MB as a request", "request.s == 'x'", ({"s": "x" * 10_000_000},)),
    Hostile("10 MB as a list", "request.l == []", ({"l": _zeros(5_000_000)},)),
    Hostile(
        "a text doubled in a loop",
        "[request.s].map(x, x + x + x + x)[0] == ''",
        _TEXTS,
    ),
    Hostile(
        "a text doubled in loops one after another",
        "[request.s]" + ".map(x, x + x)" * 18 + "[0] == ''",
        _TEXTS,
    ),
    Hostile(
        "a text joined 25 times", "(" + "+".join(["request.s"] * 25) + ") == 'x' || true", _TEXTS
    ),
    Hostile("a list joined 25 times", "(" + "+".join(["request.l"] * 25) + ") != []", _LISTS),
    Hostile("a text of 3 KiB", f"request.s != '{'a' * 3_000}'", _TEXTS),
    # loops
    Hostile("a loop in a loop", "request.l.all(x, request.l.all(y, x == y))", _LISTS),
    Hostile("a filter in a map", "request.l.map(x, request.l.filter(y, y == x)) != []", _LISTS),
    Hostile("a loop over a loop's result", "request.l.map(x, [x, x]).all(y, y != [])", _LISTS),
    Hostile("a loop without an end", "request.l.exists(x, x == 1) || true", _LISTS),
    Hostile("what map collects", "request.l.map(x, x) != []", _LISTS),
    Hostile("what filter collects", "request.l.filter(x, x == 0) != []", _LISTS),
    Hostile("a text searched in each round", "request.l.all(x, !request.s.contains('c'))", _BOTH),
    Hostile("a list searched in each round", "request.l.all(x, !(1 in request.m))", _BOTH),
    Hostile("two lists compared in each round", "request.l.all(x, request.l == request.m)", _BOTH),
    Hostile("a pattern made in each round", "request.l.all(x, !request.t.matches('a+c'))", _BOTH),
    Hostile(
        "a large pattern made in each round",
        "request.l.all(x, !request.t.matches('" + "." * 90 + "c'))",
        _BOTH,
    ),
    Hostile(
        "a time zone in each round",
        ("request.l.all(x, timestamp('2020-01-01T00:00:00Z').getHours('Europe/Nowhere') != 99)"),
        _LISTS,
    ),
    Hostile("lists of lists", "request.l.map(x, request.l) == request.l.map(x, request.l)", _LISTS),
    # patterns
    Hostile("a pattern that would go back", "!request.s.matches('(a|b|ab)*c')", _TEXTS),
    Hostile("a pattern with many states", "!request.s.matches('[ab]*a[ab]{60}c')", _TEXTS),
    Hostile(
        "a pattern with too many states", "!request.s.matches('((a{0,60}){0,60}){0,9}c')", _TEXTS
    ),
    Hostile("a pattern of all letters", r"!request.s.matches(r'\pL{60}\pN{60}')", _TEXTS),
    Hostile("a pattern that hides what it is", r"!request.s.matches(r'\Q[\E(a{60}){60}')", _TEXTS),
    Hostile("a pattern from the call", "!request.s.matches(request.t)", _TEXTS),
    Hostile("a pattern of 101 characters", "!request.s.matches('" + "a" * 101 + "')", _TEXTS),
    Hostile("a pattern that is none", "request.s.matches('(')", _TEXTS),
    Hostile(
        "a text searched for a text",
        "!request.s.contains(request.t)",
        ({"s": "a" * 40_000, "t": "a" * 20_000 + "b"},),
    ),
    # what is read as something else
    Hostile("a number of 60,000 digits", "int(request.s) != 1", ({"s": "9" * 60_000},)),
    Hostile(
        "a fraction of 60,000 digits", "double(request.s) >= 0.0 || true", ({"s": "9" * 60_000},)
    ),
    Hostile(
        "a moment that is none",
        "timestamp(request.s) != timestamp(request.s)",
        (
            {"s": "9" * 60_000},
            {"s": "2026-13-41T99:99:99Z"},
        ),
    ),
    Hostile(
        "a duration without an end",
        "duration(request.s) != duration('0s') || true",
        (
            {"s": "1s" * 30_000},
            {"s": "9" * 60_000 + "h"},
        ),
    ),
    Hostile("integers beyond 64 bits", "request.n != 1", ({"n": 2**63}, {"n": -(2**80)})),
    Hostile("an integer that overflows", "request.n + 9223372036854775807 != 1", ({"n": 2**53},)),
    Hostile("a division by zero", "1 / request.n != 1", ({"n": 0},)),
    # what is not there, or something else
    Hostile("an unknown member", "request.nowhere.at.all != 1", ({}, {"nowhere": {}})),
    Hostile("an unknown variable", "requests.rule.tag != 'global'"),
    Hostile("an unknown function", "request.s.reverse() != ''"),
    Hostile("a member of a number", "request.n.tag != 1", ({"n": 1},)),
    Hostile("an index beyond the end", "request.l[99] != 1", ({"l": [1]},)),
    Hostile("no boolean", "request.s", ({"s": "true"}, {"s": True})),
    Hostile(
        "a boolean that is none", "request.s ? true : true", ({"s": "false"}, {"s": 0}, {"s": None})
    ),
    Hostile("a message", "google.protobuf.Struct{fields: {}} != request.s", ({"s": {}},)),
    # depth
    Hostile("parentheses", "(" * 1_000 + "true" + ")" * 1_000),
    Hostile("parentheses that stay open", "(" * 2_000),
    Hostile("brackets", "[" * 1_000 + "]" * 1_000 + " != []"),
    Hostile("questions", "true ? true : " * 140 + "true"),
    Hostile("comparisons", "(" * 25 + "true" + " == true)" * 25 + " || true"),
    Hostile("negations", "!" * 2_000 + "true"),
    Hostile("a long chain of members", "request" + ".a" * 900 + " == 1"),
    Hostile("many alternatives", " || ".join(["request.a.b.c == 1"] * 90)),
    Hostile("many elements", "[" + ",".join(["1"] * 900) + "] != []"),
    Hostile("a call nested 60 deep", "request.l != []", ({"l": _nested(60)},)),
    Hostile("a call nested 30,000 deep", "request.l != []", ({"l": _nested(30_000)},)),
    # what is no text
    Hostile("no expression", "\x00\x01\x02" * 500),
    Hostile("half a character", "'\ud800' == request.s"),
    Hostile("half a character in the call", "request.s != ''", ({"s": "\ud800"},)),
    Hostile("many objects", "request.l.all(x, x.a != [1])", _OBJECTS),
)
