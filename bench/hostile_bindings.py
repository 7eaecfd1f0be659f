"""Conditions of role bindings that were thought up to take long to read, with a marker in each."""

from __future__ import annotations

from typing import Final

from quorumkey_relay.conditions.iam import MAX_EXPRESSION_BYTES

_MARKER: Final = "has({}.jitAccessConstraint) && "
_ROOM: Final = MAX_EXPRESSION_BYTES - len(_MARKER) - 10


def _filled(
    before: str, repeated: str, after: str = "", *, most: int = MAX_EXPRESSION_BYTES
) -> str:
    """Repeat something until the text is as large as it may be, or so often."""
    room = _ROOM - len((before + after).encode())
    return _MARKER + before + repeated * min(most, room // len(repeated.encode())) + after


#: Those with a number are as large as the tree may be, or a little larger; the others as the text.
HOSTILE: Final = (
    *(_filled("a", "&&a", most=most) for most in (300, 400, 2_000)),
    *(_filled("a", "&&(a)", most=most) for most in (300, 400, 2_000)),
    *(_filled("(a", "||a", ")", most=most) for most in (300, 400, 2_000)),
    *(_filled("[a", ",a", "]", most=most) for most in (400, 600, 2_000)),
    *(_filled('[""', ',""', "]", most=most) for most in (400, 600, 2_000)),
    *(_filled("f(a", ",a", ")", most=most) for most in (400, 600, 2_000)),
    _filled("a == '", "x", "'"),
    _filled("a == '", "é", "'"),
    _filled("a == '", r"\n", "'"),
    _filled('a == """', '" ', '"""'),
    _filled('"""', '"'),
    _filled("", "'''a"),
    _filled("a", "\n//x"),
    _filled("a", " "),
    _filled("", "!", "a"),
    _filled("", "-", "a"),
    _filled("", "&&"),
    _filled("", "$"),
    _filled("a.", "`"),
    _filled("a == ", "1"),
    _filled("", "."),
    _filled("", "("),
    _filled("", "{"),
    _filled("", ")"),
    _filled("(" * 25 + "a", ")", most=25),
    _filled("", "a[b] + ", "a", most=20),
    _filled("", "a ? b : ", "c", most=15),
    _filled("a", ".b"),
    _filled("a", "+a"),
)
