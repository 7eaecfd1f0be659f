"""IAM conditions as a splitter by hand sees them, which counts brackets and quotes (C1 to C5).

The model is written from its description: it drops lines that begin with ``//``, cuts at ``&&``
outside of brackets and quotes, and compares clauses in lower case without spaces. Where a condition
has no escapes and no ``||`` or ``?`` beside an outer ``&&``, the parser has to see the same.
"""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from quorumkey_relay.conditions.iam import canonical, parse
from quorumkey_relay.eligibility.condition import Marked, read_condition

_PATTERN = r"\s*has\(\s*\{\s*\}\.%s\s*\)\s*"
_MARKERS = {"JIT": "jitaccessconstraint", "MPA": "multipartyapprovalconstraint"}

_markers = st.builds(
    "{0}h{2}({0}{{{0}}}{0}.{0}{3}{0}){1}".format,
    st.sampled_from(["", " ", "  "]),
    st.sampled_from(["", " ", "\t", "\r\n"]),
    st.sampled_from(["as", "AS", "aS"]),
    st.sampled_from(
        [
            *("jitAccessConstraint", "JITACCESSCONSTRAINT", "multiPartyApprovalConstraint"),
            *("multipartyapprovalconstraint", "jitAccessConstraints", "other"),
        ]
    ),
)
_limits = st.sampled_from(
    [
        *("a > b", "b<c", "(a || b)", "(a && b)", "f(a, b)", "a[b && c]", 'x == "a && b"'),
        *("x == 'a && b'", 'x == "it\'s"', "x == 'a \" && '", "has(a.b)", "!(a && b)", "true"),
        *("(a ? b : c)", "resource.name.startsWith('A b')", "x == '(' ", "x == '{ && '"),
    ]
)
_clauses = _limits | _markers | _markers.map("({})".format) | _markers.map("!{}".format)
_alone = st.builds("{} || {}".format, _clauses, _clauses) | st.builds("a ? b : {}".format, _markers)
_between = st.sampled_from(["&&", " && ", "\n&&\n", "  &&\t", "\n// a && (\n&&"])


def _together(parts: tuple[str, list[str]]) -> str:
    between, clauses = parts
    return between.join(clauses)


_texts = st.tuples(_between, st.lists(_clauses, min_size=1, max_size=4)).map(_together)


def cut_by_hand(text: str) -> list[str]:
    """The clauses, as counting brackets and quotes finds them."""
    lines = [line for line in text.split("\n") if not line.lstrip().startswith("//")]
    clauses, quote, depth = [""], "", 0
    for character in "\n".join(lines):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        clauses[-1] += character
        if not quote and depth == 0 and clauses[-1].endswith("&&"):
            clauses[-1] = clauses[-1][:-2]
            clauses.append("")
    return clauses


def read_by_hand(text: str) -> Marked:
    """What a condition says if it is cut by hand."""
    found: dict[str, str] = {}
    limits: list[str] = []
    for clause in cut_by_hand(text):
        squeezed = clause.lower().replace(" ", "")
        for kind, name in _MARKERS.items():
            if re.fullmatch(_PATTERN % name, squeezed):
                found[kind] = clause
                break
        else:
            limits.append(clause)
    if not found:
        return Marked(None, "")
    return Marked("JIT" if "JIT" in found else "MPA", canonical([parse(one) for one in limits]))


@given(text=_texts | _alone)
def test_the_parser_sees_what_counting_sees(text: str) -> None:
    """The marker, its kind and the limit are the same."""
    assert read_by_hand(text) == read_condition(text)


def test_where_counting_goes_wrong() -> None:
    """Counting misses escapes, and that an ``&&`` binds tighter than an ``||``."""
    marker = "has({}.jitAccessConstraint)"
    escaped = rf'{marker} && x == "a\" && b"'
    either = f"a || b && {marker}"

    assert Marked("JIT", "a || b") == read_by_hand(either)
    assert Marked(None, "") == read_condition(either)
    assert 3 == len(cut_by_hand(escaped))
    assert Marked("JIT", r'x == "a\" && b"') == read_condition(escaped)
