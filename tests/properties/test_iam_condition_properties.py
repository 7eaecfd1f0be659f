"""Properties of IAM conditions: they are refused, or have one form that means the same."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import example, given
from hypothesis import strategies as st

from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.conditions.iam import all_of, canonical, clauses, parse
from quorumkey_relay.domain.jit.entitlement import EntitlementId
from quorumkey_relay.eligibility.condition import Marked, read_condition, read_temporary

JIT = "has({}.jitAccessConstraint)"
MPA = "has({}.multiPartyApprovalConstraint)"

_words = st.sampled_from(
    [
        *("a", "b", "request", "true", "null", "1", "-1", "2u", "1.5", "'a'", "b'a'", "r'\\d'"),
        *(".a", ".`b-c`", "[0]", "(", ")", "[", "]", "{", "}", ",", ":", "?", " ", "\n", "!", "-"),
        *("==", "<", " in ", "&&", "||", "+", "*", "f(", ".f(", "has(", "//x\n", "\\", '"', "'"),
        *('"""', "'''", "\0", "é", JIT, MPA, "has({}.", "jitaccessconstraint", "HAS"),
    ]
)
_texts = st.text(max_size=40) | st.lists(_words, max_size=20).map("".join)

_strings = st.text(max_size=8).map(repr) | st.sampled_from(
    ["'a && b'", '"a || (b"', "'''a' && \"b'''", '"""a"b\n"""', r"r'a\b'", r'"a\" && b"', "'//'"]
)
_atoms = (
    st.sampled_from(["a", "b.c", "f(a, b)", "a.f('x')", "a[0]", "1", "-1", "2u", "1.5", "null"])
    | st.sampled_from(["has(a.b)", "{}", "[a, 1]", "{'a': b}", "m.N{a: 1}", "b'\\xff'", "-0.0"])
    | _strings
)
_operators = st.sampled_from(
    ["&&", "||", "==", "!=", "<", "<=", ">", ">=", " in ", "+", "-", "*", "/", "%"]
)
_space = st.sampled_from(["", " ", "\n", "\t", "\r\n", " // && (\n"])
_expressions = st.recursive(
    _atoms,
    lambda inner: (
        st.builds("{}{}{}{}{}".format, inner, _space, _operators, _space, inner)
        | inner.map("({})".format)
        | inner.map("!({})".format)
        | inner.map("-({})".format)
        | inner.map("!{}".format)
        | inner.map("({}).c".format)
        | st.builds("({})[{}]".format, inner, inner)
        | st.builds("f({}, {})".format, inner, inner)
        | st.builds("({}).g({})".format, inner, inner)
        | st.builds("({}?{}:{})".format, inner, inner, inner)
        | st.builds("{}?{}:{}".format, inner, inner, inner)
    ),
    max_leaves=6,
)


@given(text=_texts)
def test_any_text_is_read_or_refused(text: str) -> None:
    """Nothing but a `ConditionError` comes of a text that is no condition."""
    with suppress(ConditionError):
        assert canonical([one.node for one in clauses(text)]) or text
    with suppress(ConditionError):
        assert isinstance(read_condition(text), Marked)
    read_temporary("JIT access activation", text)


@given(text=_expressions | _texts)
@example("- -1")
@example("-(1)")
@example("a-(-(-1))")
@example("(-1).f()")
def test_the_one_form_means_the_same(text: str) -> None:
    """What is written out is the same tree, and is written out the same again."""
    try:
        node = parse(text)
        form = canonical([node])
    except ConditionError:
        return

    assert all_of([node]) == all_of([parse(form)])
    assert form == canonical([parse(form)])


@given(text=_expressions | _texts)
def test_clauses_are_the_whole(text: str) -> None:
    """The clauses of a condition, joined again, are the condition."""
    try:
        whole = parse(text)
    except ConditionError:
        return

    assert all_of([whole]) == all_of(clause.node for clause in clauses(text))


@given(before=st.lists(_expressions, max_size=2), after=st.lists(_expressions, max_size=2))
def test_a_marker_between_clauses_is_found(before: list[str], after: list[str]) -> None:
    """A marker among clauses in brackets is found, and what limits the role is the rest."""
    parts = [f"({one})" for one in (*before, *after)]
    try:
        limit = canonical([parse(one) for one in parts])
    except ConditionError:
        return
    parts.insert(len(before), JIT)

    assert Marked("JIT", limit) == read_condition(" && ".join(parts))


@given(inner=_expressions, around=st.sampled_from(["({} && {})", "!{1}", "({1})", "{} || {}"]))
def test_a_marker_that_is_no_clause_is_not_found(inner: str, around: str) -> None:
    """However the rest looks, a marker in brackets, negated or after ``||`` marks nothing."""
    text = around.format(f"({inner})", JIT)
    with suppress(ConditionError):
        assert read_condition(text).activation_type is None


@given(project=st.text(max_size=8), role=st.text(max_size=8), condition=st.text(max_size=8))
def test_ids_are_read_as_they_were_written(project: str, role: str, condition: str) -> None:
    """An id whose parts have no colon and are not blank is read as it was written."""
    if not (project.strip() and role.strip()) or ":" in project + role:
        return
    if condition and not condition.strip():
        return
    with suppress(UnicodeEncodeError):
        entitlement = EntitlementId(project, role, condition)
        assert entitlement == EntitlementId.parse(str(entitlement))
