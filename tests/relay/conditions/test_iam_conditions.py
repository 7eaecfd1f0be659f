"""Conditions of IAM: taken apart at ``&&``, written out in one form, and bounded."""

from __future__ import annotations

import pytest

from quorumkey_relay.conditions import ConditionError
from quorumkey_relay.conditions.iam import MAX_EXPRESSION_BYTES, canonical, clauses, parse
from quorumkey_relay.conditions.tree import Constant, Identifier, TreeError, read_parsed
from quorumkey_relay.conditions.writing import written


def one_form(text: str) -> str:
    """The text of a condition in the form that stands for it."""
    return canonical([parse(text)])


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("a && b", "a && b"),
        ("(a&&b)&&(c&&(d&&e))", "a && b && c && d && e"),
        ("a||(b||c)||d", "a || b || c || d"),
        ("a||b&&c", "a || b && c"),
        ("(a||b)&&c", "(a || b) && c"),
        ("a - (b - c) - d", "a - (b - c) - d"),
        ("a*(b/c)%d", "a * (b / c) % d"),
        ("(a+b)*c", "(a + b) * c"),
        ("(a < b) == (c in d)", "a < b == (c in d)"),
        ("a ? b : (c ? d : e)", "a ? b : c ? d : e"),
        ("(a ? b : c) ? (d ? e : f) : g", "(a ? b : c) ? (d ? e : f) : g"),
        ("a || b ? c || d : e", "a || b ? c || d : e"),
        ("!(a) && !(!(b))", "!a && !(!b)"),
        ("!!a && - -b", "a && b"),
        ("-(a) - -1 - (-(1))", "-a - -1 - -(1)"),
        ("-(-a) - (-a)", "-(-a) - -a"),
        ("!(-1)", "!(-1)"),
        ("(-1).f() + (-1)[0] + (1).f()", "(-1).f() + (-1)[0] + 1.f()"),
        ("( a + b ).c[d&&e].g( f )", "(a + b).c[d && e].g(f)"),
        ("has(a.b.c) && has({}.x)", "has(a.b.c) && has({}.x)"),
        ("[ 1,2u , 0x1F,-1.50,1e3 ,]", "[1, 2u, 31, -1.5, 1000.0]"),
        ("-9223372036854775808 + 18446744073709551615u",) * 2,
        ("-0.0 == 0.0 && 1e-300 < 1E300", "-0.0 == 0.0 && 1e-300 < 1e+300"),
        ("{'a':1,b:[ ]}", '{"a": 1, b: []}'),
        ("a.B{c:1,`d-e`:{}}", "a.B{c: 1, `d-e`: {}}"),
        ("a.`b`.`c d`.`in`", "a.b.`c d`.`in`"),
        (".a.b(.c)", ".a.b(.c)"),
        ("null == true || false", "null == true || false"),
        (r"'it\'s \\ \n\t\r\u200b\x00'", r'"it' + r"'s \\ \n\t\r\u200b\u0000" + '"'),
        ("'\"é\"'", r'"\"é\""'),
        (r"'\U0001f600\U000e0001'", '"\U0001f600\\U000e0001"'),
        (r"""b'a"\xff\n\\é'""", r'b"a\x22\xff\x0a\x5c\xc3\xa9"'),
    ],
)
def test_the_one_form(text: str, form: str) -> None:
    """Brackets stand where they are needed, white space in one way, and texts in one writing."""
    assert form == one_form(text)
    assert form == one_form(form)


@pytest.mark.parametrize("call", ["[1].all(x, x)", "a.map(x, x)", "a.exists_one(x, x)", "1e999"])
def test_what_has_no_form(call: str) -> None:
    """Loops, and a number that is infinite, cannot be written out."""
    for text in (call, f"a && ({call} == b)", f"f({call})"):
        with pytest.raises(ConditionError, match=r"^it has a "):
            one_form(text)


def test_a_condition_without_clauses() -> None:
    """Nothing is written for no clauses."""
    assert "" == canonical([])


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("a", ["a"]),
        ("a && b && c", ["a", "b", "c"]),
        (" ( a && b ) && // x && y\n c", ["(a&&b)", "c"]),
        ("a || b && c", ["a||b&&c"]),
        ("a ? b : c && d", ["a?b:c&&d"]),
        ("a ? b && c : d", ["a?b&&c:d"]),
        ("'a && b' == c && d", ["'a && b'==c", "d"]),
    ],
)
def test_clauses(text: str, found: list[str]) -> None:
    """The clauses are what the tree joins by ``&&`` and the text does so outside of brackets."""
    assert found == [one.text for one in clauses(text)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "mismatched input"),
        ("a b", "extraneous input"),
        ("a\0", "NUL"),
        ("'a\0b'", "NUL"),
        ("\ud800", "surrogate"),
        ("a" * (MAX_EXPRESSION_BYTES + 1), "at most 4096 are allowed"),
        ("(" * 40 + "a" + ")" * 40, "recursion limit"),
        ("a" + ".b" * 40, "recursion depth"),
        ("a" + "+a" * 2_000, "recursion depth"),
        ("package", "reserved identifier"),
    ],
    ids=["", "two", "NUL", "NUL in text", "half", "long", "brackets", "members", "sum", "word"],
)
def test_what_is_refused(text: str, message: str) -> None:
    """What the library does not parse, or would not see whole, is refused."""
    with pytest.raises(ConditionError, match=message):
        parse(text)


def test_many_clauses() -> None:
    """A condition may have hundreds of clauses, but not any number of parts."""
    text = " && ".join(["a"] * 300)

    assert 300 == len(clauses(text))
    assert text == one_form(text)
    with pytest.raises(ConditionError, match="too many parts"):
        parse("&&".join(["a"] * 600))


def test_a_tree_that_reads_as_another() -> None:
    """Where what is written would be read as something else, nothing is written."""
    with pytest.raises(ConditionError, match="cannot be written out"):
        canonical([Constant("double", 1)])


def test_bytes_that_are_no_parsed_expression() -> None:
    """The tree of an expression that was not parsed cannot be read."""
    with pytest.raises(TreeError):
        read_parsed(b"")
    assert "a" == written(Identifier("a"))
