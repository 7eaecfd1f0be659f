"""Properties of conditions over generated texts and calls: they refuse or answer, nothing else."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from quorumkey_relay.conditions import (
    ConditionError,
    Conditions,
    compile_condition,
    why_unusable,
)
from quorumkey_relay.conditions.pattern import MAX_PATTERN_WEIGHT, weight_of
from quorumkey_relay.conditions.tree import TreeError, read_tree

if TYPE_CHECKING:
    from quorumkey.protocol import JsonValue

_words = st.sampled_from(
    [
        *("request", "resource", "x", "true", "false", "null", "1", "2u", "1.5", "'a'", "b'a'"),
        *(".a", ".b", "[0]", "['a']", "(", ")", "[", "]", "{", "}", ",", ":", "?", " ", "!"),
        *("==", "!=", "<", "in ", "&&", "||", "+", "-", "*", "/", "%", "'a+'", "r'\\d'"),
        *(".all(x,", ".exists(x,", ".map(x,", ".filter(x,", ".matches(", ".contains(", "size("),
        *("timestamp(", "duration(", "int(", "string(", "has(", ".getHours("),
    ]
)
_texts = st.text(max_size=60) | st.lists(_words, max_size=25).map("".join)

_like_each_other = st.text("a\0\\u0é\u2028", max_size=4)
_names = st.sampled_from(["a", "b", "c"])
_leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.text(max_size=8)
    | st.sampled_from(["a", "aaaa", "2026-01-01T00:00:00Z", "1h", "\ud800"])
)
_values: st.SearchStrategy[JsonValue] = st.recursive(
    _leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_names, inner, max_size=3),
    max_leaves=12,
)
_objects = st.dictionaries(_names, _values, max_size=3)

# Expressions that are built so that most of them are taken.
_operands = st.sampled_from(
    [
        *("request.a", "request.b", "resource.a", "request", "1", "'a'", "[1, 'a']", "{'a': 1}"),
        *("request.a[0]", "request.a.b", "request.a + request.b", "string(request.a)"),
        *("request.a.map(x, x)", "request.a.filter(x, x == 1)", "size(request.a)"),
    ]
)
_comparisons = st.builds(
    "({} {} {})".format, _operands.map("dyn({})".format), st.sampled_from(["==", "!="]), _operands
)
_tests = st.sampled_from(
    [
        *("has(request.a)", "request.a.exists(x, x == 'a')", "request.a.all(x, x.b == 1)"),
        *("request.a.matches('a+')", "request.a.contains('a')", "request.a < request.b"),
        *("timestamp(request.a) > timestamp(request.b)", "1 / request.a == 1"),
    ]
)
_expressions = st.recursive(
    _comparisons | _tests,
    lambda inner: (
        st.builds("({} {} {})".format, inner, st.sampled_from(["&&", "||"]), inner)
        | inner.map("!{}".format)
    ),
    max_leaves=5,
)


@given(text=_texts)
def test_any_text_is_taken_or_refused(text: str) -> None:
    """Nothing but a `ConditionError` comes of a text that is no condition."""
    with suppress(ConditionError):
        assert text == compile_condition(text).text
    reason = why_unusable(text)
    assert reason is None or reason


@given(text=_texts | _expressions, request_=_values, resource=st.none() | _objects)
def test_any_call_waits_or_passes(
    text: str, request_: JsonValue, resource: dict[str, JsonValue] | None
) -> None:
    """Whatever the condition and the call are, the answer is a plain boolean."""
    conditions = Conditions()

    answers = [conditions.waits(text, request_, resource) for _ in range(2)]

    assert answers[0] is answers[1]
    assert answers[0] in {True, False}


@given(text=_expressions, request_=_objects, resource=_objects)
def test_a_condition_and_its_negation_never_pass_both(
    text: str, request_: dict[str, JsonValue], resource: dict[str, JsonValue]
) -> None:
    """Where one of them is false the other is true; where neither can be evaluated both wait."""
    with suppress(ConditionError):
        either = compile_condition(text)
        other = compile_condition(f"!({text})")
        assert either.waits(request_, resource) or other.waits(request_, resource)


@given(mine=_like_each_other, other=_like_each_other)
def test_different_texts_are_never_taken_for_one(mine: str, other: str) -> None:
    """A call waits under "not equal" unless its two texts are the same one."""
    condition = compile_condition("request.a != request.b")

    assert condition.waits({"a": mine, "b": other}, None) or mine == other


@given(data=st.binary(max_size=300))
def test_any_bytes_are_a_tree_or_not(data: bytes) -> None:
    """Nothing but a `TreeError` comes of bytes that are no tree."""
    with suppress(TreeError):
        read_tree(data)


@given(pattern=st.text("ab()[]{}|*+?.^$\\0123456789,:-iQp", max_size=100))
def test_any_pattern_has_a_weight_or_none(pattern: str) -> None:
    """The weight is within its bounds, however the pattern is put together."""
    weight = weight_of(pattern)

    assert weight is None or 1 <= weight <= MAX_PATTERN_WEIGHT
