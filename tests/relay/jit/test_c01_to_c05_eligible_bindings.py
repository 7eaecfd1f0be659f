"""C1 to C5: which bindings are eligible, how they are activated, and what limits them."""

from __future__ import annotations

import pytest

from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.conditions.iam import MAX_EXPRESSION_BYTES
from quorumkey_relay.domain.jit.entitlement import Entitlement, EntitlementId
from quorumkey_relay.eligibility.bindings import Binding, Bindings, Expression
from quorumkey_relay.eligibility.condition import MAX_CACHED, Marked, read_condition

JIT = "has({}.jitAccessConstraint)"
MPA = "has({}.multiPartyApprovalConstraint)"
ALICE = ["user:alice@example.com"]
NOT_ELIGIBLE = Marked(None, "")


def bindings(*conditions: str, role: str = "roles/viewer") -> Bindings:
    """Bindings of one role to Alice, one for each condition."""
    return Bindings(
        "project-1",
        [Binding(role, tuple(ALICE), Expression(condition)) for condition in conditions],
    )


def listed(*conditions: str) -> list[tuple[str, str]]:
    """How Alice may activate the role, and on what, for each entitlement that is listed."""
    found = bindings(*conditions).listing(ALICE).entitlements
    return [(one.activation_type, one.id.condition) for one in found]


# C1


@pytest.mark.parametrize("condition", [None, "", " ", "\r\n\t "], ids=["null", "no", "1", "white"])
def test_c01_no_condition(condition: str | None) -> None:
    """A binding without a condition, or with an empty one, is not eligible."""
    assert NOT_ELIGIBLE == read_condition(condition)


@pytest.mark.parametrize(
    ("condition", "limit"),
    [
        (f"{JIT} && a && b", "a && b"),
        (f"{JIT} && (a && b)", "a && b"),
        (f'{JIT} && x == "a && b"', 'x == "a && b"'),
        (f"{JIT} && x == 'a && b'", 'x == "a && b"'),
        (f"""{JIT} && x == "it's" && y == 'a " && b'""", 'x == "it\'s" && y == "a \\" && b"'),
        (rf'{JIT} && x == "a\" && b"', r'x == "a\" && b"'),
        (rf"{JIT} && x == r'a\b && c'", r'x == "a\\b && c"'),
        (f'{JIT} && x == """a " && b"""', r'x == "a \" && b"'),
        (f"{JIT} && f(a && b)[c && d]", "f(a && b)[c && d]"),
        (f'{JIT} && x == {{"a": b && c}}', 'x == {"a": b && c}'),
        (f"{JIT} && a.`b-c` == 1", "a.`b-c` == 1"),
    ],
    ids=[
        *("clauses", "brackets", "double quotes", "single quotes", "both quotes", "escaped quote"),
        *("raw text", "three quotes", "call and index", "map", "quoted name"),
    ],
)
def test_c01_cut_at_the_top_level(condition: str, limit: str) -> None:
    """Only an ``&&`` outside of brackets, texts and names cuts a condition."""
    assert Marked("JIT", limit) == read_condition(condition)


@pytest.mark.parametrize(
    "condition",
    [
        f"// a && b\n{JIT}",
        f"{JIT} // && a",
        f"  // a\r\n{JIT}\r\n// b",
        f"{JIT} &&//(\n( a )",
    ],
    ids=["line before", "line's end", "lines around", "in between"],
)
def test_c01_comments(condition: str) -> None:
    """Comments are no part of a condition."""
    assert "JIT" == read_condition(condition).activation_type


def test_c01_comment_in_a_text() -> None:
    """What looks like a comment inside a text stays."""
    assert Marked("JIT", 'x == "http://a"') == read_condition(f'{JIT} && x == "http://a"')


# C2


@pytest.mark.parametrize(
    "condition",
    [
        "has({}.jitAccessConstraint)",
        "HAS({}.JitAccessConstraint)",
        "has({}.JITACCESSCONSTRAINT)",
        "  has( { } . jitAccessConstraint )  ",
        "has\t(\r\n{\t}\r\n.\tjitaccessconstraint\r\n)\r\n",
        "has({}// a comment\n.jitAccessConstraint)",
    ],
    ids=["usual", "capitals", "all capitals", "spaces", "tabs and lines", "comment"],
)
def test_c02_marker_alone(condition: str) -> None:
    """A marker counts in any case and with any white space between its parts."""
    assert Marked("JIT", "") == read_condition(condition)
    other = condition.lower().replace("jitaccess", "multiPartyApproval")
    assert Marked("MPA", "") == read_condition(other)


@pytest.mark.parametrize(
    "condition",
    [
        "has({}.jitAccessConstraintX)",
        "has({}.xJitAccessConstraint)",
        "has({}.jitAccessConstraint.x)",
        "has(x.jitAccessConstraint)",
        "has({'a': 1}.jitAccessConstraint)",
        "has(Message{}.jitAccessConstraint)",
        "has([].jitAccessConstraint)",
        "has({,}.jitAccessConstraint)",
        "has({}.`jitAccessConstraint`)",
        "had({}.jitAccessConstraint)",
        "{}.jitAccessConstraint",
        "x.has({}.jitAccessConstraint)",
        "has({}.jitAccessConstraint, 1)",
        '"has({}.jitAccessConstraint)"',
        "true // has({}.jitAccessConstraint)",
    ],
)
def test_c02_near_misses(condition: str) -> None:
    """What only looks like a marker is none."""
    assert NOT_ELIGIBLE == read_condition(condition)


@pytest.mark.parametrize(
    "condition",
    ["has({}xjitAccessConstraint)", "h as({}.jitAccessConstraint)", "has({}.jitAccess Constraint)"],
    ids=["any character for the dot", "space in has", "space in the name"],
)
def test_c02_what_is_no_condition_is_no_marker(condition: str) -> None:
    """The original's pattern took these; IAM does not, and neither does this."""
    assert read_or_none(condition) in {None, NOT_ELIGIBLE}


def read_or_none(condition: str) -> Marked | None:
    """What a condition says, None where it cannot be read."""
    try:
        return read_condition(condition)
    except ConditionError:
        return None


# C3


@pytest.mark.parametrize(
    "condition",
    [f"{JIT} && a && b", f"a && {JIT} && b", f"a && b && {JIT}"],
    ids=["first", "second", "last"],
)
def test_c03_any_clause_is_the_marker(condition: str) -> None:
    """The order of the clauses does not matter."""
    assert Marked("JIT", "a && b") == read_condition(condition)


@pytest.mark.parametrize(
    "condition",
    [
        f"{JIT} || 1<2",
        f"1<2 || {JIT}",
        f"a || b && {JIT}",
        f"{JIT} && a || b",
        f"a ? b : {JIT} && c",
        f"a ? {JIT} : c",
        f"({JIT})",
        f"(({JIT}))",
        f"({JIT} && a)",
        f"({JIT}) && a",
        f"(a && {JIT}) && b",
        f"!{JIT}",
        f"!!{JIT}",
        f"!({JIT}) && a",
        f"{JIT} == true",
        f"f({JIT})",
        f"[{JIT}]",
    ],
)
def test_c03_marker_that_is_no_clause(condition: str) -> None:
    """A marker in brackets, negated, or one of two choices makes nobody eligible."""
    assert NOT_ELIGIBLE == read_condition(condition)


def test_c03_marker_in_brackets_beside_a_marker() -> None:
    """A marker in brackets stays where it is, so that the role it limits cannot be had."""
    assert Marked("JIT", "has({}.jitAccessConstraint)") == read_condition(f"{JIT} && ({JIT})")


# C4


@pytest.mark.parametrize(
    ("condition", "limit"),
    [
        (f"{JIT} && a > b&&  b<c", "a > b && b < c"),
        (f"a>b && {JIT} && b  <c", "a > b && b < c"),
        (f"{JIT} && (a || b) && c", "(a || b) && c"),
        (f"{JIT} && ((a)) && (b) == ((c))", "a && b == c"),
        (f"{JIT} && resource.name.startsWith('a')", 'resource.name.startsWith("a")'),
        (f"{JIT} && resource.matchTag('1/env','prod')", 'resource.matchTag("1/env", "prod")'),
        (f"{JIT} && a && (b && (c && d))", "a && b && c && d"),
        (f"{JIT} && !(a || b)", "!(a || b)"),
        (f"{JIT} && Resource.Name == 'MiXeD'", 'Resource.Name == "MiXeD"'),
    ],
)
def test_c04_resource_condition(condition: str, limit: str) -> None:
    """The other clauses limit the role, written in one form whatever their layout."""
    assert limit == read_condition(condition).resource_condition


def test_c04_limit_is_part_of_the_identity() -> None:
    """The same limit in other words is the same entitlement, another limit another one."""
    found = bindings(f"{JIT} && a<b", f"(a  <  b) && {JIT}", f"{JIT} && a<c", JIT).listing(ALICE)

    assert ["", "a < b", "a < c"] == [one.id.condition for one in found.entitlements]


@pytest.mark.parametrize(
    "condition",
    [
        f"{JIT} &&",
        f"{JIT} && a >",
        f"{JIT} && (a",
        f"{JIT} a",
        f"{JIT} && 'a",
        f"{JIT} && [1].all(x, x > 0)",
        f"{JIT} && a == 1e999",
        f"{JIT} && a\0",
        f"{JIT}\0 && a",
        f"{JIT} && a == '\ud800'",
        f"{JIT} && {'(' * 100}a{')' * 100}",
        f"{JIT} && a{' ' * MAX_EXPRESSION_BYTES}",
        f"{JIT} && a == '{'é' * (MAX_EXPRESSION_BYTES // 2)}'",
    ],
    ids=[
        *("nothing after", "half", "bracket", "no operator", "no end", "loop", "infinite"),
        *("NUL at the end", "NUL inside", "half a character", "deep", "long", "long in bytes"),
    ],
)
def test_c04_malformed(condition: str) -> None:
    """What is no condition, or one that cannot be used, is refused, and makes nobody eligible."""
    for _ in range(2):
        with pytest.raises(ConditionError):
            read_condition(condition)
    found = bindings(condition).listing(ALICE)

    assert () == found.entitlements
    assert ("A binding of 'roles/viewer' has a condition that cannot be read.",) == found.warnings


def test_c04_only_who_is_named_is_warned() -> None:
    """That a binding cannot be read is told to those whom it names."""
    assert () == bindings(f"{JIT} &&").listing(["user:bob@example.com"]).warnings


def test_c04_limit_that_makes_the_id_too_long() -> None:
    """An entitlement whose id nobody could hand back is not listed."""
    found = bindings(f"{JIT} && a == '{'x' * 4_000}'").listing(ALICE)

    assert () == found.entitlements
    assert found.warnings


@pytest.mark.parametrize("role", ["", " ", "roles/a:YQ==", "roles/a:b:c"])
def test_c04_role_that_would_be_read_as_another(role: str) -> None:
    """A role whose entitlement could not be told from another one is not listed."""
    found = bindings(JIT, role=role).listing(ALICE)

    assert () == found.entitlements
    assert found.warnings


def test_c04_what_was_read_is_remembered() -> None:
    """A text is read once, and not too many are remembered."""
    assert read_condition(f"{JIT} && remembered") is read_condition(f"{JIT} && remembered")
    first = read_condition(f"{JIT} && one == 0")
    for number in range(MAX_CACHED):
        read_condition(f"{JIT} && other == {number}")
    again = read_condition(f"{JIT} && one == 0")

    assert first == again
    assert first is not again


# C5


@pytest.mark.parametrize("condition", [f"{JIT} && {MPA}", f"{MPA} && a && {JIT}"], ids=["", "a"])
def test_c05_both_markers_on_one_binding(condition: str) -> None:
    """A binding with both markers is one that is activated alone."""
    assert "JIT" == read_condition(condition).activation_type
    assert not bindings(condition).holders(EntitlementId("project-1", "roles/viewer"))


def test_c05_eligible_in_both_ways() -> None:
    """A role with a binding of each kind is listed once, as activated alone."""
    assert [("JIT", "")] == listed(MPA, JIT)
    assert [("JIT", "")] == listed(JIT, MPA)


def test_c05_eligible_in_both_ways_can_still_approve() -> None:
    """Whoever may activate the role alone may yet approve it for a peer."""
    both = bindings(JIT, MPA)
    role = EntitlementId("project-1", "roles/viewer")

    assert both.is_eligible(ALICE, role, "JIT")
    assert both.is_eligible(ALICE, role, "MPA")
    assert {"user:alice@example.com"} == both.holders(role)


def test_c05_two_limits_are_two_roles() -> None:
    """Another limit makes another entitlement, with a kind of its own."""
    assert [("JIT", "a"), ("MPA", "b")] == listed(f"{JIT} && a", f"{MPA} && b")


def test_entitlements_are_told_by_kind() -> None:
    """A binding of one kind makes nobody eligible in the other way."""
    alone = bindings(JIT)
    role = EntitlementId("project-1", "roles/viewer")

    assert (Entitlement(role, "JIT"),) == alone.listing(ALICE).entitlements
    assert not alone.is_eligible(ALICE, role, "MPA")
    assert not alone.is_eligible(["user:bob@example.com"], role, "JIT")
    assert not alone.is_eligible(ALICE, EntitlementId("project-2", "roles/viewer"), "JIT")
