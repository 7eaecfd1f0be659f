"""The syntax tree of a condition: read from bytes, and what it can cost."""

from __future__ import annotations

import pytest
from cel_expr_python import (  # type: ignore[import-untyped]  # its stubs come without py.typed
    cel,
)

from quorumkey_relay.conditions.cost import (
    MAX_NODES,
    Polynomial,
    TooCostly,
    cost_of,
    patterns_of,
)
from quorumkey_relay.conditions.pattern import MAX_PATTERN_WEIGHT, weight_of
from quorumkey_relay.conditions.tree import (
    MAX_TREE_DEPTH,
    Call,
    Comprehension,
    Constant,
    Identifier,
    Literal,
    Node,
    Select,
    TreeError,
    read_tree,
)

_MEMBERS = cel.Type.Map(cel.Type.STRING, cel.Type.DYN)
_ENVIRONMENT = cel.NewEnv(variables={"request": _MEMBERS, "resource": _MEMBERS})


def serialized(text: str) -> bytes:
    """What the library gives out of an expression."""
    found: bytes = _ENVIRONMENT.compile(text).serialize()
    return found


def tree(text: str) -> Node:
    """The tree of an expression."""
    return read_tree(serialized(text))


def field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    size = len(content)
    varint = bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])
    return bytes([number << 3 | 2]) + varint + content


def expression(content: bytes) -> bytes:
    """An expression, wrapped up as the library does it."""
    return field(2, field(4, content))


# Reading


def test_a_tree() -> None:
    """Operators are calls, members are selected, literals have their size."""
    assert tree("request.rule.tag == 'global'") == Call(
        "_==_",
        (
            Select(Select(Identifier("request"), "rule"), "tag"),
            Constant("string", "global"),
        ),
    )


def test_a_tree_of_every_kind() -> None:
    """Lists, maps, messages, bytes and numbers are told apart."""
    assert tree("[1, b'abc']") == Literal(
        (Constant("int", 1), Constant("bytes", b"abc")), is_list=True, message=""
    )
    assert tree("{'a': 1}") == Literal(
        (Constant("string", "a"), Constant("int", 1)), is_list=False, message=""
    )
    made = tree("google.protobuf.Timestamp{seconds: 1}")
    assert isinstance(made, Literal)
    assert "google.protobuf.Timestamp" == made.message


def test_the_tree_of_a_loop() -> None:
    """A macro is written out: its variable, its range, and what it collects."""
    loop = tree("request.a.filter(x, x == 1)")

    assert isinstance(loop, Comprehension)
    assert ("x",) == loop.variables
    assert Select(Identifier("request"), "a") == loop.range
    assert isinstance(loop.start, Literal)


def test_every_cut_of_a_tree_is_refused() -> None:
    """Bytes that end early are no tree, wherever they end."""
    whole = serialized("request.a.filter(x, x.b == 'global') == [1, 2]")
    for length in range(len(whole)):
        with pytest.raises(TreeError):
            read_tree(whole[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff" * 20,
        expression(b""),
        expression(b"\x1c"),
        expression(b"\x20\x01"),
        expression(field(4, field(1, b"\xff"))),
        expression(field(5, b"")),
        expression(field(9, field(1, b"x"))),
        expression(field(3, b"\x2a\x01x")),
    ],
    ids=[
        *("nothing", "no number", "no kind", "wire type", "number", "no text", "member", "loop"),
        "half a number",
    ],
)
def test_bytes_that_are_no_tree(data: bytes) -> None:
    """Whatever else the bytes are, it is a `TreeError`."""
    with pytest.raises(TreeError):
        read_tree(data)


def test_fields_that_nobody_asks_for() -> None:
    """Numbers and fixed-size fields beside an expression are skipped."""
    beside = b"\x10\x05" + b"\x11" + bytes(8) + b"\x15" + bytes(4)

    assert read_tree(expression(beside + field(4, field(1, b"x")))) == Identifier("x")


def test_the_depth_of_a_tree() -> None:
    """A tree may be so deep and no deeper."""

    def nested(depth: int) -> bytes:
        content = field(4, field(1, b"x"))
        for _ in range(depth):
            content = field(5, field(1, content))
        return expression(content)

    assert isinstance(read_tree(nested(MAX_TREE_DEPTH)), Select)
    with pytest.raises(TreeError):
        read_tree(nested(MAX_TREE_DEPTH + 1))


# What it can cost


def cost(text: str) -> Polynomial:
    """What an expression can cost."""
    return cost_of(tree(text))


def test_the_cost_of_an_ordinary_condition() -> None:
    """A comparison with a literal costs the same for every request, but for making it a value."""
    found = cost("request.rule.tag == 'global'")

    assert (0, 0) == (found.nn, found.ns)
    assert (found.n, found.s) == tuple(cost("true"))[1:3]


@pytest.mark.parametrize(
    ("text", "grows"),
    [
        ("request.a.all(x, x == 1)", "n"),
        ("request.a.all(x, x.startsWith('db'))", "n"),
        ("request.a.all(x, x.contains('db'))", "s"),
        ("request.a.all(k, request.a[k] == 'x')", "n"),
        ("request.a == request.b", "s"),
        ("request.a.all(x, x == request.b)", "s"),
        ("request.a.all(x, request.c == request.b)", "ns"),
        ("request.a.all(x, request.c.contains('b'))", "ns"),
        ("request.a.all(x, x in request.b)", "ns"),
        ("request.a.map(x, request.b) == request.c", "nn"),
        ("request.a.filter(x, x == 1) == []", "nn"),
        ("(request.a + request.b).exists(x, x == 1)", "n"),
    ],
)
def test_what_a_cost_grows_with(text: str, grows: str) -> None:
    """A round that looks at the whole request makes it grow with both, a collection squared."""
    found, least = cost(text), cost("true")
    powers = {name: getattr(found, name) > getattr(least, name) for name in found._fields}

    assert powers[grows]
    assert not any(powers[name] for name in {"s": ("nn", "ns"), "n": ("nn", "ns")}.get(grows, ()))
    assert 0 == found.e


def test_a_list_that_is_joined_has_more_rounds() -> None:
    """A loop over three times the same list costs three times as much."""
    once = cost("request.a.exists(x, x == 1)").n - cost("true").n
    thrice = cost("(request.a + request.a + request.a).exists(x, x == 1)").n - cost("true").n

    assert 3 * once == thrice


def test_a_literal_has_as_many_rounds_as_elements() -> None:
    """A loop over a list that is written out does not grow with the request."""
    found, least = cost("[1, 2, 3].exists(x, x == request.a)"), cost("true")

    assert least[1:] == found[1:]


def test_the_number_of_parts() -> None:
    """At the limit a condition is taken, beyond it is not."""
    most = "true" + " && true" * ((MAX_NODES - 1) // 2)

    assert cost(most)
    with pytest.raises(TooCostly):
        cost(most + " && true")


def test_deep_comparisons_are_estimated_once() -> None:
    """The estimate looks at each part once, however deep it stands."""
    deep = "(" * 25 + "request.a == 1" + " == true)" * 25

    assert cost(deep).one < 100_000


def test_the_patterns_of_a_condition() -> None:
    """Every pattern is found, also inside a loop."""
    found = patterns_of(tree("request.a.matches('b+') || request.l.all(x, x.matches('c'))"))

    assert ["b+", "c"] == found


# Patterns


@pytest.mark.parametrize(
    ("pattern", "weight"),
    [
        ("", 1),
        ("abc", 4),
        ("a{3}", 4),
        ("a{2,5}", 6),
        ("a{4,}", 5),
        ("(ab){3}", 1 + 3 * 3),
        ("a{3}{4}", 1 + 12),
        ("((ab){3}c){2}", 1 + 2 * (1 + 9 + 1)),
        ("[0-9a-f]{64}", 1 + 64 * 2),
        ("[]a]", 3),
        ("[^]a]", 1 + 3 + 50),
        ("[[:alpha:]]", 1 + 9),
        (".", 11),
        (r"\W", 11),
        (r"\d", 3),
        ("é", 3),
        ("[a-é]", 1 + 50),
        ("(?i)ab", 2 * (1 + 3 + 2)),
        ("a{", 3),
        ("(", 2),
        (")", 1),
        ("[", 2),
        ("\\", 3),
    ],
)
def test_the_weight_of_a_pattern(pattern: str, weight: int) -> None:
    """Repetitions multiply what they repeat, and wide classes count more."""
    assert weight == weight_of(pattern)


@pytest.mark.parametrize(
    "pattern",
    ["a" * 101, "(a{60}){60}", "((a{0,30}){0,30}){2}", r"\pL", r"\PN", r"\Qa\E", "[^c]{100}"],
)
def test_a_pattern_that_is_too_heavy(pattern: str) -> None:
    """What makes too many states, or hides them, has no weight."""
    assert weight_of(pattern) is None


def test_the_heaviest_pattern() -> None:
    """At the limit a pattern is taken."""
    assert MAX_PATTERN_WEIGHT == weight_of(f"a{{{MAX_PATTERN_WEIGHT - 1}}}")
    assert weight_of(f"a{{{MAX_PATTERN_WEIGHT}}}") is None
