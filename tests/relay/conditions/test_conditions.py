"""Conditions: what is taken, what a call waits for, and that nothing else lets it pass."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from quorumkey_relay.conditions import (
    ConditionError,
    Conditions,
    compile_condition,
    why_unusable,
)
from quorumkey_relay.conditions.condition import MAX_CONDITION_BYTES

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

GLOBAL = 'request.rule.tag == "global"'


def refusal(text: str) -> ConditionError:
    """Why a condition is refused."""
    with pytest.raises(ConditionError) as refused:
        compile_condition(text)
    return refused.value


# What a call waits for


@pytest.mark.parametrize(
    ("text", "request_", "waits"),
    [
        (GLOBAL, {"rule": {"tag": "global"}}, True),
        (GLOBAL, {"rule": {"tag": "finance"}}, False),
        ('request.hosts.exists(h, h.startsWith("db"))', {"hosts": ["web1", "db1"]}, True),
        ('request.hosts.exists(h, h.startsWith("db"))', {"hosts": ["web1"]}, False),
        ("has(request.force) && request.force", {"force": False}, False),
        ("has(request.force) && request.force", {}, False),
        ("request.count > 5", {"count": 6}, True),
        ("request.count > 5", {"count": 5}, False),
        ('!(request.tag in ["a", "b"])', {"tag": "c"}, True),
        ('!(request.tag in ["a", "b"])', {"tag": "a"}, False),
        ('request.labels.exists(k, request.labels[k] == "x")', {"labels": {"a": "x"}}, True),
        ('request.labels.exists(k, request.labels[k] == "x")', {"labels": {"a": "y"}}, False),
        ("size(request.name) > 3", {"name": "Ængs"}, True),
        ("size(request.name) > 3", {"name": "Æng"}, False),
        ('timestamp(request.at) > timestamp("2026-01-01T00:00:00Z")', {"at": "nonsense"}, True),
        ('duration(request.for_) > duration("1h")', {"for_": "30m"}, False),
        (
            "request.hosts.filter(h, h != request.own).size() > 1",
            {"hosts": ["a"], "own": "a"},
            False,
        ),
        ('request.host.matches("^db-[0-9]{1,3}$")', {"host": "db-12"}, True),
        ('request.host.matches("^db-[0-9]{1,3}$")', {"host": "web"}, False),
        ("request.n == 1", {"n": True}, False),
        ("request == resource", {}, True),
        ("request.empty == null", {"empty": None}, True),
    ],
    ids=str,
)
def test_a_condition_over_the_request(
    text: str, request_: dict[str, JsonValue], *, waits: bool
) -> None:
    """A call waits where the condition is true for it, and passes where it is false."""
    assert compile_condition(text).waits(request_, None) is waits


@pytest.mark.parametrize(("tag", "waits"), [("global", True), ("finance", False)])
def test_a_condition_over_the_resource(tag: str, *, waits: bool) -> None:
    """What the call acts on is a variable of its own."""
    condition = compile_condition('resource.tag == "global"')

    assert condition.waits({}, {"tag": tag}) is waits


def test_no_resource() -> None:
    """Where nothing was resolved the resource is an empty object."""
    assert compile_condition("resource.tag == 'global'").waits({}, None)
    assert not compile_condition("has(resource.tag)").waits({}, None)


def test_no_condition() -> None:
    """An empty condition has every call wait."""
    condition = compile_condition("")

    assert condition.waits({"anything": 1}, None)
    assert condition.waits(None, None)


@pytest.mark.parametrize(
    "request_",
    [None, [], "text", 5, True],
    ids=repr,
)
def test_a_request_that_is_no_object(request_: JsonValue) -> None:
    """What cannot be looked at waits, even under a condition that is always false."""
    assert compile_condition("false").waits(request_, None)


@pytest.mark.parametrize(
    ("text", "request_"),
    [
        ("request.nowhere != 1", {}),
        ("request.rule.tag != 'a'", {"rule": 5}),
        ("request.a < 1", {"a": "text"}),
        ("request.a", {"a": False}),
        ("1 / request.a == 1", {"a": 0}),
        ("request.l[3] == 1", {"l": [1]}),
        ("int(request.a) == 1", {"a": "one"}),
        ("request.a == 1", {"a": 2**64}),
        ("request.a == 1", {"a": object()}),
        ("request.a == 1", {1: 1}),
        ("request.a == 1", {"a": float("nan"), "b": {2}}),
        ("request.l.exists(x, x == 1)", {"l": [0] * 10_001}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_evaluated(text: str, request_: dict[str, JsonValue]) -> None:
    """An error, a missing member, another type or too many rounds: the call waits."""
    condition = Conditions()

    assert condition.waits(text, request_, None)


def test_an_error_is_not_taken_for_true() -> None:
    """The library's error has a text as its plain form; negated it still waits."""
    text = "request.a == 1"

    assert compile_condition(text).waits({}, None)
    assert compile_condition(f"!({text})").waits({}, None)


def test_a_request_at_the_limit() -> None:
    """A request of 64 KiB as JSON is looked at, a larger one waits."""
    condition = compile_condition("request.a == ''")
    frame = len('{"a":""}')

    assert not condition.waits({"a": "x" * (65_536 - frame)}, None)
    assert condition.waits({"a": "x" * (65_537 - frame)}, None)
    assert condition.waits({}, {"a": "x" * 65_537})


def test_brackets_in_a_text_are_not_depth() -> None:
    """A text of brackets is a text; 32 containers may stand in each other, 33 wait."""
    condition = compile_condition("has(request.no)")
    deepest: JsonValue = 1
    for _ in range(31):
        deepest = [deepest]

    assert not condition.waits({"a": "[" * 1_000}, None)
    assert not condition.waits({"a": deepest}, None)
    assert condition.waits({"a": [deepest]}, None)


# What is refused when it is added


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("request.a", "it has the type DYN, and has to be true or false (BOOL): compare it"),
        ("1", "it has the type INT, and has to be true or false (BOOL): compare it"),
        ("true == 1", "no matching overload"),
        ("rule.tag == 'a'", "'rule.tag'; a condition knows request and resource (line 1, column"),
        ("request.a +", "Syntax error"),
        (" ", "Syntax error"),
        ("request.a.map(x, x.map(y, y)) == []", "stands inside another"),
        ("request.a.filter(x, x == 1).exists(y, y == 1)", "runs over another's result"),
        ("request.a.exists(request, .request.b.contains('c'))", "cannot be called request"),
        ("request.a.map(x, x + x) == []", "+ stands inside a loop"),
        ("request.a.exists(x, x.matches(request.b))", "has to be written out"),
        ("request.a.matches('" + "a" * 101 + "')", "at most 100 characters"),
        ("request.a.matches('(')", "'(' is no pattern (RE2)"),
        ("timestamp(request.a).getHours(request.b) == 1", "a time zone has to be written out"),
        ("timestamp(request.a).getHours('../../etc/passwd') == 1", "has to be written out"),
        ("google.protobuf.Struct{} == request.a", "messages such as google.protobuf.Struct"),
        (" || ".join(["request.a == 1"] * 60), "at most 200 are allowed"),
        ("request.a.all(x, request.b.contains(request.c))", "it could take too long"),
        ("'\ud800' == request.a", "half a character"),
        ("'" + "a" * MAX_CONDITION_BYTES + "' == request.a", "at most 2048 are allowed"),
    ],
    ids=lambda value: value[:30].encode("ascii", "backslashreplace").decode(),
)
def test_what_is_refused(text: str, said: str) -> None:
    """What is no boolean, too large, or cannot be bounded is refused with the reason."""
    assert said in str(refusal(text))
    assert str(refusal(text)) == why_unusable(text)


def test_the_limit_of_the_text() -> None:
    """The text has 2 KiB at most, in bytes; at the limit it is taken."""
    text = "request.a == '" + "a" * (MAX_CONDITION_BYTES - 15) + "'"

    assert MAX_CONDITION_BYTES == len(text)
    assert why_unusable(text) is None
    assert why_unusable(text.replace("a'", "aa'")) is not None
    assert "2049" in str(refusal(text.replace("aa'", "aé'")))


def test_where_in_the_text() -> None:
    """A mistake is told with line and column, both from 1."""
    refused = refusal("request.a == 1 ||\n  rule.tag == 'b'")

    assert refused.position is not None
    assert 2 == refused.position.line
    assert f"(line 2, column {refused.position.column})" in str(refused)


def test_no_place_in_the_text() -> None:
    """What is wrong with the whole has no position."""
    assert refusal("request.a").position is None


def test_control_characters_are_not_repeated() -> None:
    """What the library says of a text is one printable line."""
    said = str(refusal("request.a == '\x1b[31m\n"))

    assert said.isprintable()


@pytest.mark.parametrize(
    "text",
    [
        "timestamp(request.a).getHours('Europe/Berlin') < 8",
        "timestamp(request.a).getHours('+02:00') < 8",
        "timestamp(request.a).getHours() < 8",
        "[1, 2, 3].exists(x, x == request.a)",
        "{'a': 1}.a == request.a",
        "request.a.all(x, x in request.b)",
        "request.a.map(x, x.name) == ['b']",
        "request.a.exists_one(x, x == 1)",
        "string(request.a) == '1' && bytes('a') == b'a'",
        "(request.a + request.b) == 'ab'",
        "type(request.a) == string",
        "-request.a % 2 == 1 ? true : false",
        "request['a'].contains('b') || request.a.endsWith('c')",
    ],
)
def test_what_is_taken(text: str) -> None:
    """What people write is taken."""
    assert why_unusable(text) is None


# Many conditions


def test_a_condition_that_cannot_be_used_any_more() -> None:
    """A stored condition that is refused today has its calls wait."""
    assert Conditions().waits("request.a ||", {"a": False}, None)


def test_conditions_are_forgotten() -> None:
    """Only so many are kept; one that was forgotten is compiled again."""
    conditions = Conditions(limit=2)
    texts = [f"request.a == {number}" for number in (1, 2, 3, 1)]

    assert [True, False, False, True] == [conditions.waits(text, {"a": 1}, None) for text in texts]
    assert 2 == len(conditions)


def test_conditions_are_compiled_once() -> None:
    """The same text is the same condition."""
    conditions = Conditions()
    for _ in range(3):
        conditions.waits(GLOBAL, {}, None)

    assert 1 == len(conditions)
