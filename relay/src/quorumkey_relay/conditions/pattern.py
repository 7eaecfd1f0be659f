"""How much work the pattern of a ``matches`` can make.

RE2 never backtracks, but it builds a state machine of the pattern each time it is called, and a
pattern with counted repetitions has a large one: ``[ab]*a[ab]{900}`` takes 6 µs for each byte that
it looks at. The weight of a pattern is about the number of that machine's states.
"""

from __future__ import annotations

import re
from typing import Final

MAX_PATTERN_CHARS: Final = 100
MAX_PATTERN_WEIGHT: Final = 1_000

#: UTF-8 makes this many states of one that takes nearly every character.
_WIDE: Final = 10
_COUNT: Final = re.compile(r"\{([0-9]{1,9})(,([0-9]{0,9}))?\}")
_WIDE_ESCAPE: Final = re.compile(r"\\[DSWBCX]")
_NAMED_CLASS: Final = re.compile(r"\[:\^?[a-z]*:\]")
_IGNORES_CASE: Final = re.compile(r"\(\?[a-zA-Z]*i")
_REFUSED: Final = re.compile(r"\\[pPQ]")


def weight_of(pattern: str) -> int | None:
    r"""Return a bound of the states of a pattern, None where it cannot be told or is too large.

    Classes of Unicode (``\p…``) and quoting (``\Q…``) are not taken: the first has thousands of
    states, the second hides what follows.
    """
    if len(pattern) > MAX_PATTERN_CHARS or _REFUSED.search(pattern):
        return None
    weight = _weight(pattern) * (2 if _IGNORES_CASE.search(pattern) else 1)
    return weight if weight <= MAX_PATTERN_WEIGHT else None


def _weight(pattern: str) -> int:
    """Add up the weights of a pattern's atoms, multiplied by how often they are repeated."""
    open_groups: list[int] = []
    total, last, at = 1, 0, 0
    while at < len(pattern):
        character = pattern[at]
        counted = _COUNT.match(pattern, at)
        if counted is not None:
            times = max(1, int(counted[1]), int(counted[3] or 0))
            total += last * (times - 1)
            last *= times
            at = counted.end()
            continue
        if character == "(":
            open_groups.append(total)
            total, last, at = 1, 0, at + 1
        elif character == ")":
            last = total
            total += open_groups.pop() if open_groups else 0
            at += 1
        else:
            last, at = _atom(pattern, at)
            total += last
    return total + sum(open_groups)


def _atom(pattern: str, at: int) -> tuple[int, int]:
    """Return the weight of the atom that begins there, and where the next begins."""
    character = pattern[at]
    if character == "[":
        return _class(pattern, at)
    if character == "\\":
        return (_WIDE if _WIDE_ESCAPE.match(pattern, at) else 2), at + 2
    if character == ".":
        return _WIDE, at + 1
    return len(character.encode("utf-8", "replace")), at + 1


def _class(pattern: str, start: int) -> tuple[int, int]:
    at = start + 1
    negated = pattern.startswith("^", at)
    at += negated
    at += pattern.startswith("]", at)  # there it stands for itself
    while at < len(pattern) and pattern[at] != "]":
        named = _NAMED_CLASS.match(pattern, at)
        if named is not None:
            at = named.end()
        else:
            at += 2 if pattern[at] == "\\" else 1
    text = pattern[start : at + 1]
    # A range within ASCII is one state, three characters long.
    weight = len(text) - 2 - 2 * text.count("-") if text.isascii() else _WIDE * len(text)
    if negated or _WIDE_ESCAPE.search(text) or "[:^" in text or "\\x" in text:
        weight = max(weight, 0) + _WIDE * len(text)
    return max(1, weight), at + 1
