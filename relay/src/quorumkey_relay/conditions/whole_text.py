"""Patterns that an operator or a condition brings: RE2's, which no text can keep busy.

RE2 (https://github.com/google/re2/wiki/Syntax) knows neither look-around nor back-references, and
takes time in proportion to the text. It comes with the CEL library, for which a text ends at its
first NUL: a pattern with one is none, and a text with one matches nothing.
"""

from __future__ import annotations

from functools import cache

from cel_expr_python import (  # type: ignore[import-untyped]  # its stubs come without py.typed
    cel,
)

_NUL = "\0"


def is_pattern(pattern: str) -> bool:
    """Say whether RE2 takes a pattern; the library finds that out only when it evaluates."""
    return _NUL not in pattern and _evaluate(pattern, "").type() == cel.Type.BOOL


def matches_whole(pattern: str, text: str) -> bool:
    """Say whether a pattern that is one matches a text from its beginning to its end."""
    if _NUL in text:
        return False
    return _evaluate(rf"\A(?:{pattern})\z", text).value() is True


def _evaluate(pattern: str, text: str) -> cel.Value:
    return _matching().eval(data={"text": text, "pattern": pattern})


@cache
def _matching() -> cel.Expression:
    words = {"text": cel.Type.STRING, "pattern": cel.Type.STRING}
    return cel.NewEnv(variables=words).compile("text.matches(pattern)")
